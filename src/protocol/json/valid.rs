//! Validates and compacts JSON that is passed on.

use std::cell::RefCell;

use crate::protocol::json::scan::Scanner;

/// From this length in bytes on, simd-json looks first at JSON that is mostly indentation.
///
/// Measured (benches/codec.rs, `validate`, 16 KiB, AVX2, GB/s, scanner against simd-json with the copy it needs): blanks
/// 1.5 : 2.2; indented 1.6 : 1.3; plain 1.3 : 1.0; escapes 1.4 : 0.9; numbers 0.63 : 0.59; tokens 0.65 : 0.45; text
/// 6.9 : 4.5. So only blanks make it worth its copy and its tape, whatever the size.
const SIMD_FROM: usize = 1024;

/// So many bytes at the front tell whether JSON is mostly indentation.
const SAMPLE: usize = 256;

/// Largest scratch memory that is kept between calls, in bytes of input.
const SCRATCH_KEPT: usize = 1 << 20;

struct Scratch {
    copy: Vec<u8>,
    buffers: simd_json::Buffers,
    tape: simd_json::Tape<'static>,
}

thread_local! {
    static SCRATCH: RefCell<Option<Scratch>> = const { RefCell::new(None) };
}

/// Whether this is one JSON value, with blanks around it or not (upstream: segmentio json.Valid). Text need not be
/// UTF-8 and nesting is not bounded.
pub fn is_valid(json: &[u8]) -> bool {
    (json.len() >= SIMD_FROM && is_mostly_blank(json) && simd_accepts(json)) || scan_accepts(json)
}

fn is_mostly_blank(json: &[u8]) -> bool {
    let sample = &json[..json.len().min(SAMPLE)];
    sample.iter().filter(|byte| **byte == b' ').count() > sample.len() / 2
}

fn scan_accepts(json: &[u8]) -> bool {
    let mut scan = Scanner::new(json);
    scan.blanks();
    scan.skip_bounded(usize::MAX).and_then(|()| scan.end()).is_ok()
}

/// simd-json accepts nothing that the scanner rejects, but rejects some that it accepts: numbers beyond a double, text
/// that is not UTF-8, halves of surrogate pairs, deep nesting. So its yes counts, its no does not.
fn simd_accepts(json: &[u8]) -> bool {
    SCRATCH.with_borrow_mut(|kept| {
        let mut scratch = kept.take().unwrap_or_else(|| Scratch {
            copy: Vec::new(),
            buffers: simd_json::Buffers::new(json.len()),
            tape: simd_json::Tape::null(),
        });
        // simd-json unescapes in place, so it gets a copy.
        scratch.copy.clear();
        scratch.copy.extend_from_slice(json);
        let mut tape = scratch.tape.reset();
        let accepts = simd_json::fill_tape(&mut scratch.copy, &mut scratch.buffers, &mut tape).is_ok();
        scratch.tape = tape.reset();
        if json.len() <= SCRATCH_KEPT {
            *kept = Some(scratch);
        }
        accepts
    })
}

/// Whether this is a JSON object.
pub fn is_object(json: &[u8]) -> bool {
    let first = json.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    first == Some(&b'{') && is_valid(json)
}

