//! Bad input says what to change.

use std::process::Command;

use crate::support::{generator, run, server_command, words};

/// Runs with these arguments; it must fail with this code and these words.
fn check(arguments: &str, more: &[&str], code: i32, expected: &str) {
    let output = run(arguments, more);
    assert_eq!(output.status.code(), Some(code), "{arguments}: {}", words(&output));
    assert!(words(&output).contains(expected), "{arguments}: {}", words(&output));
}

#[test]
fn wrong_arguments_are_explained() {
    check("fanot", &[], 2, "'fanout'");
    check("fanout --rate nought", &[], 2, "a rate is so many a second");
    check("fanout --duration 3days", &[], 2, "ms, s, m or h");
    check("fanout --size 10", &[], 2, "55");
    check("fanout --url https://127.0.0.1:1", &[], 1, "only http://");
    check("fanout --url http://192.0.2.1:80", &[], 1, "--remote");
    check("fanout --server spindle", &[], 1, "{port}");
    check("fanout --pid 4194305", &[], 1, "no such process");
    check("fanout --also-pid 4194305", &[], 1, "no such process");
    check(&format!("fanout --also-pid {}", std::process::id()), &[], 1, "give --pid");
    check(&format!("recover --pid {0} --also-pid {0}", std::process::id()), &[], 1, "means nothing to recover");
    check("fanout --core 999", &[], 1, "core 999 is not to be had");
    check("fanout --floor", &[], 1, "--server-core");
    check("api --floor --server-core 0", &[], 1, "--floor means nothing to api");
    check("idle", &[], 1, "--pid");
    check("many --channels 7 --batch 2 --each 1", &[], 1, "multiple of --batch");
    check("many --channels 10 --batch 2 --each 11", &[], 1, "there are only 10");
    check("recover --workers 2", &[], 1, "--workers");
    check("reconnect --workers 2", &[], 1, "--workers");
    check("reconnect --connections 1000 --each 1000", &[], 1, "more than the 900000");
}

#[test]
fn a_closed_door_is_explained() {
    // Bound and let go: nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let url = format!("http://{free}");
    check("fanout", &["--url", &url], 1, "refuses connections");
    check("api", &["--url", &url], 1, "--url");
    check("fanout --server", &["false {port}"], 1, "the server ended");
}

#[test]
fn too_few_files_are_explained() {
    let generator = env!("CARGO_BIN_EXE_spindle-loadtest");
    // An administrator may exceed any limit, unless the right to is given up.
    let drop = "setpriv --bounding-set=-all --inh-caps=-all";
    let script = format!("ulimit -n 100; [ $(id -u) = 0 ] && exec {drop} {generator} fanout; exec {generator} fanout");
    let output = Command::new("sh").arg("-c").arg(script).output().expect("a shell");
    assert!(words(&output).contains("ulimit"), "{}", words(&output));
}

#[test]
fn wrong_keys_are_explained() {
    let server = server_command();
    let short = "--warmup 0s --duration 100ms --server";
    check(&format!("fanout --subscribers 1 --hmac-secret wrong {short}"), &[&server], 1, "--hmac-secret");
    check(&format!("api --api-key wrong {short}"), &[&server], 1, "--api-key");
    check(&format!("echo --connections 1 --namespace none {short}"), &[&server], 1, "namespace does not exist");
    check(&format!("presence --connections 1 --namespace echo {short}"), &[&server], 1, "server.json");
}

#[test]
fn help_names_every_scenario() {
    let output = generator().arg("--help").output().expect("help");
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    for name in [
        "idle",
        "connect",
        "fanout",
        "many",
        "echo",
        "api",
        "presence",
        "reconnect",
        "recover",
        "slow",
        "soak",
        "compare",
        "merge",
    ] {
        assert!(help.contains(name), "{name}");
    }
}
