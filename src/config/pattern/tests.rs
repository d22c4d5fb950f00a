//! What Go says to these patterns: which of the texts fit, or that the pattern is refused.

use super::*;
use proptest::prelude::*;

/// Separated by `|`, which none of them holds.
const TEXTS: &str = "|a|A|b|ab|ac|bc|c|aa|aaa|aaaa|1|12|-|_| |.|[|]|{|a{|a{,2}|a{02}|a{2,x}|&|~|\n|\t|\u{0}|é|É|α|\u{391}|K|k|\u{212a}|\u{17f}|\u{663}|z|a.b|a.bb|axb|a foo b|afoo|chat|CHAT|a+|a++|a+a+|Aé|A\n|\u{7}\u{c}\n\r\t\u{b}|_ -/\"|x\na\ny|A\n|news|123|aé|a*|a*b|aB|BC|/|!|:|ae|\u{e000}";

fn fitting(pattern: &str) -> Vec<&'static str> {
    let regex = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    TEXTS.split('|').filter(|text| regex.is_match(text)).collect()
}

/// Exactly these of the texts fit.
fn only(pattern: &str, texts: &[&str]) {
    assert_eq!(fitting(pattern), texts, "{pattern}");
}

/// All but these of the texts fit.
fn all_but(pattern: &str, texts: &[&str]) {
    let fitting = fitting(pattern);
    let others: Vec<_> = TEXTS.split('|').filter(|text| !fitting.contains(text)).collect();
    assert_eq!(others, texts, "{pattern}");
}

mod tables {
    use super::{all_but, compile, only};

    #[test]
    fn plain() {
        only("news", &["news"]);
        only(
            "^[a-z]+$",
            &["a", "b", "ab", "ac", "bc", "c", "aa", "aaa", "aaaa", "k", "z", "axb", "afoo", "chat", "news", "ae"],
        );
        only("a.b", &["a.b", "a.bb", "axb", "a*b"]);
        only(
            "^a|b$",
            &[
                "a", "b", "ab", "ac", "aa", "aaa", "aaaa", "a{", "a{,2}", "a{02}", "a{2,x}", "a.b", "a.bb", "axb",
                "a foo b", "afoo", "a+", "a++", "a+a+", "aé", "a*", "a*b", "aB", "ae",
            ],
        );
        only("^(a|b)c$", &["ac", "bc"]);
        all_but("", &[]);
        all_but("a||b", &[]);
        only("^(|a)b$", &["b", "ab"]);
        all_but("()*", &[]);
        only("^a*?$", &["", "a", "aa", "aaa", "aaaa"]);
        only(
            "^^*a",
            &[
                "a", "ab", "ac", "aa", "aaa", "aaaa", "a{", "a{,2}", "a{02}", "a{2,x}", "a.b", "a.bb", "axb",
                "a foo b", "afoo", "a+", "a++", "a+a+", "aé", "a*", "a*b", "aB", "ae",
            ],
        );
    }

