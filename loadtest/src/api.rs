//! One keep-alive connection to the server API, pipelined: prepared requests go out when they are due, answers are
//! counted and checked.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::commands::quoted;
use crate::payload::Stamp;
use crate::target::Target;
use crate::{Failure, advice};

/// A request written once; only the digits of its stamps change.
pub struct Request {
    bytes: Vec<u8>,
    stamps: Vec<usize>,
}

impl Request {
    /// `/api/publish`.
    pub fn publish(target: &Target, channel: &str, stream: u32, size: usize) -> Request {
        let body = format!("{{\"channel\":{},\"data\":{}}}", quoted(channel), data(stream, size));
        Request::new(target, "publish", &body)
    }

    /// `/api/broadcast` of one publication to several channels.
    pub fn broadcast(target: &Target, channels: &[String], stream: u32, size: usize) -> Request {
        let names: Vec<String> = channels.iter().map(|channel| quoted(channel)).collect();
        let body = format!("{{\"channels\":[{}],\"data\":{}}}", names.join(","), data(stream, size));
        Request::new(target, "broadcast", &body)
    }

    /// `/api/batch` of one publish command for each (channel, stream).
    pub fn batch(target: &Target, channels: &[(String, u32)], size: usize) -> Request {
        let commands: Vec<String> = channels
            .iter()
            .map(|(channel, stream)| {
                format!("{{\"publish\":{{\"channel\":{},\"data\":{}}}}}", quoted(channel), data(*stream, size))
            })
            .collect();
        let body = format!("{{\"commands\":[{}]}}", commands.join(","));
        Request::new(target, "batch", &body)
    }

    fn new(target: &Target, method: &str, body: &str) -> Request {
        let head = format!(
            "POST /api/{method} HTTP/1.1\r\nHost: {}\r\nX-API-Key: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            target.api_host,
            target.api_key,
            body.len()
        );
        let stamps = memchr::memmem::find_iter(body.as_bytes(), b"{\"n\":").map(|at| head.len() + at).collect();
        Request { bytes: (head + body).into_bytes(), stamps }
    }
}

fn data(stream: u32, size: usize) -> String {
    Stamp { stream, number: 0, due: 0 }.encode(size)
}

/// The connection. Requests are answered in order, so publications keep theirs.
pub struct ApiConnection {
    socket: TcpStream,
    unsent: Vec<u8>,
    unread: Vec<u8>,
    /// Requests handed over.
    pub asked: u64,
    /// Answers that came.
    pub answered: u64,
}

impl ApiConnection {
    /// Connects.
    pub fn open(target: &Target) -> Result<ApiConnection, Failure> {
        let socket = TcpStream::connect(target.api_address).map_err(|e| advice::unreachable(target.api_address, &e))?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        Ok(ApiConnection { socket, unsent: Vec::new(), unread: Vec::new(), asked: 0, answered: 0 })
    }

    /// The socket, to wait for it.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Requests under way.
    pub fn open_requests(&self) -> u64 {
        self.asked - self.answered
    }

    /// Queues a request; `number` gives the number of each of its stamps. [`ApiConnection::flush`] sends.
    pub fn ask(&mut self, request: &Request, due: u64, mut number: impl FnMut(usize) -> u64) {
        let begin = self.unsent.len();
        self.unsent.extend_from_slice(&request.bytes);
        for (i, at) in request.stamps.iter().enumerate() {
            Stamp::rewrite(&mut self.unsent[begin + at..], number(i), due);
        }
        self.asked += 1;
    }

    /// Sends what the socket takes.
    pub fn flush(&mut self) -> Result<(), Failure> {
        while !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(format!("the API connection: {e}").into()),
            }
        }
        Ok(())
    }

    /// Reads what came; the number of answers in it.
    pub fn receive(&mut self) -> Result<u64, Failure> {
        let kept = self.unread.len();
        self.unread.resize(kept + 64 * 1024, 0);
        let read = self.socket.read(&mut self.unread[kept..]);
        self.unread.truncate(kept + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => return Err("the server ended the API connection".into()),
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(e) => return Err(format!("the API connection: {e}").into()),
        }
        let (mut taken, mut answers) = (0, 0);
        while let Some(length) = answer_length(&self.unread[taken..])? {
            taken += length;
            answers += 1;
        }
        self.unread.drain(..taken);
        self.answered += answers;
        Ok(answers)
    }
}

/// Length of the first whole answer; an answer that is no success is a failure.
fn answer_length(bytes: &[u8]) -> Result<Option<usize>, Failure> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = &bytes[..end];
    if !head.starts_with(b"HTTP/1.1 200 ") {
        let status = String::from_utf8_lossy(head).lines().next().unwrap_or_default().to_owned();
        return Err(advice::api_refused(&status));
    }
    let length = if let Some(length) = header(head, b"content-length") {
        length.parse::<usize>().map_err(|_| "an API answer with a strange Content-Length")?
    } else if header(head, b"transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        match chunked_length(&bytes[end + 4..])? {
            Some(length) => length,
            None => return Ok(None),
        }
    } else {
        return Err("an API answer without its length".into());
    };
    let Some(body) = bytes.get(end + 4..end + 4 + length) else {
        return Ok(None);
    };
    if memchr::memmem::find(body, b"\"error\":").is_some() {
        return Err(format!("the API answered: {}", String::from_utf8_lossy(&body[..body.len().min(500)])).into());
    }
    Ok(Some(end + 4 + length))
}

fn header<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a str> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        line[..colon].eq_ignore_ascii_case(name).then(|| std::str::from_utf8(&line[colon + 1..]).ok())?.map(str::trim)
    })
}

/// Length of a whole chunked body.
fn chunked_length(bytes: &[u8]) -> Result<Option<usize>, Failure> {
    let mut at = 0;
    loop {
        let Some(line) = memchr::memmem::find(&bytes[at.min(bytes.len())..], b"\r\n") else {
            return Ok(None);
        };
        let size =
            std::str::from_utf8(&bytes[at..at + line]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let size = size.filter(|size| *size < 1 << 30).ok_or("an API answer with strange chunks")?;
        at += line + 2 + size + 2;
        if size == 0 {
            return Ok((at <= bytes.len()).then_some(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_cut_and_checked() {
        let plain = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".as_slice();
        let chunked =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n1\r\nf\r\n0\r\n\r\n".as_slice();
        for answer in [plain, chunked] {
            assert_eq!(answer_length(answer).expect("fine"), Some(answer.len()));
            for cut in 0..answer.len() {
                assert_eq!(answer_length(&answer[..cut]).expect("fine"), None, "{cut}");
            }
        }
        assert!(answer_length(b"HTTP/1.1 401 Unauthorized\r\n\r\n").is_err());
        assert!(answer_length(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(answer_length(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"error\":{}}").is_err());
        assert!(answer_length(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n").is_err());
    }

    #[test]
    fn requests_are_rewritten_in_place() {
        let target = Target::example();
        let channels = [("a".to_owned(), 1), ("b".to_owned(), 2)];
        let request = Request::batch(&target, &channels, 64);
        assert_eq!(request.stamps.len(), 2);
        let broadcast = Request::broadcast(&target, &["a".to_owned(), "b".to_owned()], 7, 64);
        assert_eq!(broadcast.stamps.len(), 1);
        let body = memchr::memmem::find(&request.bytes, b"\r\n\r\n").expect("a head") + 4;
        let body: serde_json::Value = serde_json::from_slice(&request.bytes[body..]).expect("JSON");
        assert_eq!(body["commands"][1]["publish"]["channel"], "b");
    }
}
