//! One WebSocket that misbehaves.

use serde_json::{Value, json};

use crate::support::http;
use crate::support::server::Server;
use crate::support::ws::{CLOSE, Client, HANDSHAKE, PING, PONG, TEXT, commands_frame, frame};

/// Many runs of what only sometimes hits the moment, or the other shard.
const RUNS: usize = 40;

fn ping_of(number: usize) -> Vec<u8> {
    frame(PING, number.to_string().as_bytes())
}

#[test]
fn frames_may_arrive_byte_by_byte() {
    let server = Server::start(json!({}));
    let mut client = Client::on(server.dial());
    let connect = commands_frame(&[json!({"id": 1, "connect": {}})]);
    let subscribe = commands_frame(&[json!({"id": 2, "subscribe": {"channel": "a"}})]);
    let publish = commands_frame(&[json!({"id": 3, "publish": {"channel": "a", "data": "x".repeat(300)}})]);
    for byte in [HANDSHAKE.as_bytes(), &connect, &subscribe, &publish].concat() {
        client.write(&[byte]);
    }
    client.expect_upgrade();
    assert_eq!(client.reply()["id"], 1);
    assert_eq!(client.reply()["id"], 2);
    assert_eq!(client.reply()["push"]["pub"]["data"], "x".repeat(300));
    assert_eq!(client.reply()["id"], 3);
}

#[test]
fn a_message_may_be_as_long_as_the_limit_and_no_longer() {
    const LIMIT: usize = 65_536;
    let server = Server::start(json!({}));
    let message = |length: usize| {
        let empty = json!({"id": 2, "publish": {"channel": "a", "data": ""}}).to_string().len();
        json!({"id": 2, "publish": {"channel": "a", "data": "x".repeat(length - empty)}})
    };
    let mut client = Client::connect(&server);
    client.send(&[message(LIMIT)]);
    assert_eq!(client.reply()["id"], 2);
    client.send(&[message(LIMIT + 1)]);
    assert_eq!(client.close_code(), Some(1009));
    client.expect_end();

    // The limit holds for the whole message, however it is cut.
    let mut client = Client::connect(&server);
    client.write(&frame(0x01, &[b' '; LIMIT]));
    client.write(&frame(0x80, b" "));
    assert_eq!(client.close_code(), Some(1009));

    // Whoever announces too much hears of it although more and more follows.
    let mut client = Client::connect(&server);
    let mut huge = frame(TEXT, &vec![b'x'; 4 << 20]);
    huge.extend(ping_of(1));
    client.write(&huge);
    assert_eq!(client.close_code(), Some(1009));
    client.expect_end();
}

#[test]
fn fragments_and_control_frames_may_be_mixed() {
    let server = Server::start(json!({}));
    let mut client = Client::connect(&server);
    let command = json!({"id": 7, "publish": {"channel": "a", "data": 1}}).to_string();
    let (start, end) = command.split_at(9);
    let mut bytes = frame(0x01, start.as_bytes());
    bytes.extend(ping_of(1));
    bytes.extend(frame(PONG, b""));
    bytes.extend(frame(0x00, b""));
    bytes.extend(ping_of(2));
    bytes.extend(frame(0x80, end.as_bytes()));
    client.write(&bytes);
    assert_eq!(client.frame(), Some((PONG, b"1".to_vec())));
    assert_eq!(client.frame(), Some((PONG, b"2".to_vec())));
    assert_eq!(client.reply(), json!({"id": 7, "publish": {}}));
}