    #[test]
    fn perl() {
        only(r"^\d+$", &["1", "12", "123"]);
        only(
            r"^\D$",
            &[
                "a", "A", "b", "c", "-", "_", " ", ".", "[", "]", "{", "&", "~", "\n", "\t", "\u{0}", "é", "É", "α",
                "\u{391}", "K", "k", "\u{212a}", "\u{17f}", "\u{663}", "z", "/", "!", ":", "\u{e000}",
            ],
        );
        only(r"^\w$", &["a", "A", "b", "c", "1", "_", "K", "k", "z"]);
        only(
            r"^\W$",
            &[
                "-", " ", ".", "[", "]", "{", "&", "~", "\n", "\t", "\u{0}", "é", "É", "α", "\u{391}", "\u{212a}",
                "\u{17f}", "\u{663}", "/", "!", ":", "\u{e000}",
            ],
        );
        only(r"^\s$", &[" ", "\n", "\t"]);
        only(
            r"^\S$",
            &[
                "a", "A", "b", "c", "1", "-", "_", ".", "[", "]", "{", "&", "~", "\u{0}", "é", "É", "α", "\u{391}",
                "K", "k", "\u{212a}", "\u{17f}", "\u{663}", "z", "/", "!", ":", "\u{e000}",
            ],
        );
        only(r"\bfoo\b", &["a foo b"]);
        only(r"a\Bb", &["ab"]);
        // As Go answers, also beside and within letters that are not ASCII.
        for (pattern, text, expected) in [
            (r"\B", "é", true),
            (r"\B", "aéb", false),
            (r"\B", "aéé", true),
            (r"a\Bé", "aé", false),
            (r"é\Bé", "éé", true),
            (r"é\Ba", "éa", false),
            (r"^\B", "éa", true),
            (r"\B$", "aé", true),
            (r"\Bé$", "éé", true),
            (r"^\B$", "", true),
        ] {
            assert_eq!(compile(pattern).unwrap().is_match(text), expected, "{pattern} in {text}");
        }
        only(
            r"^[\w.-]+$",
            &[
                "a", "A", "b", "ab", "ac", "bc", "c", "aa", "aaa", "aaaa", "1", "12", "-", "_", ".", "K", "k", "z",
                "a.b", "a.bb", "axb", "afoo", "chat", "CHAT", "news", "123", "aB", "BC", "ae",
            ],
        );
        only(
            r"^[^\d]$",
            &[
                "a", "A", "b", "c", "-", "_", " ", ".", "[", "]", "{", "&", "~", "\n", "\t", "\u{0}", "é", "É", "α",
                "\u{391}", "K", "k", "\u{212a}", "\u{17f}", "\u{663}", "z", "/", "!", ":", "\u{e000}",
            ],
        );
        only(
            r"^[\D1]$",
            &[
                "a", "A", "b", "c", "1", "-", "_", " ", ".", "[", "]", "{", "&", "~", "\n", "\t", "\u{0}", "é", "É",
                "α", "\u{391}", "K", "k", "\u{212a}", "\u{17f}", "\u{663}", "z", "/", "!", ":", "\u{e000}",
            ],
        );
        only(r"(?i)^\w$", &["a", "A", "b", "c", "1", "_", "K", "k", "\u{212a}", "\u{17f}", "z"]);
        only(r"(?i)^[^\W]$", &["a", "A", "b", "c", "1", "_", "K", "k", "\u{212a}", "\u{17f}", "z"]);
        only(r"^[\d-z]$", &["1", "-", "z"]);
    }

    #[test]
    fn quote() {
        only(r"^\Qa.b\E+$", &["a.b", "a.bb"]);
        only(r"^\Qa*", &["a*", "a*b"]);
        only(r"^\Q\E$", &[""]);
        only(r"^a\Q+\E*$", &["a", "a+", "a++"]);
    }

    #[test]
    fn class() {
        only("^[[a]$", &["a", "["]);
        only("^[]a]$", &["a", "]"]);
        only(
            "^[^]a]$",
            &[
                "A", "b", "c", "1", "-", "_", " ", ".", "[", "{", "&", "~", "\n", "\t", "\u{0}", "é", "É", "α",
                "\u{391}", "K", "k", "\u{212a}", "\u{17f}", "\u{663}", "z", "/", "!", ":", "\u{e000}",
            ],
        );
        only("^[a&&b~~]+$", &["a", "b", "ab", "aa", "aaa", "aaaa", "&", "~"]);
        only(
            "^[[:alpha:]_]+$",
            &[
                "a", "A", "b", "ab", "ac", "bc", "c", "aa", "aaa", "aaaa", "_", "K", "k", "z", "axb", "afoo", "chat",
                "CHAT", "news", "aB", "BC", "ae",
            ],
        );
        only(
            "^[[:^digit:]]$",
            &[
                "a", "A", "b", "c", "-", "_", " ", ".", "[", "]", "{", "&", "~", "\n", "\t", "\u{0}", "é", "É", "α",
                "\u{391}", "K", "k", "\u{212a}", "\u{17f}", "\u{663}", "z", "/", "!", ":", "\u{e000}",
            ],
        );
        only("^[:alpha:]$", &["a", ":"]);
        only("^[a-]$", &["a", "-"]);
        only("^[-a]$", &["a", "-"]);
        only("^[--a]$", &["a", "A", "1", "-", "_", ".", "[", "]", "K", "/", ":"]);
        only("^[a-b-c]$", &["a", "b", "c", "-"]);
        only(r"^[\]x]$", &["]"]);
        only(
            "^[^a]$",
            &[
                "A", "b", "c", "1", "-", "_", " ", ".", "[", "]", "{", "&", "~", "\n", "\t", "\u{0}", "é", "É", "α",
                "\u{391}", "K", "k", "\u{212a}", "\u{17f}", "\u{663}", "z", "/", "!", ":", "\u{e000}",
            ],
        );
        only("(?i)^[[:lower:]]$", &["a", "A", "b", "c", "K", "k", "\u{212a}", "\u{17f}", "z"]);
        only(r"^[\-]$", &["-"]);
        only(r"[\x{d800}]", &[]);
        only(
            r"^[^\x{d800}-\x{dfff}]$",
            &[
                "a", "A", "b", "c", "1", "-", "_", " ", ".", "[", "]", "{", "&", "~", "\n", "\t", "\u{0}", "é", "É",
                "α", "\u{391}", "K", "k", "\u{212a}", "\u{17f}", "\u{663}", "z", "/", "!", ":", "\u{e000}",
            ],
        );
        only(r"^[\x{d7ff}-\x{e000}]$", &["\u{e000}"]);
        only(r"\x{d800}", &[]);
    }

