//! Clients that behave badly beside good ones: they read slowly or never, flood, send byte by byte or hugely.

use std::ops::Range;

use clap::ValueEnum;

use crate::Failure;
use crate::bench::Bench;
use crate::clock::SECOND;
use crate::commands::{self, FIRST_ID, Subscribe};
use crate::fleet::{Deaf, Fleet, OPENING_AT_ONCE};
use crate::ws;

/// What is bad about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum How {
    /// They never read.
    Never,
    /// They read a kilobyte ten times a second.
    Slowly,
    /// They send pongs that nobody asked for, the smallest frames there are, as fast as they are taken.
    Flood,
    /// They send commands byte by byte.
    Dribble,
    /// They send messages of nearly 64 KiB, as large as a server takes by default, as fast as they are taken.
    Huge,
    /// An equal share of each of these.
    Mixed,
}

const KINDS: [How; 5] = [How::Never, How::Slowly, How::Flood, How::Dribble, How::Huge];

/// Their receive buffer, bytes: what the kernel keeps for them is soon full.
const RECEIVE_BUFFER: u32 = 4096;
const PERIOD: u64 = SECOND / 10;
const SIP: usize = 1024;
/// Pongs in one flood.
const FLOOD: usize = 200;
/// Bytes of padding in a huge message. Servers refuse messages of more than 65,536 bytes unless they are told otherwise.
const HUGE: usize = 65_000;

/// See the module.
pub struct BadClients {
    gangs: Vec<Gang>,
}

/// Clients that are bad in the same manner.
struct Gang {
    how: How,
    range: Range<usize>,
    next: u64,
    /// What they send: whole frames, or the frame they dribble.
    bytes: Vec<u8>,
    dribbled: usize,
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
        let kinds: &[How] = if how == How::Mixed { &KINDS } else { &[how] };
        let place = |share: usize| range.start + range.len() * share / kinds.len();
        let gangs =
            kinds.iter().enumerate().map(|(i, how)| Gang::open(bench, fleet, place(i)..place(i + 1), *how, channel));
        Ok(BadClients { gangs: gangs.collect::<Result<_, _>>()? })
    }

    /// Behaves badly; the moment when to do so again.
    pub fn act(&mut self, now: u64, fleet: &mut Fleet) -> u64 {
        self.gangs.iter_mut().map(|gang| gang.act(now, fleet)).min().unwrap_or(now + PERIOD)
    }
}

impl Gang {
    fn open(bench: &Bench, fleet: &mut Fleet, range: Range<usize>, how: How, channel: &str) -> Result<Gang, Failure> {
        let wish = [Subscribe { channel: channel.to_owned(), from: None }];
        let places = range.clone();
        let is_lazy = matches!(how, How::Never | How::Slowly);
        if is_lazy {
            fleet.squeeze(Some(RECEIVE_BUFFER));
        }
        fleet.open(places, OPENING_AT_ONCE, &mut Deaf, |_| 0, |i| bench.hello(i, &wish))?;
        fleet.squeeze(None);
        if is_lazy {
            range.clone().try_for_each(|i| fleet.neglect(i))?;
        }
        let protocol = bench.options.protocol;
        let mut bytes = Vec::new();
        match how {
            How::Flood => (0..FLOOD).for_each(|_| ws::write_pong(&mut bytes, b"")),
            How::Huge => {
                ws::write_message(&mut bytes, protocol, &commands::padded_unsubscribe(protocol, FIRST_ID, HUGE))
            }
            _ => ws::write_message(&mut bytes, protocol, &commands::padded_unsubscribe(protocol, FIRST_ID, 0)),
        }
        Ok(Gang { how, range, next: 0, bytes, dribbled: 0 })
    }

    fn act(&mut self, now: u64, fleet: &mut Fleet) -> u64 {
        if now < self.next {
            return self.next;
        }
        for i in self.range.clone() {
            let standing = !fleet.connection(i).is_closed();
            match self.how {
                How::Slowly => {
                    fleet.sip(i, SIP);
                }
                // What fails here shows as a connection that has gone.
                How::Flood | How::Huge if standing && fleet.connection(i).unsent() == 0 => {
                    drop(fleet.send(i, &self.bytes));
                }
                How::Dribble if standing => drop(fleet.send(i, &self.bytes[self.dribbled..=self.dribbled])),
                _ => {}
            }
        }
        self.dribbled = (self.dribbled + 1) % self.bytes.len();
        self.next = now + if matches!(self.how, How::Never | How::Slowly) { PERIOD } else { PERIOD / 100 };
        self.next
    }
}
