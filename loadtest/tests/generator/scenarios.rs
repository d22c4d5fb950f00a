//! Every scenario with small numbers against the real server: it runs, and nothing is lost. Whether this machine is fast
//! enough for its figures is no concern here.

use crate::support::{Redis, figure, report, run, server_command, words};
use serde_json::Value;

/// Runs a scenario; its report, in which nothing but this machine may be wrong.
fn check(arguments: &str) -> Value {
    let output = run(arguments, &["--json", "--server", &server_command()]);
    let report = report(&output);
    let faults: Vec<&Value> = report["complaints"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|complaint| !complaint.as_str().expect("words").starts_with("the generator was"))
        .collect();
    assert!(faults.is_empty(), "{arguments}: {faults:?} {}", words(&output));
    report
}

const SHORT: &str = "--warmup 100ms --duration 500ms";

#[test]
fn fanout_delivers_to_all() {
    for protocol in ["json", "protobuf"] {
        let also = std::process::id();
        let report =
            check(&format!("fanout --subscribers 20 --rate 50 --protocol {protocol} --also-pid {also} {SHORT}"));
        assert!((figure(&report, "deliveries") - 1000.0).abs() < 300.0);
        assert!(figure(&report, "server_cpu_a_delivery") > 0.0 && figure(&report, "latency_p99") > 0.0);
        assert!(figure(&report, "other_process_cpu_a_delivery") >= 0.0);
        assert!(!report["series"].as_array().expect("a list").is_empty());
    }
}

#[test]
fn fanout_saturates_and_knows_the_floor() {
    let arguments = "fanout --subscribers 10 --saturate --floor --server-core 0 --workers 2 --duration 300ms";
    let report = check(&format!("{arguments} --warmup 100ms"));
    assert!(figure(&report, "floor_cpu_a_send") > 0.0);
    assert!(figure(&report, "server_cpu_a_delivery_over_the_floor") > 0.0);
    assert_eq!(report["settings"]["workers"], "2");
}

#[test]
fn many_has_several_messages_pending() {
    for protocol in ["json", "protobuf"] {
        let arguments = "many --connections 20 --channels 20 --each 5 --batch 10 --rate 400";
        let report = check(&format!("{arguments} --protocol {protocol} {SHORT}"));
        assert!(figure(&report, "messages_a_read") > 1.0);
    }
}

#[test]
fn connections_come_and_go_with_tokens() {
    for protocol in ["json", "protobuf"] {
        let arguments = format!("connect --at-once 4 --hmac-secret loadtest --protocol {protocol} {SHORT}");
        assert!(figure(&check(&arguments), "connections_a_cpu_second") > 0.0);
    }
    assert!(figure(&check(&format!("connect --rate 50 --ramp 200ms {SHORT}")), "connections") > 0.0);
}

#[test]
fn echo_comes_back_to_the_publisher_and_its_group() {
    for arguments in ["--group 1", "--group 5 --rate 200", "--protocol protobuf", "--workers 2 --group 3"] {
        let report = check(&format!("echo --connections 10 {arguments} {SHORT}"));
        assert!(figure(&report, "messages") > 0.0);
    }
}

#[test]
fn api_requests_of_each_kind_arrive() {
    for kind in ["publish", "broadcast", "batch"] {
        let arguments = format!("api --kind {kind} --connections 3 --channels 5 --witness {SHORT}");
        assert!(figure(&check(&arguments), "publications") > 0.0);
    }
    check(&format!("api --rate 100 {SHORT}"));
}

#[test]
fn presence_is_right() {
    for protocol in ["json", "protobuf"] {
        check(&format!("presence --connections 20 --group 6 --protocol {protocol} {SHORT}"));
    }
    check(&format!("presence --connections 20 --group 20 --rate 100 {SHORT}"));
}

#[test]
fn all_recover_what_they_missed() {
    for protocol in ["json", "protobuf"] {
        let arguments = format!("recover --connections 30 --channels 3 --missed 7 --rounds 2 --protocol {protocol}");
        let report = check(&arguments);
        assert!(figure(&report, "all_back_after") > 0.0 && figure(&report, "cpu_a_recovered_connection") > 0.0);
    }
}

#[test]
fn all_channels_come_back_when_redis_hangs_up() {
    let redis = Redis::start();
    let engine = format!("env CENTRIFUGO_ENGINE_TYPE=redis CENTRIFUGO_ENGINE_REDIS_ADDRESS=127.0.0.1:{}", redis.port);
    let arguments = format!("reconnect --redis 127.0.0.1:{} --connections 3 --each 100 --rounds 2", redis.port);
    for namespace in ["", "history"] {
        let more = ["--json", "--namespace", namespace, "--server", &format!("{engine} {}", server_command())];
        let output = run(&arguments, &more);
        let report = report(&output);
        assert_eq!(report["valid"], true, "{report:#} {}", words(&output));
        assert!(figure(&report, "all_back_after") > 0.0 && figure(&report, "server_cpu_a_channel") > 0.0);
    }
    let other = run(&arguments, &["--server", &server_command()]);
    assert!(words(&other).contains("is it the server's?"), "{}", words(&other));
}

#[test]
fn bad_clients_cost_the_good_ones_nothing() {
    for how in ["never", "slowly", "flood", "dribble", "huge", "mixed"] {
        let report = check(&format!("slow --subscribers 10 --bad 5 --how {how} --rate 50 {SHORT}"));
        assert!(figure(&report, "beside_to_without") > 0.0);
        // They go to the bounds and not beyond; otherwise nobody would be beside the good ones.
        assert_eq!(figure(&report, "bad_ones_sent_away"), 0.0, "{how}");
    }
}

#[test]
fn a_soak_loses_nothing_while_clients_come_and_go() {
    for protocol in ["json", "protobuf"] {
        let arguments = "soak --connections 30 --channels 5 --rate 100 --echo-rate 100 --churn 50 --workers 2";
        check(&format!("{arguments} --protocol {protocol} {SHORT}"));
    }
}

#[test]
fn idle_connections_are_weighed_and_alive() {
    let report = check(&format!("idle --connections 100 --channels 10 --sources 3 {SHORT}"));
    assert!(figure(&report, "private_memory_a_connection") != 0.0);
}

#[test]
fn two_servers_are_compared() {
    let server = server_command();
    let output = run(
        "compare --rounds 1 --json",
        &["--a", &server, "--b", &server, "--", "api", "--connections", "2", "--warmup", "0s", "--duration", "300ms"],
    );
    let found = report(&output);
    assert!(found["figures"]["server_cpu_a_publication"]["ratio"].as_f64().is_some(), "{found}");
}

#[test]
fn reports_of_processes_merge_and_become_a_page() {
    let folder = std::env::temp_dir().join(format!("spindle-loadtest-merge-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let files: Vec<String> = (0..2)
        .map(|i| {
            let output = run(&format!("echo --connections 3 {SHORT} --json"), &["--server", &server_command()]);
            let path = folder.join(format!("{i}.json"));
            std::fs::write(&path, &output.stdout).expect("written");
            path.to_string_lossy().into_owned()
        })
        .collect();
    let page = folder.join("page.html");
    let output = run("merge --json --report", &[&page.to_string_lossy(), &files[0], &files[1]]);
    assert_eq!(report(&output)["settings"]["processes"], "2");
    let page = std::fs::read_to_string(page).expect("a page");
    assert!(page.contains("\"processes\":\"2\"") && !page.contains("/*REPORT*/"));
    std::fs::remove_dir_all(folder).expect("removed");
}
