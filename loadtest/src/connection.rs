//! One connection: what stage it is in, what it keeps between reads, how it reads.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, sockopt};

use crate::fleet::{Hear, Shared};
use crate::poller::News;
use crate::wire::{self, Incoming};
use crate::ws::{self, Frame};
use crate::{Failure, advice, clock};

/// Room for one read: many frames come with one system call.
const READ: usize = 64 * 1024;

/// What to say once the upgrade went through: connect and subscribe commands in one frame.
#[derive(Clone, Debug, Default)]
pub struct Hello {
    /// The frame.
    pub frame: Vec<u8>,
    /// Replies that it brings.
    pub replies: u32,
}

/// How far a connection is.
pub enum Stage {
    /// There is none.
    Closed,
    /// The kernel is connecting.
    Connecting(Hello),
    /// The upgrade was sent.
    Upgrading(Hello),
    /// So many replies to the hello are still to come.
    Joining(u32),
    /// All of them have come.
    Live,
}

/// A place for a connection. Idle it holds no buffer.
pub struct Connection {
    socket: Option<OwnedFd>,
    pub(crate) stage: Stage,
    /// The beginning of a frame whose end has not come; empty nearly always.
    carry: Vec<u8>,
    /// What the kernel did not take yet; empty nearly always.
    unsent: Vec<u8>,
}

impl Connection {
    /// A place without a connection.
    pub fn closed() -> Connection {
        Connection { socket: None, stage: Stage::Closed, carry: Vec::new(), unsent: Vec::new() }
    }

    /// Starts with a socket that is connecting. Over loopback it is connected already.
    pub fn begin(&mut self, socket: OwnedFd, hello: Hello, shared: &Shared) -> Result<(), Failure> {
        *self = Connection { socket: Some(socket), stage: Stage::Connecting(hello), ..Connection::closed() };
        self.upgrade(shared)
    }

    /// Asks for the upgrade, if the socket is connected.
    fn upgrade(&mut self, shared: &Shared) -> Result<(), Failure> {
        let (Some(socket), Stage::Connecting(hello)) = (&self.socket, &mut self.stage) else { return Ok(()) };
        let request = shared.upgrade.request();
        match rustix::net::send(socket, request, SendFlags::NOSIGNAL) {
            Ok(sent) => self.unsent.extend_from_slice(&request[sent..]),
            Err(Errno::AGAIN | Errno::NOTCONN) => return Ok(()),
            Err(e) => return Err(advice::unreachable(shared.address, &e.into())),
        }
        self.stage = Stage::Upgrading(std::mem::take(hello));
        Ok(())
    }

    /// Hangs up, without a word.
    pub fn close(&mut self) {
        *self = Connection::closed();
    }

