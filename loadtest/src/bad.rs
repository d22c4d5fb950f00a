//! Clients that behave badly beside good ones: they read slowly or never, flood, or send byte by byte.

use std::ops::Range;

use clap::ValueEnum;

use crate::Failure;
use crate::bench::Bench;
use crate::clock::SECOND;
use crate::commands::{self, Subscribe};
use crate::fleet::{Deaf, Fleet};
use crate::spread::OPENING_AT_ONCE;
use crate::ws;

/// What is bad about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum How {
    /// They never read.
    Never,
    /// They read a kilobyte ten times a second.
    Slowly,
    /// They send small frames as fast as they are taken.
    Flood,
    /// They send commands byte by byte.
    Dribble,
}

/// Their receive buffer, bytes: what the kernel keeps for them is soon full.
const RECEIVE_BUFFER: u32 = 4096;
const PERIOD: u64 = SECOND / 10;
const SIP: usize = 1024;
/// Pongs in one flood.
const FLOOD: usize = 200;

/// See the module.
pub struct BadClients {
    how: How,
    range: Range<usize>,
    next: u64,
    flood: Vec<u8>,
    dribble: (Vec<u8>, usize),
}

impl BadClients {
    /// Opens them in these places of the fleet; all subscribe to `channel`.
    pub fn open(
        bench: &Bench,
        fleet: &mut Fleet,
        range: Range<usize>,
        how: How,
        channel: &str,
    ) -> Result<BadClients, Failure> {
        let wish = [Subscribe { channel: channel.to_owned(), from: None }];
        let places = range.clone();
        if matches!(how, How::Never | How::Slowly) {
            fleet.squeeze(Some(RECEIVE_BUFFER));
        }
        fleet.open(places, OPENING_AT_ONCE, &mut Deaf, |_| 0, |i| bench.hello(i, &wish))?;
        fleet.squeeze(None);
        if matches!(how, How::Never | How::Slowly) {
            range.clone().try_for_each(|i| fleet.neglect(i))?;
        }
        let protocol = bench.options.protocol;
        let mut flood = Vec::new();
        (0..FLOOD).for_each(|_| ws::write_message(&mut flood, protocol, commands::pong(protocol)));
        let mut slow = Vec::new();
        ws::write_message(&mut slow, protocol, commands::pong(protocol));
        Ok(BadClients { how, range, next: 0, flood, dribble: (slow, 0) })
    }

    /// Behaves badly; the moment when to do so again.
    pub fn act(&mut self, now: u64, fleet: &mut Fleet) -> Result<u64, Failure> {
        if now < self.next {
            return Ok(self.next);
        }
        for i in self.range.clone() {
            let standing = !fleet.connection(i).is_closed();
            match self.how {
                How::Never => {}
                How::Slowly => {
                    fleet.sip(i, SIP);
                }
                // What fails here shows as a connection that has gone.
                How::Flood if standing && fleet.connection(i).unsent() == 0 => drop(fleet.send(i, &self.flood)),
                How::Dribble if standing => {
                    drop(fleet.send(i, &self.dribble.0[self.dribble.1..=self.dribble.1]));
                }
                How::Flood | How::Dribble => {}
            }
        }
        self.dribble.1 = (self.dribble.1 + 1) % self.dribble.0.len();
        self.next = now + if matches!(self.how, How::Flood | How::Dribble) { PERIOD / 100 } else { PERIOD };
        Ok(self.next)
    }
}
