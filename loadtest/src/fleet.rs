//! Many connections on one thread: one epoll, one read buffer for all, nothing per connection while it is idle.

use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};

use crate::clock::{self, SECOND};
use crate::connection::{Connection, Hello, Stage};
use crate::poller::{OTHERS, Poller};
use crate::sources::Sources;
use crate::target::{Protocol, Target};
use crate::ws::{self, Upgrade};
use crate::{Failure, advice, sources};

/// Connections that may be on their way at once: more would only queue up at the server's listener.
pub const OPENING_AT_ONCE: usize = 64;
/// Longest time without any connection coming through while many are being opened.
const OPENING_PATIENCE: u64 = 20 * SECOND;

/// Who hears what the connections receive.
pub trait Hear {
    /// What is told next was read at this moment.
    fn at(&mut self, _now: u64) {}
    /// A push arrived.
    fn push(&mut self, connection: usize, push: &[u8]);
    /// A command's reply arrived; those to the hello too.
    fn reply(&mut self, _connection: usize, _id: u64, _reply: &[u8]) -> Result<(), Failure> {
        Ok(())
    }
    /// All replies to the hello have come.
    fn live(&mut self, _connection: usize) {}
    /// The connection ended or failed, and is closed now. A failure here ends the run.
    fn ended(&mut self, connection: usize, why: Failure) -> Result<(), Failure> {
        Err(format!("connection {connection}: {why}").into())
    }
}

/// Nobody listens.
pub struct Deaf;

impl Hear for Deaf {
    fn push(&mut self, _connection: usize, _push: &[u8]) {}
}

/// Data frames that came so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// Reads that brought such frames.
    pub reads: u64,
    /// Frames with pushes.
    pub frames: u64,
    /// Pushes in them.
    pub pushes: u64,
    /// Bytes of those frames' payloads.
    pub bytes: u64,
}

/// What all connections of a fleet have in common.
pub struct Shared {
    pub(crate) protocol: Protocol,
    pub(crate) address: SocketAddr,
    pub(crate) upgrade: Upgrade,
    pub(crate) pong: Vec<u8>,
    pub(crate) buffer: Vec<u8>,
    pub(crate) traffic: Traffic,
}

/// The connections, and the means to hear from them.
pub struct Fleet {
    connections: Vec<Connection>,
    poller: Poller,
    sources: Sources,
    shared: Shared,
    news: Vec<usize>,
    receive_buffer: Option<u32>,
    prepared: Vec<OwnedFd>,
}

impl Fleet {
    /// Places for `count` connections.
    pub fn new(target: &Target, protocol: Protocol, count: usize, sources: Sources) -> Result<Fleet, Failure> {
        let mut pong = Vec::new();
        ws::write_message(&mut pong, protocol, crate::commands::pong(protocol));
        Ok(Fleet {
            connections: (0..count).map(|_| Connection::closed()).collect(),
            poller: Poller::new()?,
            sources,
            shared: Shared {
                protocol,
                address: target.address,
                upgrade: Upgrade::new(&target.host, protocol),
                pong,
                buffer: Vec::new(),
                traffic: Traffic::default(),
            },
            news: Vec::new(),
            receive_buffer: None,
            prepared: Vec::new(),
        })
    }

    /// Connections opened from now on have a receive buffer of so many bytes: they soon cannot take more.
    pub fn squeeze(&mut self, receive_buffer: Option<u32>) {
        self.receive_buffer = receive_buffer;
    }

