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
    let body = if header(&head, "transfer-encoding") == Some("chunked") {
        read_chunks(stream)?
    } else {
        let length = header(&head, "content-length").map_or(0, |length| length.parse().expect("a number"));
        read_body(stream, if status == 101 { 0 } else { length })?
    };
    Some(Response { status, head, body })
}

fn read_body(stream: &mut impl Read, length: usize) -> Option<Vec<u8>> {
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

fn read_chunks(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = read_up_to(stream, b"\r\n")?;
        let size = usize::from_str_radix(size.trim(), 16).expect("a size");
        body.extend(read_body(stream, size)?);
        read_body(stream, 2)?;
        if size == 0 {
            return Some(body);
        }
    }
}

/// Reads up to the empty line and no further.
pub fn read_head(stream: &mut impl Read) -> Option<String> {
    read_up_to(stream, b"\r\n\r\n")
}

fn read_up_to(stream: &mut impl Read, end: &[u8]) -> Option<String> {
    let mut text = Vec::new();
    while !text.ends_with(end) {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        text.push(byte[0]);
    }
    String::from_utf8(text).ok()
}

/// The value of a header, its name in lower case.
pub fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, v)| v)
}

/// Writes a request with a body of any kind.
pub fn write_post(stream: &mut impl Write, path: &str, body: &[u8]) {
    let length = body.len();
    let mut request = format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    request.extend_from_slice(body);
    stream.write_all(&request).expect("the server reads");
}

/// Writes a call of the server API.
pub fn write_call(stream: &mut impl Write, method: &str, request: &Value) {
    write_post(stream, &format!("/api/{method}"), request.to_string().as_bytes());
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