#[test]
fn broken_frames_end_the_connection() {
    let server = Server::start(json!({}));
    let files = server.files();
    #[track_caller]
    fn check(server: &Server, bytes: &[u8], code: Option<u16>) {
        let mut client = Client::connect(server);
        client.write(bytes);
        // What follows a breach has no meaning, and must not be answered.
        client.write(&frame(CLOSE, &1000u16.to_be_bytes()));
        assert_eq!(client.close_code(), code, "{bytes:?}");
        client.expect_end();
    }
    check(&server, b"\x81\x02{}", Some(1002));
    check(&server, b"GET / HTTP/1.1\r\n\r\n", Some(1002));
    check(&server, &frame(0xc1, b"{}"), Some(1002));
    check(&server, &frame(0x83, b"{}"), Some(1002));
    check(&server, &frame(0x80, b"{}"), Some(1002));
    check(&server, &frame(0x09, b"split ping"), Some(1002));
    check(&server, &frame(PING, &[0; 126]), Some(1002));
    check(&server, &frame(CLOSE, &999u16.to_be_bytes()), Some(1002));
    check(&server, &frame(CLOSE, b"\x03\xe8\xff\xfe"), Some(1002));
    check(&server, &[0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], None);
    check(&server, &frame(TEXT, b""), Some(3501));
    check(&server, &frame(TEXT, b"[]"), Some(3501));
    check(&server, &frame(TEXT, b"\xff\xfe"), Some(3501));
    check(&server, &frame(TEXT, "[".repeat(60_000).as_bytes()), Some(3501));
    check(&server, &frame(TEXT, b"{\"id\":1,\"connect\":{}}"), Some(3501));
    server.wait_until_empty(files);
}

#[test]
fn frames_may_come_with_the_handshake_and_the_end_with_them() {
    let server = Server::start(json!({}));
    let files = server.files();
    let connect = commands_frame(&[json!({"id": 1, "connect": {}})]);
    let mut all = HANDSHAKE.as_bytes().to_vec();
    all.extend(&connect);
    for number in 0..RUNS {
        all.extend(ping_of(number));
    }
    for _ in 0..RUNS {
        let mut client = Client::on(server.dial());
        client.write(&all);
        client.expect_upgrade();
        assert_eq!(client.reply()["id"], 1);
        for number in 0..RUNS {
            assert_eq!(client.frame(), Some((PONG, number.to_string().into_bytes())));
        }
    }
    // Far more than one read of the handshake takes, and behind it the end.
    let command = commands_frame(&[json!({"id": 2, "publish": {"channel": "a", "data": "x".repeat(20_000)}})]);
    for _ in 0..RUNS {
        let mut client = Client::on(server.dial());
        client.write(&[&all[..], &command, &command].concat());
        client.half_close();
        while client.frame_after_upgrade().is_some() {}
    }
    server.wait_until_empty(files);
}

#[test]
fn the_order_of_replies_is_the_order_of_commands() {
    const COMMANDS: usize = 5_000;
    let server = Server::start(json!({"websocket": {"message_size_limit": 1_048_576}}));
    let command = |id: usize| {
        let channel = format!("c{}", id % 16);
        match id % 4 {
            0 => json!({"id": id, "publish": {"channel": channel, "data": id}}),
            1 => json!({"id": id, "presence_stats": {"channel": channel}}),
            2 => json!({"id": id, "subscribe": {"channel": format!("s{id}x")}}),
            _ => json!({"id": id, "rpc": {}}),
        }
    };
    let commands: Vec<Value> = (2..COMMANDS).map(command).collect();
    for _ in 0..3 {
        let mut client = Client::connect(&server);
        client.send(&commands);
        client.write(&ping_of(9));
        for id in 2..COMMANDS {
            assert_eq!(client.reply()["id"], id);
        }
        assert_eq!(client.frame(), Some((PONG, b"9".to_vec())));
    }
}

#[test]
fn endless_small_frames_are_all_answered() {
    const PINGS: usize = 50_000;
    let server = Server::start(json!({"client": {"queue_max_size": 16_777_216}}));
    let mut client = Client::connect(&server);
    let mut writer = client.stream.try_clone().expect("a second handle");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let pings: Vec<u8> = (0..PINGS).flat_map(ping_of).collect();
            std::io::Write::write_all(&mut writer, &pings).expect("the server reads");
        });
        for number in 0..PINGS {
            assert_eq!(client.frame(), Some((PONG, number.to_string().into_bytes())));
        }
    });
}

#[test]
fn whoever_asks_without_end_and_never_reads_is_ended() {
    let server = Server::start(json!({"client": {"queue_max_size": 65_536}, "websocket": {"write_timeout": "200ms"}}));
    let files = server.files();
    let client = Client::connect(&server);
    let pings = frame(PING, &[b'x'; 125]).repeat(1000);
    let mut stream = &client.stream;
    // Ends when the server has closed the socket.
    while std::io::Write::write_all(&mut stream, &pings).is_ok() {}
    server.wait_until_empty(files);
}