    /// Whether it is connected and all replies to its hello have come.
    pub fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Live)
    }

    /// Whether there is none.
    pub fn is_closed(&self) -> bool {
        self.socket.is_none()
    }

    /// The socket.
    pub fn socket(&self) -> Option<&OwnedFd> {
        self.socket.as_ref()
    }

    /// Sends bytes, keeping for later what the kernel does not take.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let Some(socket) = &self.socket else { return Err("this connection is closed".into()) };
        let sent = if self.unsent.is_empty() { send_some(socket, bytes)? } else { 0 };
        self.unsent.extend_from_slice(&bytes[sent..]);
        Ok(())
    }

    /// Bytes that the kernel did not take yet.
    pub fn unsent(&self) -> usize {
        self.unsent.len()
    }

    /// Reads into `buffer` and forgets it. Whether the connection still stands.
    pub fn sip(&mut self, buffer: &mut [u8]) -> bool {
        let Some(socket) = &self.socket else { return false };
        let stands = matches!(rustix::net::recv(socket, buffer, RecvFlags::empty()), Ok((1.., _)) | Err(Errno::AGAIN));
        if !stands {
            self.close();
        }
        stands
    }

    /// The socket has news.
    pub fn progress(&mut self, i: usize, news: News, shared: &mut Shared, hear: &mut impl Hear) -> Result<(), Failure> {
        let Some(socket) = &self.socket else { return Ok(()) };
        if matches!(self.stage, Stage::Connecting(_)) {
            if news.ended {
                let error = sockopt::socket_error(socket)?.err().unwrap_or(Errno::CONNREFUSED);
                return Err(advice::unreachable(shared.address, &error.into()));
            }
            self.upgrade(shared)?;
        } else if !self.unsent.is_empty() {
            let sent = send_some(socket, &self.unsent)?;
            self.unsent.drain(..sent);
            if self.unsent.is_empty() {
                self.unsent = Vec::new();
            }
        }
        if news.readable { self.read(i, news.ended, shared, hear) } else { Ok(()) }
    }

    fn read(&mut self, i: usize, ended: bool, shared: &mut Shared, hear: &mut impl Hear) -> Result<(), Failure> {
        // Taken out, so that the rest can be borrowed beside it.
        let mut buffer = std::mem::take(&mut shared.buffer);
        let result = loop {
            let kept = self.carry.len();
            if buffer.len() < kept + READ {
                buffer.resize((kept + READ).next_power_of_two(), 0);
            }
            buffer[..kept].copy_from_slice(&self.carry);
            let Some(socket) = &self.socket else { break Ok(()) };
            match rustix::net::recv(socket, &mut buffer[kept..kept + READ], RecvFlags::empty()) {
                Ok((0, _)) => break Err("the server ended the connection without a close frame".into()),
                Ok((count, _)) => {
                    hear.at(clock::now());
                    if let Err(failure) = self.take(i, &buffer[..kept + count], shared, hear) {
                        break Err(failure);
                    }
                    if count < READ && !ended {
                        break Ok(());
                    }
                }
                Err(Errno::AGAIN) => break Ok(()),
                Err(Errno::CONNRESET) => break Err("the server reset the connection".into()),
                Err(e) => break Err(e.into()),
            }
        };
        shared.buffer = buffer;
        result
    }

    /// All whole frames of `bytes`; the rest is carried.
    fn take(&mut self, i: usize, bytes: &[u8], shared: &mut Shared, hear: &mut impl Hear) -> Result<(), Failure> {
        let mut at = 0;
        let frames_before = shared.traffic.frames;
        if let Stage::Upgrading(hello) = &mut self.stage {
            match shared.upgrade.answered(bytes)? {
                Some(taken) => {
                    let hello = std::mem::take(hello);
                    (at, self.stage) = (taken, Stage::Joining(hello.replies));
                    self.send(&hello.frame)?;
                }
                None => {
                    self.carry = bytes.to_vec();
                    return Ok(());
                }
            }
        }
        while let Some((frame, taken)) = ws::read_frame(&bytes[at..])? {
            at += taken;
            match frame {
                Frame::Message(message) => self.message(i, message, shared, hear)?,
                Frame::Ping(payload) => {
                    let mut pong = Vec::new();
                    ws::write_pong(&mut pong, payload);
                    self.send(&pong)?;
                }
                Frame::Close(payload) => {
                    let code = payload.first_chunk::<2>().map_or(0, |code| u16::from_be_bytes(*code));
                    return Err(advice::closed(code, &String::from_utf8_lossy(payload.get(2..).unwrap_or_default())));
                }
            }
        }
        shared.traffic.reads += u64::from(shared.traffic.frames > frames_before);
        if at < bytes.len() {
            self.carry.clear();
            self.carry.extend_from_slice(&bytes[at..]);
        } else if !self.carry.is_empty() {
            self.carry = Vec::new();
        }
        Ok(())
    }

    fn message(&mut self, i: usize, message: &[u8], shared: &mut Shared, hear: &mut impl Hear) -> Result<(), Failure> {
        let mut pushes = 0;
        let protocol = shared.protocol;
        wire::each_message(protocol, message, |incoming| {
            match incoming {
                Incoming::Push(push) => {
                    pushes += 1;
                    hear.push(i, push);
                }
                Incoming::Reply(id, reply) => {
                    hear.reply(i, id, reply)?;
                    if let Stage::Joining(replies) = &mut self.stage {
                        *replies -= 1;
                        if *replies == 0 {
                            self.stage = Stage::Live;
                            hear.live(i);
                        }
                    }
                }
                Incoming::Ping => self.send(&shared.pong)?,
                Incoming::Error(bytes) => {
                    let (code, words) = wire::error(protocol, bytes);
                    return Err(advice::refused(code, &words));
                }
            }
            Ok(())
        })?;
        if pushes > 0 {
            shared.traffic.frames += 1;
            shared.traffic.pushes += pushes;
            shared.traffic.bytes += message.len() as u64;
        }
        Ok(())
    }
}

fn send_some(socket: &OwnedFd, bytes: &[u8]) -> Result<usize, Failure> {
    match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
        Ok(sent) => Ok(sent),
        Err(Errno::AGAIN) => Ok(0),
        Err(Errno::PIPE | Errno::CONNRESET) => Err("the server hung up".into()),
        Err(e) => Err(e.into()),
    }
}
