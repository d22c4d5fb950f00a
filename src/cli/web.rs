//! A small web server for the commands that show something in a browser during development.
//!
//! One thread a connection, one request a connection, GET and HEAD alone. Never for the server proper, whose HTTP is in
//! `net`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Longest head of a request, bytes.
const HEAD_MAX: u64 = 16 << 10;
/// Connections at once; others are turned away.
const CONNECTIONS_MAX: usize = 128;
/// How long a peer may be silent.
const SILENCE: Duration = Duration::from_secs(10);

/// What to answer a request with.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    status: &'static str,
    /// `Content-Type`, or the place of a redirection.
    header: (&'static str, String),
    body: Vec<u8>,
}

impl Answer {
    /// A body of a type.
    pub fn found(kind: &str, body: Vec<u8>) -> Answer {
        Answer { status: "200 OK", header: ("Content-Type", kind.to_owned()), body }
    }

    /// Go to another place of the same server; the text must not hold line breaks.
    pub fn moved(place: String) -> Answer {
        Answer { status: "301 Moved Permanently", header: ("Location", place), body: Vec::new() }
    }

    /// There is nothing at this path.
    pub fn missing() -> Answer {
        Answer::text("404 Not Found", "404 page not found\n")
    }

    /// What was asked for cannot be read.
    pub fn failed() -> Answer {
        Answer::text("500 Internal Server Error", "500 Internal Server Error\n")
    }

    fn text(status: &'static str, body: &str) -> Answer {
        let header = ("Content-Type", "text/plain; charset=utf-8".to_owned());
        Answer { status, header, body: body.as_bytes().to_vec() }
    }
}

/// Listens on a host; an empty one means all interfaces.
///
/// # Errors
/// The address is not there, or taken.
pub fn bind(host: &str, port: i64) -> io::Result<TcpListener> {
    let port = u16::try_from(port).map_err(|_| io::Error::other(format!("{port}: invalid port")))?;
    match host {
        "" => TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).or_else(|_| TcpListener::bind(("0.0.0.0", port))),
        host => TcpListener::bind((host, port)),
    }
}

/// Answers requests for ever. `answer` gets the path, decoded and without the query.
///
/// # Errors
/// The listening socket failed.
pub fn serve(listener: &TcpListener, answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> io::Result<()> {
    let (answer, open) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
    loop {
        let (stream, _) = listener.accept()?;
        if open.load(Ordering::Relaxed) >= CONNECTIONS_MAX {
            continue;
        }
        let (answer, held) = (answer.clone(), Open::new(&open));
        std::thread::spawn(move || {
            let _held = held;
            // A peer that went away is no news.
            let _ = exchange(&stream, &*answer);
        });
    }
}

/// Counts a connection for as long as it is open.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Open {
        count.fetch_add(1, Ordering::Relaxed);
        Open(count.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn exchange(mut stream: &TcpStream, answer: &dyn Fn(&str) -> Answer) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    let mut head = BufReader::new(stream.take(HEAD_MAX));
    let mut request = String::new();
    head.read_line(&mut request)?;
    let mut line = String::from("?");
    while !line.trim_end().is_empty() {
        line.clear();
        head.read_line(&mut line)?;
    }
    stream.write_all(&respond(&request, answer))
}

/// The whole response to a request line.
fn respond(request: &str, answer: &dyn Fn(&str) -> Answer) -> Vec<u8> {
    let mut words = request.split_ascii_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split(['?', '#']).next().and_then(decode);
    let answer = match (method, path) {
        ("GET" | "HEAD", Some(path)) => answer(&path),
        ("GET" | "HEAD", None) => Answer::text("400 Bad Request", "400 Bad Request\n"),
        _ => Answer::text("405 Method Not Allowed", "405 Method Not Allowed\n"),
    };
    let Answer { status, header: (name, value), body } = answer;
    let mut response =
        format!("HTTP/1.1 {status}\r\n{name}: {value}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())
            .into_bytes();
    if method == "GET" {
        response.extend(body);
    }
    response
}

/// An absolute path with `%xx` decoded; `None` for anything else.
fn decode(path: &str) -> Option<String> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path.strip_prefix('/').map(|_| path.as_bytes())?;
    while let [first, after @ ..] = rest {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            out.push(u8::from_str_radix(digits, 16).ok().filter(|_| plain)?);
            rest = &after[2..];
        } else {
            out.push(*first);
            rest = after;
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(request: &str, status: &str, body: &str) {
        let echo = |path: &str| Answer::found("text/plain", path.as_bytes().to_vec());
        let response = String::from_utf8(respond(request, &echo)).unwrap();
        let (head, found) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {head}");
        assert_eq!(found, body, "{request}");
    }

    #[test]
    fn requests_are_answered() {
        check("GET /a%20b?c=d HTTP/1.1\r\n", "200", "/a b");
        check("HEAD /a HTTP/1.1\r\n", "200", "");
        check("POST / HTTP/1.1\r\n", "405", "");
        for bad in ["GET", "GET a HTTP/1.1", "GET /% HTTP/1.1", "GET /%+1 HTTP/1.1", "GET /%ff HTTP/1.1"] {
            check(bad, "400", "400 Bad Request\n");
        }
        assert_eq!(respond("", &|_| Answer::missing()).split(|byte| *byte == b' ').nth(1), Some(b"405".as_slice()));
    }
}