    #[test]
    fn unicode() {
        only(r"^\pL$", &["a", "A", "b", "c", "é", "É", "α", "\u{391}", "K", "k", "\u{212a}", "\u{17f}", "z"]);
        only(
            r"^\PL$",
            &[
                "1", "-", "_", " ", ".", "[", "]", "{", "&", "~", "\n", "\t", "\u{0}", "\u{663}", "/", "!", ":",
                "\u{e000}",
            ],
        );
        only(r"^\pl$", &["a", "A", "b", "c", "é", "É", "α", "\u{391}", "K", "k", "\u{212a}", "\u{17f}", "z"]);
        only(r"^\p{Greek}$", &["α", "\u{391}"]);
        only(r"^\p{greek}$", &["α", "\u{391}"]);
        only(
            r"^\p{^Lu}$",
            &[
                "a", "b", "c", "1", "-", "_", " ", ".", "[", "]", "{", "&", "~", "\n", "\t", "\u{0}", "é", "α", "k",
                "\u{17f}", "\u{663}", "z", "/", "!", ":", "\u{e000}",
            ],
        );
        only(r"^\P{^Lu}$", &["A", "É", "\u{391}", "K", "\u{212a}"]);
        only(r"^\p{Letter}$", &["a", "A", "b", "c", "é", "É", "α", "\u{391}", "K", "k", "\u{212a}", "\u{17f}", "z"]);
        only(r"^\p{uppercase letter}$", &["A", "É", "\u{391}", "K", "\u{212a}"]);
        only(
            r"^\p{Any}$",
            &[
                "a", "A", "b", "c", "1", "-", "_", " ", ".", "[", "]", "{", "&", "~", "\n", "\t", "\u{0}", "é", "É",
                "α", "\u{391}", "K", "k", "\u{212a}", "\u{17f}", "\u{663}", "z", "/", "!", ":", "\u{e000}",
            ],
        );
        only(r"\P{Any}", &[]);
        only(
            r"^\p{ASCII}$",
            &[
                "a", "A", "b", "c", "1", "-", "_", " ", ".", "[", "]", "{", "&", "~", "\n", "\t", "\u{0}", "K", "k",
                "z", "/", "!", ":",
            ],
        );
        only(r"^[\p{Lu}\p{Nd}]$", &["A", "1", "É", "\u{391}", "K", "\u{212a}", "\u{663}"]);
        only(r"(?i)^\p{Lu}$", &["a", "A", "b", "c", "é", "É", "α", "\u{391}", "K", "k", "\u{212a}", "\u{17f}", "z"]);
        only(r"\p{Cs}", &[]);
        only(r"^[^\P{L}]$", &["a", "A", "b", "c", "é", "É", "α", "\u{391}", "K", "k", "\u{212a}", "\u{17f}", "z"]);
    }