    /// Makes the sockets of all connections that are to begin at one moment.
    pub fn prepare(&mut self) -> Result<(), Failure> {
        let (sources, address, room) = (&mut self.sources, self.shared.address, self.receive_buffer);
        self.prepared = self.connections.iter().map(|_| sources.socket(address, room)).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Starts connection `i`; it is live when the replies to its hello have come.
    pub fn begin(&mut self, i: usize, hello: Hello) -> Result<(), Failure> {
        let address = self.shared.address;
        let socket = match self.prepared.pop() {
            Some(socket) => {
                sources::start(&socket, address).map_err(|e| advice::unreachable(address, &e.into()))?;
                socket
            }
            None => self.sources.connect(address, self.receive_buffer)?,
        };
        self.poller.add(&socket, i as u64)?;
        self.connections[i].begin(socket, hello, &self.shared)
    }

    /// Starts the connections of a range, at most `at_once` at a time and when they are `due`, and waits until
    /// all are live.
    pub fn open(
        &mut self,
        range: Range<usize>,
        at_once: usize,
        hear: &mut impl Hear,
        mut due: impl FnMut(usize) -> u64,
        mut hello: impl FnMut(usize) -> Hello,
    ) -> Result<(), Failure> {
        let (mut next, mut under_way) = (range.start, Vec::new());
        let mut progress = clock::now();
        while next < range.end || !under_way.is_empty() {
            let mut until = clock::now() + SECOND / 10;
            while next < range.end && under_way.len() < at_once {
                if due(next) > clock::now() {
                    until = until.min(due(next));
                    break;
                }
                self.begin(next, hello(next))?;
                under_way.push(next);
                next += 1;
            }
            self.turn(until, hear)?;
            let before = under_way.len();
            under_way.retain(|i| !self.connections[*i].is_live() && !self.connections[*i].is_closed());
            if under_way.len() < before || under_way.is_empty() {
                progress = clock::now();
            } else if clock::now() - progress > OPENING_PATIENCE {
                let words = "no connection came through for 20 seconds; the server has";
                return Err(format!("{words} {} of {} and answers no more", next - before, range.len()).into());
            }
        }
        Ok(())
    }

    /// Waits until something happens or `until` has come, then reads what came.
    pub fn turn(&mut self, until: u64, hear: &mut impl Hear) -> Result<(), Failure> {
        self.news.clear();
        for event in 0..self.poller.wait(until)? {
            let tag = self.poller.tag(event);
            if tag >= OTHERS {
                self.news.push((tag - OTHERS) as usize);
                continue;
            }
            let connection = &mut self.connections[tag as usize];
            let news = self.poller.news(event);
            if let Err(failure) = connection.progress(tag as usize, news, &mut self.shared, hear) {
                connection.close();
                hear.ended(tag as usize, failure)?;
            }
        }
        Ok(())
    }

    /// Watches a socket beside the fleet's, by a number of its own.
    pub fn watch(&self, socket: impl AsFd, number: usize) -> Result<(), Failure> {
        self.poller.add_level(socket, OTHERS + number as u64)
    }

    /// Sockets beside the fleet's that had news in the last turn.
    pub fn news(&self) -> &[usize] {
        &self.news
    }

    /// Does not hear from connection `i` any more: it stays open, and what comes fills the kernel's buffers.
    pub fn neglect(&self, i: usize) -> Result<(), Failure> {
        self.connections[i].socket().map_or(Ok(()), |socket| self.poller.remove(socket))
    }

    /// Reads a little from a neglected connection, and forgets it. Whether the connection still stands.
    pub fn sip(&mut self, i: usize, bytes: usize) -> bool {
        self.connections[i].sip(&mut [0; 4096][..bytes.min(4096)])
    }

    /// Sends whole frames on connection `i`.
    pub fn send(&mut self, i: usize, frames: &[u8]) -> Result<(), Failure> {
        self.connections[i].send(frames)
    }

    /// Hangs up on connection `i`.
    pub fn close(&mut self, i: usize) {
        self.connections[i].close();
    }

    /// Connection `i`.
    pub fn connection(&self, i: usize) -> &Connection {
        &self.connections[i]
    }

    /// Connections that are live.
    pub fn live(&self) -> usize {
        self.connections.iter().filter(|connection| matches!(connection.stage, Stage::Live)).count()
    }

    /// Data frames so far.
    pub fn traffic(&self) -> Traffic {
        self.shared.traffic
    }

    /// Nanoseconds this thread waited for something to do.
    pub fn waited(&self) -> u64 {
        self.poller.waited()
    }
}
