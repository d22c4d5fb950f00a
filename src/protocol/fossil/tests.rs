use proptest::prelude::*;

use super::*;

const LONG: &str = r#"{"name":"a rather long value that does not change at all","n":"#;

/// The patch as text, and that it makes of one what the other is.
#[track_caller]
fn check(old: &str, new: &str, expected: Option<&str>) {
    let patch = create(old.as_bytes(), new.as_bytes());
    let shown = patch.as_ref().map(|patch| std::str::from_utf8(patch).expect("no character is cut"));
    assert_eq!(shown, expected, "{old} to {new}");
    if let Some(patch) = patch {
        assert!(patch.len() < new.len());
        assert_eq!(apply(old.as_bytes(), &patch, new.len()).as_deref(), Ok(new.as_bytes()));
    }
}

#[test]
fn patches_are_what_upstream_makes() {
    check(&format!("{LONG}1}}"), &format!("{LONG}2}}"), Some("10\nz@0,2:2}1A5gfF;"));
    check(&format!("{LONG}1}}"), &format!("{LONG}1}}"), Some("10\n10@0,1A5gbF;"));
}

#[test]
fn what_is_short_or_new_is_not_patched() {
    check("", "", None);
    check("0123456789abcdef", "0123456789abcdef0", None);
    check(&"x".repeat(100), "", None);
    check(&"x".repeat(100), "a whole other payload of some length", None);
    check(LONG, "short", None);
}

#[test]
fn characters_stay_whole() {
    let old = "{\"t\": \"žluťoučký kůň žluťoučký kůň žluťoučký kůň\"}";
    // The first byte of both letters is the same, then the last one.
    for (from, to) in [("ž", "š"), ("ů", "ܯ"), ("k", "日本"), ("ý", "\u{1F600}")] {
        let new = old.replacen(from, to, 2);
        let patch = create(old.as_bytes(), new.as_bytes()).expect("worth it");
        assert!(std::str::from_utf8(&patch).is_ok(), "{from} to {to}");
        assert_eq!(apply(old.as_bytes(), &patch, 1000).as_deref(), Ok(new.as_bytes()));
    }
}

#[test]
fn work_is_bounded() {
    // Every block has the same hash and no piece is long enough: the worst that there is.
    let old: Vec<u8> = b"a\0\0\0\0\0\0\0\0\0\0\0\0\0\0b".repeat(20_000);
    let new: Vec<u8> = b"\0a\0\0\0\0\0\0\0\0\0\0\0\0b\0".repeat(20_000);
    if let Some(patch) = create(&old, &new) {
        assert_eq!(apply(&old, &patch, new.len()), Ok(new));
    }
}

#[test]
fn bad_patches_are_told_from_good_ones() {
    let old = b"0123456789";
    let good = b"4\n2@3,2:xy2z~;";
    let checksum = apply(old, good, 10).unwrap_err();
    assert_eq!(checksum, BadPatch("the checksum is another"));
    for (patch, why) in [
        (&b""[..], "a number is missing or too large"),
        (b"4", "it is cut off"),
        (b"4;", "no newline behind the length"),
        (b"B\n", "the result would be too long"),
        (b"zzzzzzz\n", "a number is missing or too large"),
        (b"4\n4@7,", "a copy reaches outside of the old payload"),
        (b"4\n4@zzzzz,", "a copy reaches outside of the old payload"),
        (b"4\n4@0;", "no comma behind a copy"),
        (b"4\n4:abc", "an insertion is cut off"),
        (b"4\n5:abcde", "the result is longer than it should be"),
        (b"4\n4?", "an unknown command"),
        (b"4\n3@0,0;", "the result has another length"),
        (b"0\n0;x", "something stands behind the end"),
        (b"4\n4@0,", "a number is missing or too large"),
    ] {
        assert_eq!(apply(old, patch, 10), Err(BadPatch(why)), "{}", patch.escape_ascii());
    }
    assert_eq!(apply(old, b"0\n0;", 10), Ok(Vec::new()));
}

/// Payloads of few different bytes and of pieces of each other, so that there is something to find.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(prop::sample::select(b"ab".to_vec()), 0..80),
        Just(LONG.as_bytes().to_vec()),
        "[a-zž日]{0,30}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn applying_what_was_created_gives_the_payload(one in payload(), other in payload(), cut: prop::sample::Index) {
        let spliced = [&one[cut.index(one.len() + 1)..], &other[..], &one[..cut.index(one.len() + 1)]].concat();
        for (old, new) in [(&one, &other), (&one, &spliced), (&spliced, &one), (&one, &one)] {
            let Some(patch) = create(old, new) else { continue };
            prop_assert!(patch.len() < new.len());
            prop_assert_eq!(apply(old, &patch, new.len()), Ok(new.clone()));
            if std::str::from_utf8(new).is_ok() {
                prop_assert!(std::str::from_utf8(&patch).is_ok());
            }
        }
    }

    #[test]
    fn hostile_patches_do_no_harm(old: Vec<u8>, patch in "[0-9A-Za-z~\n@:,;]{0,40}", limit in 0usize..100) {
        if let Ok(new) = apply(&old, patch.as_bytes(), limit) {
            prop_assert!(new.len() <= limit);
        }
    }
}
