//! Many subscribed connections on one thread: one epoll, one shared read buffer, nothing per connection while idle.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};

use crate::Failure;
use crate::process::allow_files;
use crate::target::{Protocol, Target};
use crate::wire::{self, Incoming};
use crate::ws::{self, Frame, Upgrade};

/// Connections that may be on their way at once: more would only queue up at the server's listener.
const OPENING_AT_ONCE: usize = 64;
/// Longest time until all connections are subscribed.
const OPENING_DEADLINE: Duration = Duration::from_secs(120);
const READ_BUFFER: usize = 256 * 1024;

enum Stage {
    Upgrading(Upgrade),
    /// The hello has to be sent.
    Upgraded,
    /// So many replies are still to come.
    Joining(usize),
    Live,
}

struct Connection {
    socket: TcpStream,
    stage: Stage,
    /// The beginning of a frame whose end has not come; empty nearly always.
    carry: Vec<u8>,
}

/// Connections that are subscribed, and the means to hear from them.
pub struct Fleet {
    connections: Vec<Connection>,
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    buffer: Vec<u8>,
    protocol: Protocol,
    address: SocketAddr,
    live: usize,
}

/// What one turn brought.
#[derive(Default)]
pub struct Turn {
    /// Frames with pushes.
    pub frames: u64,
    /// Bytes of those frames' payloads.
    pub frame_bytes: u64,
}

impl Fleet {
    /// Opens `count` connections; each subscribes to the channels that `channels_of` gives for its number.
    pub fn open(
        target: &Target,
        protocol: Protocol,
        count: usize,
        mut channels_of: impl FnMut(usize) -> Vec<String>,
    ) -> Result<Fleet, Failure> {
        allow_files(count)?;
        let mut fleet = Fleet {
            connections: Vec::with_capacity(count),
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(1024),
            buffer: vec![0; READ_BUFFER],
            protocol,
            address: target.address()?,
            live: 0,
        };
        let mut hellos = VecDeque::new();
        let deadline = Instant::now() + OPENING_DEADLINE;
        while fleet.live < count {
            while fleet.connections.len() < count && fleet.connections.len() - fleet.live < OPENING_AT_ONCE {
                let channels = channels_of(fleet.connections.len());
                let mut hello = Vec::new();
                ws::write_message(&mut hello, protocol, &wire::hello(protocol, &target.token, &channels));
                hellos.push_back((fleet.connections.len(), hello, channels.len() + 1));
                fleet.connect(target.host())?;
            }
            fleet.turn(Duration::from_millis(100), |_, _| {})?;
            fleet.greet(&mut hellos)?;
            if Instant::now() > deadline {
                return Err(format!("only {} of {count} connections subscribed in time", fleet.live).into());
            }
        }
        Ok(fleet)
    }

    fn connect(&mut self, host: &str) -> Result<(), Failure> {
        let mut socket = TcpStream::connect(self.address)?;
        socket.set_nodelay(true)?;
        let (request, upgrade) = Upgrade::request(host, self.protocol);
        socket.write_all(&request)?;
        socket.set_nonblocking(true)?;
        let data = epoll::EventData::new_u64(self.connections.len() as u64);
        epoll::add(&self.epoll, &socket, data, epoll::EventFlags::IN)?;
        self.connections.push(Connection { socket, stage: Stage::Upgrading(upgrade), carry: Vec::new() });
        Ok(())
    }

    /// Sends the hellos of connections whose upgrade went through.
    fn greet(&mut self, hellos: &mut VecDeque<(usize, Vec<u8>, usize)>) -> Result<(), Failure> {
        for _ in 0..hellos.len() {
            let (i, hello, replies) = hellos.pop_front().expect("counted");
            let connection = &mut self.connections[i];
            if matches!(connection.stage, Stage::Upgraded) {
                connection.stage = Stage::Joining(replies);
                connection.socket.write_all(&hello)?;
            } else {
                hellos.push_back((i, hello, replies));
            }
        }
        Ok(())
    }

    /// Number of connections.
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Waits at most `timeout`, then reads what came. `on_push` gets the connection's number and the push.
    pub fn turn(&mut self, timeout: Duration, mut on_push: impl FnMut(usize, &[u8])) -> Result<Turn, Failure> {
        let mut turn = Turn::default();
        let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) };
        self.events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => return Ok(turn),
            result => result?,
        };
        for event in &self.events {
            let i = event.data.u64() as usize;
            let connection = &mut self.connections[i];
            let was_live = matches!(connection.stage, Stage::Live);
            connection
                .read(&mut self.buffer, self.protocol, &mut turn, |push| on_push(i, push))
                .map_err(|failure| format!("connection {i}: {failure}"))?;
            self.live += usize::from(!was_live && matches!(connection.stage, Stage::Live));
        }
        Ok(turn)
    }
}

impl Connection {
    fn read(
        &mut self,
        buffer: &mut [u8],
        protocol: Protocol,
        turn: &mut Turn,
        mut on_push: impl FnMut(&[u8]),
    ) -> Result<(), Failure> {
        let kept = self.carry.len();
        if kept == buffer.len() {
            return Err("a frame larger than the read buffer".into());
        }
        buffer[..kept].copy_from_slice(&self.carry);
        let end = match self.socket.read(&mut buffer[kept..]) {
            Ok(0) => return Err("the server ended the connection".into()),
            Ok(count) => kept + count,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        let bytes = &buffer[..end];
        let mut at = 0;
        if let Stage::Upgrading(upgrade) = &self.stage {
            match upgrade.answered(bytes)? {
                Some(taken) => (at, self.stage) = (taken, Stage::Upgraded),
                None => {
                    self.carry = bytes.to_vec();
                    return Ok(());
                }
            }
        }
        while let Some((frame, taken)) = ws::read_frame(&bytes[at..])? {
            at += taken;
            match frame {
                Frame::Message(message) => self.take(protocol, message, turn, &mut on_push)?,
                Frame::Ping(payload) => {
                    let mut pong = Vec::new();
                    ws::write_pong(&mut pong, payload);
                    self.socket.write_all(&pong)?;
                }
                Frame::Close(payload) => {
                    let code = payload.first_chunk::<2>().map_or(0, |code| u16::from_be_bytes(*code));
                    let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned();
                    return Err(format!("closed by the server: {code} {reason}").into());
                }
            }
        }
        if at < end {
            self.carry = bytes[at..].to_vec();
        } else if kept > 0 {
            self.carry = Vec::new();
        }
        Ok(())
    }

    fn take(
        &mut self,
        protocol: Protocol,
        message: &[u8],
        turn: &mut Turn,
        on_push: &mut impl FnMut(&[u8]),
    ) -> Result<(), Failure> {
        let mut pushes = false;
        wire::each_message(protocol, message, |incoming| {
            match incoming {
                Incoming::Ping => {
                    let mut pong = Vec::new();
                    ws::write_message(&mut pong, protocol, wire::pong(protocol));
                    self.socket.write_all(&pong)?;
                }
                Incoming::Push(push) => {
                    pushes = true;
                    on_push(push);
                }
                Incoming::Error(error) => return Err(String::from_utf8_lossy(error).into()),
                Incoming::Reply => {
                    if let Stage::Joining(replies) = &mut self.stage {
                        *replies -= 1;
                        if *replies == 0 {
                            self.stage = Stage::Live;
                        }
                    }
                }
            }
            Ok(())
        })?;
        if pushes {
            turn.frames += 1;
            turn.frame_bytes += message.len() as u64;
        }
        Ok(())
    }
}