#[test]
fn the_peers_close_is_answered_behind_a_command_that_ends_the_connection() {
    let server = Server::start(json!({}));
    let files = server.files();
    // The command before is answered by another shard, perhaps: what follows it has to wait, and the rest of it
    // stays in the socket.
    let commands: Vec<Value> =
        (2..20).map(|id| json!({"id": id, "publish": {"channel": format!("c{id}"), "data": 1}})).collect();
    for run in 0..RUNS {
        let mut client = Client::connect(&server);
        let mut bad = commands_frame(&commands);
        bad.extend(frame(TEXT, b"bad"));
        let next = frame(TEXT, b"{}{}{}{}");
        let (start, rest) = next.split_at(run % next.len());
        bad.extend(start);
        client.write(&bad);
        client.write(&[rest, &frame(CLOSE, &1000u16.to_be_bytes())].concat());
        assert_eq!(client.close_code(), Some(3501));
        client.expect_end();
    }
    server.wait_until_empty(files);
}

#[test]
fn a_failed_connect_ends_without_a_close_frame_whatever_else_was_sent() {
    let server = Server::start(json!({"client": {"insecure": false, "token": {"hmac_secret_key": "k"}}}));
    for _ in 0..RUNS {
        let mut client = Client::open(&server);
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIiwiZXhwIjoxfQ.x";
        let mut bytes = commands_frame(&[json!({"id": 1, "connect": {"token": token}}), json!({"id": 2, "rpc": {}})]);
        let next = frame(TEXT, b"0123456789");
        bytes.extend(&next[..9]);
        client.write(&bytes);
        match client.frame() {
            Some((TEXT, _)) => {
                client.write(&next[9..]);
                client.half_close();
                client.expect_end();
            }
            Some((CLOSE, payload)) => assert_eq!(payload[..2], 3500u16.to_be_bytes()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_client_that_never_says_a_word_is_stale() {
    let server = Server::start(json!({"client": {"stale_close_delay": "50ms"}}));
    let files = server.files();
    let mut client = Client::open(&server);
    assert_eq!(client.close_code(), Some(3502));
    // Neither does it answer the close frame: the server closes by itself.
    client.expect_end();
    server.wait_until_empty(files);
}

#[test]
fn a_client_that_does_not_answer_pings_is_ended() {
    let server = Server::start(json!({"client": {"ping_interval": "100ms", "pong_timeout": "50ms"}}));
    let mut client = Client::connect(&server);
    assert_eq!(client.close_code(), Some(3012));
    let mut client = Client::connect(&server);
    for _ in 0..5 {
        assert_eq!(client.reply(), json!({}));
        client.send(&[json!({})]);
    }
    assert_eq!(client.close_code(), Some(3012));
}

#[test]
fn halves_and_resets_leave_nothing_behind() {
    let server = Server::start(json!({}));
    let files = server.files();
    for run in 0..RUNS {
        let mut client = Client::subscribe(&server, &format!("c{run}"));
        let commands: Vec<Value> =
            (3..40).map(|id| json!({"id": id, "publish": {"channel": format!("c{id}"), "data": id}})).collect();
        let bytes = commands_frame(&commands);
        match run % 4 {
            0 => {
                client.half_close();
                client.expect_end();
            }
            1 => {
                client.write(&bytes[..bytes.len() / 2]);
                client.reset();
            }
            2 => {
                client.write(&bytes);
                client.reset();
            }
            _ => {
                client.write(&bytes);
                client.half_close();
                while client.frame().is_some() {}
            }
        }
    }
    // In the middle of the handshake, too.
    for cut in 0..HANDSHAKE.len() {
        let mut client = Client::on(server.dial());
        client.write(&HANDSHAKE.as_bytes()[..cut]);
        if cut % 2 == 0 {
            client.reset();
        } else {
            client.half_close();
            assert!(http::read_head(&mut client.stream).is_none_or(|head| head.contains(" 400 ")));
        }
    }
    server.wait_until_empty(files);
}
