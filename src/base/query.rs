//! Queries and forms of URLs (upstream: Go's `url.ParseQuery`).

/// The first value of this name, decoded. Pairs that Go refuses (a semicolon, a bad escape) are passed over, as there.
pub fn first(query: &str, name: &str) -> Option<Vec<u8>> {
    all(query, name).next()
}

/// All values of this name, decoded, as [`first`] finds them.
pub fn all<'q>(query: &'q str, name: &'q str) -> impl Iterator<Item = Vec<u8>> {
    query.split('&').filter(|pair| !pair.contains(';')).filter_map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = unescape(value, true)?;
        (unescape(key, true)? == name.as_bytes()).then_some(value)
    })
}

/// A part of a URL other than the query, decoded; none where a percent sign begins no escape, or text no UTF-8.
pub fn decoded(part: &str) -> Option<String> {
    String::from_utf8(unescape(part, false)?).ok()
}

fn unescape(text: &str, plus_is_blank: bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' if plus_is_blank => b' ',
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                (high * 16 + low) as u8
            }
            other => other,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded() {
        for (query, expected) in [
            ("k=v", Some("v")),
            ("a=1&k=v&k=w", Some("v")),
            ("%6B=a%26b+c", Some("a&b c")),
            ("k", Some("")),
            ("k=a=b", Some("a=b")),
            ("k=%zz&k=v", Some("v")),
            ("k=%4", None),
            ("k=a;b&k=v", Some("v")),
            ("K=v", None),
            ("", None),
        ] {
            assert_eq!(first(query, "k").as_deref(), expected.map(str::as_bytes), "{query}");
        }
        assert_eq!(all("k=1&l=2&k=3", "k").collect::<Vec<_>>(), [b"1", b"3"]);
    }

    #[test]
    fn parts_are_decoded() {
        assert_eq!(decoded("a%40+%c3%a9").as_deref(), Some("a@+é"));
        assert_eq!((decoded("%4"), decoded("%zz"), decoded("%ff")), (None, None, None));
    }
}
