//! A server that loses, repeats, reorders or misdirects must be found out: a tiny one that does so on purpose.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::{report, run};
use tungstenite::Message;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    Lose,
    Repeat,
    Swap,
    Silence,
}

/// The publication that goes wrong.
const WRONG: usize = 5;

#[derive(Default)]
struct State {
    subscribers: Vec<TcpStream>,
    published: usize,
    held: Option<Vec<u8>>,
}

/// Serves one channel with a fault; its port. The thread ends with the test's process.
fn serve(fault: Fault) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let state = Arc::new(Mutex::new(State::default()));
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let state = state.clone();
            thread::spawn(move || {
                let mut first = [0; 1];
                match socket.peek(&mut first) {
                    Ok(1) if first[0] == b'G' => subscribe(socket, &state),
                    Ok(1) => answer(socket, &state, fault),
                    _ => {}
                }
            });
        }
    });
    port
}

fn subscribe(socket: TcpStream, state: &Mutex<State>) {
    let raw = socket.try_clone().expect("a second handle");
    let mut socket = tungstenite::accept(socket).expect("an upgrade");
    let hello = socket.read().expect("a hello");
    let replies = "{\"id\":1,\"connect\":{\"client\":\"c\"}}\n{\"id\":2,\"subscribe\":{}}";
    assert!(hello.to_text().expect("text").contains("subscribe"));
    socket.send(Message::text(replies)).expect("sent");
    state.lock().expect("whole").subscribers.push(raw);
    // Until the generator hangs up.
    while socket.read().is_ok() {}
}

fn answer(socket: TcpStream, state: &Mutex<State>, fault: Fault) {
    let mut writer = socket.try_clone().expect("a second handle");
    let mut reader = BufReader::new(socket);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        publish(&body, &mut state.lock().expect("whole"), fault);
        writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"result\":{}}").expect("sent");
    }
}

fn publish(body: &serde_json::Value, state: &mut State, fault: Fault) {
    let push = format!("{{\"push\":{{\"channel\":{},\"pub\":{{\"data\":{}}}}}}}", body["channel"], body["data"]);
    let mut frame = vec![0x81, 126];
    frame.extend_from_slice(&(push.len() as u16).to_be_bytes());
    frame.extend_from_slice(push.as_bytes());
    let wrong = state.published == WRONG;
    state.published += 1;
    let mut frames = vec![frame];
    match fault {
        Fault::Lose if wrong => frames.clear(),
        Fault::Repeat if wrong => frames.push(frames[0].clone()),
        Fault::Swap if wrong => state.held = frames.pop(),
        Fault::Silence if state.published > WRONG => frames.clear(),
        _ => frames.extend(state.held.take()),
    }
    for subscriber in &mut state.subscribers {
        frames.iter().for_each(|frame| subscriber.write_all(frame).expect("sent"));
    }
}

/// What the generator says of a server with this fault.
fn complaint(fault: Fault) -> (Option<i32>, String) {
    let url = format!("http://127.0.0.1:{}", serve(fault));
    let arguments = "fanout --subscribers 3 --rate 40 --warmup 0s --duration 500ms --json";
    let output = run(arguments, &["--url", &url]);
    let complaints = report(&output)["complaints"].as_array().expect("a list").clone();
    let words: Vec<&str> = complaints.iter().filter_map(|complaint| complaint.as_str()).collect();
    let of_the_server: Vec<&str> = words.into_iter().filter(|words| words.starts_with("publications")).collect();
    (output.status.code(), of_the_server.join("; "))
}

#[test]
fn a_good_server_passes() {
    assert_eq!(complaint(Fault::None).1, "");
}

#[test]
fn faults_are_told_apart_and_fail_the_run() {
    for (fault, expected) in [
        (Fault::Lose, "3 lost;"),
        (Fault::Repeat, "3 duplicated;"),
        (Fault::Swap, "3 out of order;"),
        (Fault::Silence, "45 lost;"),
    ] {
        let (code, words) = complaint(fault);
        assert!(words.contains(expected), "{fault:?}: {words}");
        assert_eq!(code, Some(1), "{fault:?}");
    }
}
