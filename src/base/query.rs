//! Queries and forms of URLs (upstream: Go's `url.ParseQuery`).

/// The first value of this name, decoded. Pairs that Go refuses (a semicolon, a bad escape) are passed over, as there.
pub fn first(query: &str, name: &str) -> Option<Vec<u8>> {
    query.split('&').filter(|pair| !pair.contains(';')).find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = unescape(value)?;
        (unescape(key)? == name.as_bytes()).then_some(value)
    })
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
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
    }
}
