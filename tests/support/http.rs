//! HTTP as bytes.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

/// A response.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

/// Reads one response. None when the stream ends, or fails, before there is one.
pub fn read(stream: &mut impl Read) -> Option<Response> {
    let head = read_head(stream)?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = header(&head, "content-length").map_or(0, |length| length.parse().expect("a number"));
    let mut body = vec![0; if status == 101 { 0 } else { length }];
    stream.read_exact(&mut body).ok()?;
    Some(Response { status, head, body })
}

/// Reads up to the empty line and no further.
pub fn read_head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// The value of a header, its name in lower case.
pub fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, v)| v)
}

/// Writes a call of the server API.
pub fn write_call(stream: &mut impl Write, method: &str, request: &Value) {
    let body = request.to_string();
    let length = body.len();
    let request = format!("POST /api/{method} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).expect("the server reads");
}

/// Calls the server API and gives its result.
#[track_caller]
pub fn call(stream: &mut TcpStream, method: &str, request: &Value) -> Value {
    write_call(stream, method, request);
    let response = read(stream).expect("a response");
    let answer: Value = serde_json::from_slice(&response.body).expect("JSON");
    assert!(response.status == 200 && answer["error"].is_null(), "{method} {request}: {response:?} {answer}");
    answer["result"].clone()
}
