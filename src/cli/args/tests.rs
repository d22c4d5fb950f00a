//! Command lines: what they mean, or that they are refused.

use super::*;

fn read(args: &[&str]) -> Result<Line, clap::Error> {
    Line::read(["spindle"].iter().chain(args).map(OsString::from))
}

/// `words` stand in what the command line means; none when it is refused.
fn check(args: &[&str], words: Option<&str>) {
    match (read(args), words) {
        (Ok(line), Some(words)) => assert!(format!("{line:?}").contains(words), "{args:?}: {line:?}"),
        (Err(_), None) => {}
        (read, _) => panic!("{args:?}: {read:?}, expected {words:?}"),
    }
}

#[test]
fn switches_take_every_form_of_the_reference() {
    for (flag, expected) in [
        ("--strict", Some("strict: true")),
        ("-s", Some("strict: true")),
        ("--strict=true", Some("strict: true")),
        ("--strict=1", Some("strict: true")),
        ("-s=T", Some("strict: true")),
        ("--strict=false", Some("strict: false")),
        ("--strict=maybe", None),
        ("--strict=", None),
    ] {
        check(&["checkconfig", flag], expected);
    }
    check(&["checkconfig"], Some("strict: false"));
    check(&["--dev=false"], Some("dev: false"));
    check(&["--dev"], Some("dev: true"));
    check(&["defaultconfig", "-d"], Some("dry_run: true"));
    check(&["defaultenv", "--base-non-zero-only=0"], Some("base_non_zero_only: false"));
    check(&["gentoken", "-q", "-u", "bob"], Some("quiet: true"));
    check(&["configdoc", "-m"], Some("markdown: true"));
}

#[test]
fn options_by_flags() {
    let set = |args: &[&str]| read(args).unwrap().overrides.0;
    let pair = |path: &str, value: &str| (path.to_owned(), value.to_owned());
    assert_eq!(set(&[]), []);
    assert_eq!(set(&["-p", "9", "-a", "::"]), [pair("http_server.address", "::"), pair("http_server.port", "9")]);
    assert_eq!(set(&["--http_server.port=9", "--http_server.port", "8"]), [pair("http_server.port", "8")]);
    assert_eq!(set(&["--client.insecure"]), [pair("client.insecure", "true")]);
    assert_eq!(set(&["--client.insecure=false"]), [pair("client.insecure", "false")]);
    assert_eq!(set(&["--no-pin", "--shards", "2"]), [pair("shards.count", "2"), pair("shards.pin", "false")]);
    // The next word is no value of a switch.
    check(&["--client.insecure", "false"], None);
}

#[test]
fn words_behind_a_command_are_passed_over() {
    check(&["version", "x", "y"], Some("Version"));
    check(&["checkconfig", "x", "-s"], Some("strict: true"));
    check(&["gentoken", "x", "-u", "bob"], Some("bob"));
    check(&["checktoken", "a", "b"], Some(r#"["a", "b"]"#));
    check(&["completion", "zsh", "--no-descriptions"], Some("no_descriptions: true"));
    check(&["x"], None);
    check(&["-c", "a.json", "x"], None);
}

#[test]
fn what_is_refused() {
    for args in [
        &["--nosuch"] as &[&str],
        &["version", "--nosuch"],
        &["checkconfig", "-c"],
        &["gentoken", "-t", "soon"],
        &["serve", "-p", "x"],
        &["completion", "zsh", "x"],
        &["--version"],
    ] {
        check(args, None);
    }
}
