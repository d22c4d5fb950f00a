//! A WebSocket client that can do everything wrong.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use serde_json::{Value, json};

use super::http;
use super::server::Server;

pub const TEXT: u8 = 0x81;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;

pub const HANDSHAKE: &str = "GET /connection/websocket HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A frame of the server: first byte and payload.
pub type Frame = (u8, Vec<u8>);

/// A connection.
pub struct Client {
    pub stream: TcpStream,
    buffer: Vec<u8>,
    is_upgraded: bool,
}

impl Client {
    /// Opens a connection and shakes hands; no command yet.
    #[track_caller]
    pub fn open(server: &Server) -> Self {
        let mut client = Self { stream: server.dial(), buffer: Vec::new(), is_upgraded: false };
        client.write(HANDSHAKE.as_bytes());
        client.expect_upgrade();
        client
    }

    /// A stream whose handshake is written, or will be.
    pub fn on(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new(), is_upgraded: false }
    }

    #[track_caller]
    pub fn expect_upgrade(&mut self) {
        let head = http::read_head(&mut self.stream).expect("an answer to the handshake");
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    }

    /// Opens and connects as a user.
    #[track_caller]
    pub fn connect(server: &Server) -> Self {
        let mut client = Self::open(server);
        client.send(&[json!({"id": 1, "connect": {}})]);
        let reply = client.reply();
        assert!(reply["connect"]["client"].is_string(), "{reply}");
        client
    }

    /// Connects and subscribes.
    #[track_caller]
    pub fn subscribe(server: &Server, channel: &str) -> Self {
        let mut client = Self::connect(server);
        client.send(&[json!({"id": 2, "subscribe": {"channel": channel}})]);
        let reply = client.reply();
        assert!(reply["subscribe"].is_object(), "{reply}");
        client
    }

    #[track_caller]
    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// Sends commands in one frame.
    #[track_caller]
    pub fn send(&mut self, commands: &[Value]) {
        self.write(&commands_frame(commands));
    }

    /// The next frame; none at the end of the stream, however it ends.
    #[track_caller]
    pub fn frame(&mut self) -> Option<Frame> {
        self.frame_or_silence().unwrap_or_else(|error| panic!("nothing came: {error}"))
    }

    /// As [`Client::frame`]; an error when nothing comes for too long.
    pub fn frame_or_silence(&mut self) -> std::io::Result<Option<Frame>> {
        loop {
            if let Some((frame, used)) = cut(&self.buffer) {
                self.buffer.drain(..used);
                return Ok(Some(frame));
            }
            let mut more = [0; 16 * 1024];
            match self.stream.read(&mut more) {
                Ok(0) => return Ok(None),
                Ok(read) => self.buffer.extend_from_slice(&more[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// The next frame of a stream whose answer to the handshake may not have been read yet.
    #[track_caller]
    pub fn frame_after_upgrade(&mut self) -> Option<Frame> {
        if self.buffer.is_empty() && !self.is_upgraded {
            self.is_upgraded = true;
            http::read_head(&mut self.stream)?;
        }
        self.frame()
    }

    /// The next message.
    #[track_caller]
    pub fn reply(&mut self) -> Value {
        match self.frame() {
            Some((TEXT, payload)) => serde_json::from_slice(&payload).expect("JSON"),
            other => panic!("no message: {other:?}"),
        }
    }

    /// Reads up to the close frame and gives its code; none when the stream ends without.
    #[track_caller]
    pub fn close_code(&mut self) -> Option<u16> {
        loop {
            match self.frame()? {
                (CLOSE, payload) => return Some(u16::from_be_bytes([payload[0], payload[1]])),
                _ => continue,
            }
        }
    }

    /// Nothing more comes but the end.
    #[track_caller]
    pub fn expect_end(&mut self) {
        assert_eq!(self.frame(), None);
    }

    /// Ends the stream as a machine does that crashed and came back.
    pub fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(std::time::Duration::ZERO)).expect("an option");
    }

    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).expect("an open stream");
    }
}

/// Commands in one frame.
pub fn commands_frame(commands: &[Value]) -> Vec<u8> {
    let lines: Vec<String> = commands.iter().map(Value::to_string).collect();
    frame(TEXT, lines.join("\n").as_bytes())
}

/// A client's frame.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0xa5, 0x01, 0xff, 0x3c];
    let mut out = vec![first];
    match payload.len() {
        len @ 0..126 => out.push(0x80 | len as u8),
        len @ 126..65536 => {
            out.push(0x80 | 126);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend(KEY);
    out.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

fn cut(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    assert_eq!(second & 0x80, 0, "servers do not mask");
    let (start, len) = match second {
        126 => (4, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?) as usize),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
        len => (2, usize::from(len)),
    };
    let payload = bytes.get(start..start + len)?;
    Some(((first, payload.to_vec()), start + len))
}