/// Appends valid JSON without blanks between tokens, `<`, `>`, `&`, U+2028 and U+2029 escaped (upstream: encoding/json
/// compact). What is not valid is copied just as blindly.
pub fn compact_html(json: &[u8], out: &mut Vec<u8>) {
    let mut within_string = false;
    let mut at = 0;
    let mut written = 0;
    let mut replace = |upto: usize, len: usize, by: &[u8]| {
        out.extend_from_slice(&json[written..upto]);
        out.extend_from_slice(by);
        written = upto + len;
    };
    while at < json.len() {
        let mut len = 1;
        match json[at] {
            b'"' => within_string = !within_string,
            b'\\' if within_string => len = 2,
            b' ' | b'\t' | b'\n' | b'\r' if !within_string => replace(at, 1, b""),
            b'<' => replace(at, 1, b"\\u003c"),
            b'>' => replace(at, 1, b"\\u003e"),
            b'&' => replace(at, 1, b"\\u0026"),
            0xE2 if json[at..].starts_with(b"\xE2\x80\xA8") => {
                len = 3;
                replace(at, 3, b"\\u2028");
            }
            0xE2 if json[at..].starts_with(b"\xE2\x80\xA9") => {
                len = 3;
                replace(at, 3, b"\\u2029");
            }
            _ => {}
        }
        at += len;
    }
    replace(json.len(), 0, b"");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    /// JSON with some damage, or none.
    fn almost_json() -> impl Strategy<Value = Vec<u8>> {
        let scalar = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            Just("false".to_owned()),
            any::<i64>().prop_map(|number| number.to_string()),
            proptest::num::f64::NORMAL.prop_map(|number| format!("{number:e}")),
            Just("1e999".to_owned()),
            Just("123456789012345678901234567890".to_owned()),
            Just("\"\\ud800\"".to_owned()),
            any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        ];
        let value = scalar.prop_recursive(5, 40, 6, |inner| {
            let blank = prop_oneof![Just(""), Just(" "), Just("\n\t")];
            prop_oneof![
                (proptest::collection::vec(inner.clone(), 0..6), blank.clone())
                    .prop_map(|(values, blank)| format!("[{blank}{}{blank}]", values.join(&format!("{blank},")))),
                (proptest::collection::vec((any::<String>(), inner), 0..6), blank).prop_map(|(members, blank)| {
                    let members =
                        members.iter().map(|(key, value)| format!("{}{blank}:{value}", serde_json::json!(key)));
                    format!("{{{}{blank}}}", members.collect::<Vec<_>>().join(","))
                }),
            ]
        });
        let damage =
            (any::<prop::sample::Index>(), 0..4u8, prop::sample::select(b"{}[]\",:\\ 0-.eE+tn\n\x01u".to_vec()));
        (value, proptest::collection::vec(damage, 0..3)).prop_map(|(json, damages)| {
            let mut json = json.into_bytes();
            for (place, kind, byte) in damages {
                let at = place.index(json.len());
                match kind {
                    0 => drop(json.remove(at)),
                    1 => json.insert(at, byte),
                    2 => json[at] = byte,
                    _ => json.truncate(at + 1),
                }
                if json.is_empty() {
                    json.push(byte);
                }
            }
            json
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn serde_json_agrees(json in almost_json()) {
            // Serde_json would look at UTF-8 in some places; damage may have split a letter.
            let json = String::from_utf8_lossy(&json).into_owned().into_bytes();
            let expect = serde_json::from_slice::<IgnoredAny>(&json).is_ok();
            prop_assert_eq!(is_valid(&json), expect, "{}", json.escape_ascii());
        }

        #[test]
        fn simd_accepts_no_more_than_the_scanner(json in almost_json()) {
            if simd_accepts(&json) {
                prop_assert!(scan_accepts(&json), "{}", json.escape_ascii());
            }
        }

        #[test]
        fn simd_accepts_no_rubbish(json in "[\\[\\]{}\",:\\\\0-9eE+.tfn \u{1}-]{0,80}") {
            if simd_accepts(json.as_bytes()) {
                prop_assert!(scan_accepts(json.as_bytes()), "{}", json);
            }
        }

        #[test]
        fn compacting_changes_no_value(json in almost_json()) {
            if let Ok(value) = serde_json::from_slice::<serde_json::Value>(&json) {
                let mut out = Vec::new();
                compact_html(&json, &mut out);
                prop_assert!(!out.iter().any(|byte| matches!(byte, b'<' | b'>' | b'&' | b'\n')));
                prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&out).unwrap(), value);
                let mut again = Vec::new();
                compact_html(&out, &mut again);
                prop_assert_eq!(again, out);
            }
        }
    }

    #[track_caller]
    fn check(json: &[u8], valid: bool) {
        let indented = [&vec![b' '; SIMD_FROM], json].concat();
        assert!(is_mostly_blank(&indented));
        for json in [json, &indented] {
            assert_eq!(is_valid(json), valid, "{}", json.escape_ascii());
        }
    }

    #[test]
    fn what_only_one_of_the_two_parsers_accepts() {
        check(b"1e999", true);
        check(b"[123456789012345678901234567890]", true);
        check(b"\"\xFF\"", true);
        check(b"\"\\ud800\"", true);
        check(&[vec![b'['; 20_000], vec![b']'; 20_000]].concat(), true);
        check(b"", false);
        check(b"{}{}", false);
        check(b"01", false);
        check(b"\"\t\"", false);
    }

    #[test]
    fn objects() {
        assert!(is_object(b" \n{\"a\":1} "));
        for json in ["", "[]", "1", "null", "{", "\"{}\""] {
            assert!(!is_object(json.as_bytes()), "{json}");
        }
    }

    #[test]
    fn compacts_and_escapes_like_go() {
        let check = |json: &str, expect: &str| {
            let mut out = b">".to_vec();
            compact_html(json.as_bytes(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!(">{expect}"));
        };
        check("{ \"a\" :\t[1 ,\r\n2 ] }", r#"{"a":[1,2]}"#);
        check(r#"{"a b":"<i> & \" \\"}"#, r#"{"a b":"\u003ci\u003e \u0026 \" \\"}"#);
        check("\"\u{2028}\u{2029}\u{2027}é\"", "\"\\u2028\\u2029\u{2027}é\"");
    }
}
