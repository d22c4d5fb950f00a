//! HTTP requests by path, method and status (`prometheus.instrument_http_handlers`).

use super::sum::Sum;

/// Kinds of requests told apart. Only the node's own paths are counted, but a method may be any word.
const MOST: usize = 256;

/// Requests in order of path, method and status. Beyond the bound they are not counted.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    path: Box<str>,
    method: Box<str>,
    status: u16,
    count: u64,
}

impl Requests {
    /// Counts one.
    pub fn count(&mut self, path: &str, method: &str, status: u16) {
        self.add_to(path, method, status, 1);
    }

    /// Path, method, status, and how many.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, u16, u64)> {
        self.rows.iter().map(|row| (&*row.path, &*row.method, row.status, row.count))
    }

    fn add_to(&mut self, path: &str, method: &str, status: u16, number: u64) {
        let place =
            self.rows.binary_search_by(|row| (&*row.path, &*row.method, row.status).cmp(&(path, method, status)));
        match place {
            Ok(at) => self.rows[at].count += number,
            Err(at) if self.rows.len() < MOST => {
                self.rows.insert(at, Row { path: path.into(), method: method.into(), status, count: number });
            }
            Err(_) => {}
        }
    }
}

impl Sum for Requests {
    fn add(&mut self, other: &Self) {
        for (path, method, status, count) in other.iter() {
            self.add_to(path, method, status, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_add_up_and_are_bounded() {
        let mut one = Requests::default();
        one.count("/b", "GET", 200);
        let mut two = one.clone();
        two.count("/a", "GET", 200);
        two.count("/b", "GET", 200);
        one.add(&two);
        assert_eq!(one.iter().collect::<Vec<_>>(), [("/a", "GET", 200, 1), ("/b", "GET", 200, 3)]);
        for word in 0..1000 {
            one.count("/b", &word.to_string(), 405);
        }
        assert_eq!(one.rows.len(), MOST);
    }
}