    #[test]
    fn escapes() {
        only(r"^\x41\x{e9}$", &["Aé"]);
        only(r"^\101\12$", &["A\n", "A\n"]);
        only(r"^\0$", &["\u{0}"]);
        only(r"^\a\f\n\r\t\v$", &["\u{7}\u{c}\n\r\t\u{b}"]);
        only(r#"^\_\ \-\/\"$"#, &["_ -/\""]);
        only(r"^\.$", &["."]);
    }

    #[test]
    fn repeat() {
        only("^a{2}$", &["aa"]);
        only("^a{2,}$", &["aa", "aaa", "aaaa"]);
        only("^a{1,2}$", &["a", "aa"]);
        only("^a{,2}$", &["a{,2}"]);
        only("^a{$", &["a{"]);
        only("^{$", &["{"]);
        only("^a{02}$", &["a{02}"]);
        only("^a{2,x}$", &["a{2,x}"]);
        only("^a{2}?$", &["aa"]);
        only("^(a{2}){2}$", &["aaaa"]);
        only("^a{0}b$", &["b"]);
        only("^a(?i)*$", &["", "a", "aa", "aaa", "aaaa"]);
        only(
            "^[a-z]{1,1000}$",
            &["a", "b", "ab", "ac", "bc", "c", "aa", "aaa", "aaaa", "k", "z", "axb", "afoo", "chat", "news", "ae"],
        );
        only(
            r"^\pL{1,255}$",
            &[
                "a", "A", "b", "ab", "ac", "bc", "c", "aa", "aaa", "aaaa", "é", "É", "α", "\u{391}", "K", "k",
                "\u{212a}", "\u{17f}", "z", "axb", "afoo", "chat", "CHAT", "Aé", "news", "aé", "aB", "BC", "ae",
            ],
        );
        only("(a{100}){10}", &[]);
    }

    #[test]
    fn flags() {
        only("(?i)^chat$", &["chat", "CHAT"]);
        only("(?i:a)b", &["ab"]);
        only(
            "(?s)^.$",
            &[
                "a", "A", "b", "c", "1", "-", "_", " ", ".", "[", "]", "{", "&", "~", "\n", "\t", "\u{0}", "é", "É",
                "α", "\u{391}", "K", "k", "\u{212a}", "\u{17f}", "\u{663}", "z", "/", "!", ":", "\u{e000}",
            ],
        );
        only(
            "^.$",
            &[
                "a", "A", "b", "c", "1", "-", "_", " ", ".", "[", "]", "{", "&", "~", "\t", "\u{0}", "é", "É", "α",
                "\u{391}", "K", "k", "\u{212a}", "\u{17f}", "\u{663}", "z", "/", "!", ":", "\u{e000}",
            ],
        );
        only("(?m)^a$", &["a", "x\na\ny"]);
        only("^a$", &["a"]);
        only("(?U)^a+$", &["a", "aa", "aaa", "aaaa"]);
        only("(?ii)^a$", &["a", "A"]);
        only("(?)^a$", &["a"]);
        only("(?i-i)^a$", &["a"]);
        only("(?im-s)^a$", &["a", "A", "A\n", "x\na\ny", "A\n"]);
        only("^(?i)k$", &["K", "k", "\u{212a}"]);
        only("^(?:(?i)a|b)c$", &["ac", "bc"]);
        only(r"(?i)^\x{e9}$", &["é", "É"]);
    }

    #[test]
    fn names() {
        only(
            "(?P<n>a)",
            &[
                "a", "ab", "ac", "aa", "aaa", "aaaa", "a{", "a{,2}", "a{02}", "a{2,x}", "a.b", "a.bb", "axb",
                "a foo b", "afoo", "chat", "a+", "a++", "a+a+", "x\na\ny", "aé", "a*", "a*b", "aB", "ae",
            ],
        );
        only(
            "(?<n>a)",
            &[
                "a", "ab", "ac", "aa", "aaa", "aaaa", "a{", "a{,2}", "a{02}", "a{2,x}", "a.b", "a.bb", "axb",
                "a foo b", "afoo", "chat", "a+", "a++", "a+a+", "x\na\ny", "aé", "a*", "a*b", "aB", "ae",
            ],
        );
        only(
            "(?P<1a>a)",
            &[
                "a", "ab", "ac", "aa", "aaa", "aaaa", "a{", "a{,2}", "a{02}", "a{2,x}", "a.b", "a.bb", "axb",
                "a foo b", "afoo", "chat", "a+", "a++", "a+a+", "x\na\ny", "aé", "a*", "a*b", "aB", "ae",
            ],
        );
        only("(?P<n>a)(?P<n>b)", &["ab"]);
        only("(a)(b)", &["ab"]);
    }
}

#[test]
fn what_go_refuses() {
    for pattern in [
        "[",
        "(",
        ")",
        "*a",
        "a**",
        "a*??",
        "a{2}{3}",
        "a{2,1}",
        "a{1001}",
        "a{2,1001}",
        "(a{100}){11}",
        "a{99999999999}",
        r"\C",
        r"\Z",
        r"\h",
        r"\e",
        r"\8",
        r"\1",
        r"\x",
        r"\x4",
        r"\x{}",
        r"\x{110000}",
        r"\x{zz}",
        r"\u0041",
        r"\é",
        r"\",
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        "(?>a)",
        "(?#a)",
        "(?x)a",
        "(?u)a",
        "(?R)a",
        "(?-)a",
        "(?i-)a",
        "(?P=n)",
        "(?P<n)",
        "(?<>a)",
        "(?P<n-m>a)",
        "(?'n'a)",
        "(?i",
        "(?",
        "a|*",
        "(?i)*",
        "(*)",
        "[b-a]",
        r"[a-\d]",
        r"[\b]",
        r"[\Qa\E]",
        "[[:foo:]]",
        "[",
        "[a",
        r"\p",
        r"\p{",
        r"\p{}",
        r"\p{Foo}",
        r"\p{Grek}",
        r"\p{Alphabetic}",
        r"\p{sc=Greek}",
        r"\p{isL}",
        r"\p{L&}",
        r"\p^",
    ] {
        let error = compile(pattern).unwrap_err();
        assert!(error.starts_with("is not a valid pattern: ") && !error.contains('\n'), "{pattern}: {error}");
    }
}

#[test]
fn groups_keep_their_numbers_and_names() {
    let found = |pattern: &str| {
        let regex = compile(pattern).unwrap().0;
        let captures = regex.captures(b"ab").unwrap();
        let text = |at: usize| captures.get(at).map(|found| String::from_utf8_lossy(found.as_bytes()).into_owned());
        let names = regex.capture_names().flatten().map(str::to_owned).collect::<Vec<_>>().join(",");
        (text(1), text(2), names)
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(found("(?P<x>a)(?<y>b)"), (some("a"), some("b"), "x,y".to_owned()));
    assert_eq!(found("(?:a)(?P<y_1>b)"), (some("b"), None, "y_1".to_owned()));
    assert_eq!(found("(a+?)(.*)"), (some("a"), some("b"), String::new()));
    assert_eq!(found("(?U)a(.*)(b*)$"), (some(""), some("b"), String::new()), "greed is swapped");
    // The crate has no such names; the groups are there.
    assert_eq!(found("(?P<x>a)(?P<x>b)"), (some("a"), some("b"), "x".to_owned()));
    assert_eq!(found("(?P<1>a)(b)"), (some("a"), some("b"), String::new()));
}

#[test]
fn bounds() {
    let nested = |depth: usize| format!("{}a{}", "(?:x|(?i:y?".repeat(depth / 2), "z*)+)".repeat(depth / 2));
    assert!(compile(&nested(parse::DEPTH_MAX)).is_ok());
    assert!(compile(&nested(parse::DEPTH_MAX + 2)).unwrap_err().contains("nests deeper than"));
    assert!(compile(r"[^\PL1]{1000}").unwrap_err().contains("MiB"));
}

proptest! {
    #[test]
    fn any_text_is_a_pattern_or_not(pattern in r"[\[\]\\^QEdwbpPx{}()?*|:&~a\-1,\u{e9}]{0,16}") {
        if let Ok(regex) = compile(&pattern) {
            regex.is_match("a-1\u{e9}");
        }
    }

    #[test]
    fn plain_text_fits_itself(text in "[a-z\u{e9}#&~ <>:/,'\"!@%=;_-]{1,16}") {
        let regex = compile(&format!("^{text}$")).unwrap();
        prop_assert!(regex.is_match(&text));
    }
}
