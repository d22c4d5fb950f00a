//! Many clients and backends at once.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::http::call;
use crate::support::server::Server;
use crate::support::ws::{CLOSE, Client, HANDSHAKE, TEXT, commands_frame};

fn history(size: u32) -> Value {
    json!({"without_namespace": {"history_size": size, "history_ttl": "300s"}})
}

#[test]
fn two_thousand_connections_that_open_and_drop_leave_nothing_behind() {
    let server = Server::start(json!({}));
    let files = server.files();
    for half in 0..2 {
        let mut streams: Vec<_> = (0..1000).map(|_| server.dial()).collect();
        for (number, stream) in streams.iter_mut().enumerate() {
            let mut bytes = HANDSHAKE.as_bytes().to_vec();
            bytes.extend(commands_frame(&[
                json!({"id": 1, "connect": {}}),
                json!({"id": 2, "subscribe": {"channel": format!("c{}", number % 50)}}),
            ]));
            std::io::Write::write_all(stream, &bytes).expect("sent");
        }
        for (number, stream) in streams.into_iter().enumerate() {
            match (number + half) % 3 {
                0 => Client::on(stream).reset(),
                _ => drop(stream),
            }
        }
    }
    server.wait_until_empty(files);
}

#[test]
fn subscribing_and_dropping_while_others_publish_leaves_nothing_behind() {
    let server = Server::start(json!({"channel": history(10)}));
    let files = server.files();
    std::thread::scope(|scope| {
        for publisher in 0..2 {
            let server = &server;
            scope.spawn(move || {
                let mut stream = server.dial();
                for number in 0..600 {
                    let channel = format!("c{}", number % 4);
                    call(&mut stream, "publish", &json!({"channel": channel, "data": [publisher, number]}));
                }
            });
        }
        for _ in 0..150 {
            let mut client = Client::connect(&server);
            let subscribe =
                |id: u32| json!({"id": id, "subscribe": {"channel": format!("c{}", id % 4), "recoverable": true}});
            let publish = |id: u32| json!({"id": id, "publish": {"channel": format!("c{}", id % 4), "data": id}});
            client.send(&[subscribe(10), subscribe(11), publish(12), subscribe(13), publish(14), subscribe(16)]);
        }
    });
    server.wait_until_empty(files);
}

#[test]
fn nothing_that_was_acknowledged_is_lost() {
    const PUBLISHERS: u64 = 8;
    const EACH: u64 = 300;
    const ALL: u64 = PUBLISHERS * EACH;
    let server = Server::start(json!({"channel": history(10_000), "client": {"queue_max_size": 67_108_864}}));
    // Positioned subscribers on both shards, some of which read nothing until all is published.
    let subscribers: Vec<Client> = (0..8)
        .map(|_| {
            let mut client = Client::connect(&server);
            client.send(&[json!({"id": 2, "subscribe": {"channel": "c", "positioned": true, "recoverable": true}})]);
            assert!(client.reply()["subscribe"].is_object());
            client
        })
        .collect();
    let receive = |client: &mut Client| {
        for offset in 1..=ALL {
            let push = loop {
                let message = client.reply();
                if message != json!({}) {
                    break message;
                }
                client.send(&[json!({})]);
            };
            assert_eq!(push["push"]["pub"]["offset"], offset);
        }
    };
    let (mut late, early) = subscribers.into_iter().partition::<Vec<_>, _>({
        let mut number = 0;
        move |_| {
            number += 1;
            number % 2 == 0
        }
    });
    let acknowledged: BTreeSet<u64> = std::thread::scope(|scope| {
        for mut client in early {
            scope.spawn(move || receive(&mut client));
        }
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|publisher| {
                let server = &server;
                scope.spawn(move || {
                    let mut stream = server.dial();
                    let data = "x".repeat(500);
                    let publish = |number| json!({"channel": "c", "data": [publisher, number, data]});
                    (0..EACH)
                        .map(|number| {
                            call(&mut stream, "publish", &publish(number))["offset"].as_u64().expect("an offset")
                        })
                        .collect::<Vec<u64>>()
                })
            })
            .collect();
        publishers.into_iter().flat_map(|publisher| publisher.join().expect("published")).collect()
    });
    assert!(acknowledged.iter().copied().eq(1..=ALL), "each offset once");
    late.iter_mut().for_each(receive);
    let history = server.api("history", json!({"channel": "c", "limit": -1}));
    let kept = history["publications"].as_array().expect("publications");
    assert!(kept.iter().map(|kept| kept["offset"].as_u64()).eq((1..=ALL).map(Some)));
}

#[test]
fn a_client_that_never_reads_is_ended_and_others_get_everything() {
    const PUBLICATIONS: u64 = 1_500;
    let server = Server::start(json!({"client": {"queue_max_size": 262_144}, "websocket": {"write_timeout": "300ms"}}));
    let mut deaf: Vec<Client> = (0..4).map(|_| Client::subscribe(&server, "c")).collect();
    let mut good: Vec<Client> = (0..4).map(|_| Client::subscribe(&server, "c")).collect();
    let data = "x".repeat(20_000);
    std::thread::scope(|scope| {
        for client in &mut good {
            scope.spawn(|| {
                for number in 0..PUBLICATIONS {
                    assert_eq!(client.reply()["push"]["pub"]["data"][0], number);
                }
            });
        }
        let mut stream = server.dial();
        for number in 0..PUBLICATIONS {
            call(&mut stream, "publish", &json!({"channel": "c", "data": [number, data]}));
        }
    });
    for client in &mut deaf {
        // What it was sent before is whole and in order; then comes the reason, or the bare end.
        let mut expected = 0;
        loop {
            match client.frame() {
                Some((TEXT, payload)) => {
                    let push: Value = serde_json::from_slice(&payload).expect("JSON");
                    assert_eq!(push["push"]["pub"]["data"][0], expected);
                    expected += 1;
                }
                Some((CLOSE, payload)) => assert_eq!(payload[..2], 3008u16.to_be_bytes()),
                Some(other) => panic!("{other:?}"),
                None => break,
            }
        }
        assert!(expected < PUBLICATIONS, "it was not slow");
    }
    drop(good);
    server.wait_until_empty(usize::MAX);
}

#[test]
fn when_descriptors_run_out_accepting_rests_and_goes_on() {
    let server = Server::start_as(json!({}), |binary| {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 300; exec \"$0\" \"$@\"", binary]);
        command
    });
    let files = server.files();
    let mut witness = Client::subscribe(&server, "c");
    let mut backend = server.dial();
    call(&mut backend, "info", &json!({}));
    // The kernel takes those that the server cannot.
    let mut crowd: Vec<_> = (0..500).map(|_| Client::on(server.dial())).collect();
    for client in &mut crowd {
        client.write(HANDSHAKE.as_bytes());
    }
    server.wait_for_log("cannot accept connections");
    // Whoever is connected notices nothing.
    for number in 0..100 {
        call(&mut backend, "publish", &json!({"channel": "c", "data": number}));
        assert_eq!(witness.reply()["push"]["pub"]["data"], number);
    }
    // As the first ones leave, all others get in.
    for mut client in crowd {
        client.expect_upgrade();
    }
    drop((witness, backend));
    server.wait_until_empty(files);
    let mut late = Client::connect(&server);
    late.send(&[json!({"id": 5, "publish": {"channel": "c", "data": 1}})]);
    assert_eq!(late.reply()["id"], 5);
}
