//! Several methods in one body: batch and the legacy route.

use super::{SHARDS, World, top};
use crate::channel::name::ChannelName;
use crate::channel::op::Answer;

/// A name in the namespace `hist` whose home is this shard.
fn at_home(shard: u16, nth: usize) -> String {
    let names = (0..).map(|n| format!("hist:{n}"));
    let mut there = names.filter(|name| ChannelName::new(name).home(SHARDS).0 == shard);
    there.nth(nth).unwrap()
}

fn publish(channel: &str) -> String {
    format!(r#"{{"publish":{{"channel":"{channel}","data":1}}}}"#)
}

fn batch(commands: &[String], parallel: bool) -> String {
    format!(r#"{{"commands":[{}],"parallel":{parallel}}}"#, commands.join(","))
}

/// What a batch asks, a line for each time it does, and the text of its response.
fn check(commands: &[String], parallel: bool, asked: &[String], text: &str) {
    let mut world = World::new();
    let response = world.call("batch", &batch(commands, parallel));
    assert_eq!(String::from_utf8_lossy(&response.body), text);
    assert_eq!((response.status, response.content_type), (200, "application/json"));
    assert_eq!(world.asked.lines().collect::<Vec<_>>(), asked);
}

const ONE: &str = r#"{"publish":{"offset":7,"epoch":"aaaaaaaa"}}"#;

#[test]
fn commands_with_the_same_home_go_out_together() {
    let (a, b) = (at_home(1, 0), at_home(1, 1));
    let commands = [publish(&a), publish(&a), publish(&b), format!(r#"{{"history":{{"channel":"{a}"}}}}"#)];
    check(
        &commands,
        false,
        &[format!("publish {a} publish {a} publish {b} history {a}")],
        &format!(
            r#"{{"replies":[{ONE},{ONE},{ONE},{{"history":{{"publications":[],"epoch":"aaaaaaaa","offset":7}}}}]}}"#
        ),
    );
}

#[test]
fn commands_with_other_homes_wait_for_those_ahead() {
    let (a, b) = (at_home(0, 0), at_home(1, 0));
    let commands = [publish(&a), publish(&a), publish(&b), publish(&a)];
    let asked = [format!("publish {a} publish {a}"), format!("publish {b}"), format!("publish {a}")];
    check(&commands, false, &asked, &format!(r#"{{"replies":[{ONE},{ONE},{ONE},{ONE}]}}"#));
    let together = [format!("publish {a} publish {a} publish {b} publish {a}")];
    check(&commands, true, &together, &format!(r#"{{"replies":[{ONE},{ONE},{ONE},{ONE}]}}"#));
}

#[test]
fn broadcasts_and_surveys_stand_alone() {
    let (a, b) = (at_home(0, 0), at_home(1, 0));
    let broadcast = format!(r#"{{"broadcast":{{"channels":["{a}","{b}"],"data":1}}}}"#);
    let narrow = format!(r#"{{"broadcast":{{"channels":["{a}","{a}"],"data":1}}}}"#);
    let commands = [publish(&a), broadcast, narrow, publish(&a), r#"{"channels":{}}"#.into(), publish(&a)];
    let asked = [
        format!("publish {a}"),
        format!("publish {a} publish {b}"),
        format!("publish {a} publish {a} publish {a}"),
        "Channels { pattern: None, text: \"\" }".to_owned(),
        format!("publish {a}"),
    ];
    let result = r#"{"result":{"offset":7,"epoch":"aaaaaaaa"}}"#;
    let both = format!(r#"{{"broadcast":{{"responses":[{result},{result}]}}}}"#);
    let text = format!(r#"{{"replies":[{ONE},{both},{both},{ONE},{{"channels":{{"channels":{{}}}}}},{ONE}]}}"#);
    check(&commands, false, &asked, &text);
}

#[test]
fn broadcasts_to_several_homes_wait_for_each_other() {
    let (a, b) = (at_home(0, 0), at_home(1, 0));
    let broadcast = format!(r#"{{"broadcast":{{"channels":["{a}","{b}"],"data":1}}}}"#);
    let asked = format!("publish {a} publish {b}");
    let result = r#"{"result":{"offset":7,"epoch":"aaaaaaaa"}}"#;
    let reply = format!(r#"{{"broadcast":{{"responses":[{result},{result}]}}}}"#);
    let text = format!(r#"{{"replies":[{reply},{reply}]}}"#);
    check(&[broadcast.clone(), broadcast], false, &[asked.clone(), asked], &text);
}

#[test]
fn commands_that_fail_at_once_hold_up_nothing() {
    let a = at_home(2, 0);
    let commands = ["{}".into(), publish(&a), publish("nowhere:a"), "null".into(), publish(&a), publish("")];
    let text = format!(
        r#"{{"replies":[{},{ONE},{},{},{ONE},{}]}}"#,
        r#"{"error":{"code":104,"message":"not found"}}"#,
        r#"{"error":{"code":102,"message":"unknown channel"}}"#,
        r#"{"error":{"code":107,"message":"bad request"}}"#,
        r#"{"error":{"code":107,"message":"bad request"}}"#
    );
    check(&commands, false, &[format!("publish {a} publish {a}")], &text);
}

#[test]
fn of_two_methods_in_a_command_the_first_counts() {
    let a = at_home(0, 0);
    let two = format!(r#"{{"presence_stats":{{"channel":"pres:a"}},"publish":{{"channel":"{a}","data":1}}}}"#);
    check(&[two], false, &[format!("publish {a}")], &format!(r#"{{"replies":[{ONE}]}}"#));
    let two = r#"{"presence":{"channel":"pres:a"},"history":{"channel":"hist:a"}}"#;
    let text = r#"{"replies":[{"history":{"publications":[],"epoch":"aaaaaaaa","offset":7}}]}"#;
    check(&[two.into()], false, &["history hist:a".into()], text);
}

#[test]
fn a_batch_without_commands_is_empty() {
    for body in ["{}", "null", r#"{"commands":[]}"#, r#"{"commands":null,"parallel":true}"#] {
        assert_eq!(World::new().call("batch", body).body, b"{}", "{body}");
    }
}

#[test]
fn replies_stand_in_order_whatever_the_order_of_answers() {
    let channels: Vec<String> = (0..50).map(|n| format!("hist:{n}")).collect();
    let mut commands: Vec<String> = channels.iter().map(|channel| publish(channel)).collect();
    commands.insert(20, publish("nowhere:a"));
    commands.insert(10, r#"{"channels":{}}"#.into());
    commands.insert(5, r#"{"broadcast":{"channels":["hist:1","hist:2"],"data":1}}"#.into());
    let mut texts = Vec::new();
    for newest_first in [false, true] {
        let mut world = World::new();
        world.newest_first = newest_first;
        world.home = |channel, _| {
            let offset: u64 = channel.strip_prefix("hist:").unwrap().parse().unwrap();
            Answer::Published(top(offset + 1))
        };
        texts.push(world.call("batch", &batch(&commands, true)).body);
    }
    assert_eq!(texts[0], texts[1]);
    let value: serde_json::Value = serde_json::from_slice(&texts[0]).unwrap();
    let replies = value["replies"].as_array().unwrap();
    let mut offsets = replies.iter().filter_map(|reply| reply["publish"]["offset"].as_u64());
    assert!((1..=50).all(|offset| offsets.next() == Some(offset)));
    assert_eq!(replies[22]["error"]["code"], 102);
    assert_eq!(replies[11]["channels"]["channels"], serde_json::json!({}));
    assert_eq!(replies[5]["broadcast"]["responses"][1]["result"]["offset"], 3);
}

#[test]
fn a_parallel_batch_keeps_a_bounded_number_of_requests_open() {
    let commands: Vec<String> = (0..3000).map(|n| publish(&format!("hist:{n}"))).collect();
    let mut world = World::new();
    let response = world.call("batch", &batch(&commands, true));
    assert_eq!(String::from_utf8_lossy(&response.body).matches("offset").count(), 3000);
    assert_eq!(world.asked.lines().next().map(|line| line.matches("publish").count()), Some(1024));
}

/// The status and the text of the response to a body on the legacy route.
fn legacy(body: &str) -> (u16, String, String) {
    let mut world = World::new();
    let response = world.call("", body);
    (response.status, String::from_utf8(response.body).unwrap(), world.asked)
}

#[test]
fn the_legacy_route_answers_line_by_line() {
    let published = r#"{"result":{"offset":7,"epoch":"aaaaaaaa"}}"#;
    let publish = r#"{"method":"publish","params":{"channel":"hist:a","data":1}}"#;
    for (body, text) in [
        (publish.to_owned(), published.to_owned()),
        (publish.replace("\"publish\"", "\"PUBLISH\""), published.to_owned()),
        (publish.replace("\"publish\"", "0"), published.to_owned()),
        // No method is method 0.
        (publish.replace("\"method\":\"publish\",", ""), published.to_owned()),
        (
            publish.replace('{', "{\"id\":0,").replacen("\"id\":0", "\"id\":7", 1),
            format!("{{\"id\":7,{}", &published[1..]),
        ),
        (
            format!(
                "{publish}\n{{\"id\":2,\"method\":\"presence_stats\",\"params\":{{\"channel\":\"pres:a\"}}}} {publish}\n"
            ),
            format!("{published}\n{{\"id\":2,\"result\":{{\"num_clients\":2,\"num_users\":1}}}}\n{published}"),
        ),
        (r#"{"method":"publish"}"#.into(), r#"{"error":{"code":107,"message":"bad request"}}"#.into()),
        (r#"{"method":"publish","params":[1]}"#.into(), r#"{"error":{"code":107,"message":"bad request"}}"#.into()),
        (r#"{"id":3,"method":"connections"}"#.into(), r#"{"id":3,"error":{"code":104,"message":"not found"}}"#.into()),
        (r#"{"method":13}"#.into(), r#"{"error":{"code":104,"message":"not found"}}"#.into()),
        (r#"{"method":8,"params":{}}"#.into(), r#"{"result":{"channels":{}}}"#.into()),
        ("null".into(), r#"{"error":{"code":107,"message":"bad request"}}"#.into()),
        (" \n ".into(), String::new()),
    ] {
        let (status, answer, _) = legacy(&body);
        assert_eq!((status, answer), (200, text), "{body}");
    }
}

#[test]
fn one_bad_command_on_the_legacy_route_fails_the_body() {
    let publish = r#"{"method":"publish","params":{"channel":"hist:a","data":1}}"#;
    for bad in [
        "hello",
        r#"{"method":"nothing","params":{}}"#,
        r#"{"method":"batch","params":{}}"#,
        r#"{"method":null}"#,
        r#"{"method":1.5}"#,
        r#"{"method":{}}"#,
        r#"{"id":"x","method":"publish"}"#,
        r#"{"method":"publish""#,
        "5",
    ] {
        for body in [bad.to_owned(), format!("{publish}\n{bad}")] {
            let (status, text, asked) = legacy(&body);
            assert_eq!((status, &*text), (400, "Bad Request\n"), "{body}");
            // Those ahead of it are carried out all the same.
            assert_eq!(asked, if body == bad { "" } else { "publish hist:a" }, "{body}");
        }
    }
    assert_eq!(legacy("").0, 400);
}

#[test]
fn the_legacy_route_does_not_look_at_the_parameters_of_info() {
    let (status, text, _) = legacy(r#"{"method":"info","params":[]}"#);
    assert!(status == 200 && text.starts_with(r#"{"result":{"nodes":[{"uid":"uid-1","name":"n1""#), "{text}");
}
