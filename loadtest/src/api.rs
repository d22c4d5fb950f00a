//! One keep-alive connection to the server API, pipelined: requests go out when they are due, answers are counted.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::Failure;
use crate::target::Target;

/// The connection. Requests are answered in order, so publications keep theirs.
pub struct ApiConnection {
    socket: TcpStream,
    head: String,
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
        let socket = TcpStream::connect(target.address()?)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let head = format!(
            "POST /api/publish HTTP/1.1\r\nHost: {}\r\nX-API-Key: {}\r\nContent-Type: application/json\r\n",
            target.host(),
            target.api_key
        );
        Ok(ApiConnection { socket, head, unsent: Vec::new(), unread: Vec::new(), asked: 0, answered: 0 })
    }

    /// The socket, to wait for it.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Publishes `data` (JSON) to `channel`; does not wait.
    pub fn publish(&mut self, channel: &str, data: &str) -> Result<(), Failure> {
        let channel = serde_json::Value::from(channel).to_string();
        let body = format!("{{\"channel\":{channel},\"data\":{data}}}");
        write!(self.unsent, "{}Content-Length: {}\r\n\r\n{body}", self.head, body.len())?;
        self.asked += 1;
        self.flush()
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
        let mut buffer = [0; 16 * 1024];
        match self.socket.read(&mut buffer) {
            Ok(0) => return Err("the server ended the API connection".into()),
            Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(e) => return Err(format!("the API connection: {e}").into()),
        }
        let mut taken = 0;
        let mut answers = 0;
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
    let head = String::from_utf8_lossy(&bytes[..end]);
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(format!("the API answered: {}", head.lines().next().unwrap_or_default()).into());
    }
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .ok_or("an API answer without Content-Length")?;
    let Some(body) = bytes.get(end + 4..end + 4 + length) else {
        return Ok(None);
    };
    if memchr::memmem::find(body, b"\"error\":").is_some() {
        return Err(format!("the API answered: {}", String::from_utf8_lossy(body)).into());
    }
    Ok(Some(end + 4 + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_cut_and_checked() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(answer_length(answer).expect("fine"), Some(answer.len()));
        assert_eq!(answer_length(&answer[..answer.len() - 1]).expect("fine"), None);
        assert_eq!(answer_length(&answer[..20]).expect("fine"), None);
        assert!(answer_length(b"HTTP/1.1 401 Unauthorized\r\n\r\n").is_err());
        assert!(answer_length(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(answer_length(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"error\":{}}").is_err());
    }
}
