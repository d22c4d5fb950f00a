//! Publications over the server API to channels whose subscribers are spread over connections: the load that fanout,
//! many, slow and idle share.

use std::sync::OnceLock;

use clap::Args;

use crate::Failure;
use crate::api::ApiConnection;
use crate::bad::{BadClients, How};
use crate::bench::Bench;
use crate::clock::{self, SECOND};
use crate::commands::Subscribe;
use crate::fleet::{Deaf, Hear, OPENING_AT_ONCE};
use crate::order::Order;
use crate::payload::{Finder, STREAMS};
use crate::publisher::Publisher;
use crate::tally::Tally;
use crate::workers::{self, ServerUse, Worker};

/// What has not come this long after the last arrival is lost.
pub const PATIENCE: u64 = 5 * SECOND;
/// How long to listen for what should not come once all has come.
const LINGER: u64 = SECOND / 20;
const TURN: u64 = SECOND / 50;

/// How publications come.
#[derive(Args, Clone, Debug)]
pub struct Load {
    /// Publish as fast as the server accepts, instead of at a rate.
    #[arg(long)]
    pub saturate: bool,
    /// When saturating: requests under way.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub in_flight: u32,
    /// When saturating: publications accepted but not delivered to everyone yet, beyond which publishing waits.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub ahead: u32,
    /// Namespace of the channels.
    #[arg(long, default_value = "")]
    pub namespace: String,
}

impl Load {
    /// What drives the publisher, at this rate unless it saturates.
    pub fn drive(&self, rate: f64) -> Drive {
        if self.saturate {
            Drive::Saturate { in_flight: u64::from(self.in_flight), ahead: u64::from(self.ahead) }
        } else {
            Drive::Rate(rate)
        }
    }
}

/// What drives the publisher.
#[derive(Clone, Copy, Debug)]
pub enum Drive {
    /// So many publications a second.
    Rate(f64),
    /// See [`Load`].
    Saturate {
        /// Requests under way.
        in_flight: u64,
        /// Publications ahead of their deliveries.
        ahead: u64,
    },
    /// None while measuring; one to each channel at the end, to see that all connections hear.
    AtEnd,
}

/// Who hears what.
#[derive(Clone, Debug)]
pub struct Spread {
    /// Connections.
    pub connections: usize,
    /// Channels.
    pub channels: usize,
    /// Channels that each connection subscribes to: as many in a row, each connection one further.
    pub each: usize,
    /// Publications in one request, to channels in a row.
    pub batch: usize,
    /// Namespace of the channels.
    pub namespace: String,
    /// How publications come.
    pub drive: Drive,
    /// Clients that behave badly beside the others.
    pub bad: Option<(usize, How)>,
}

impl Spread {
    /// Runs it on all workers.
    pub fn run(&self, bench: &Bench) -> Result<(Tally, Option<ServerUse>), Failure> {
        if self.each > self.channels {
            return Err(format!("{} channels each, but there are only {}", self.each, self.channels).into());
        }
        if self.channels > STREAMS as usize {
            return Err(format!("at most {STREAMS} channels can be told apart").into());
        }
        if !self.channels.is_multiple_of(self.batch) {
            let words = "must be a multiple of --batch, so that every batch finds its channels in a row";
            return Err(format!("--channels {words}").into());
        }
        let published = OnceLock::new();
        workers::run(bench, |worker| self.work(bench, worker, &published))
    }

    /// Channels of a connection, by number.
    pub fn streams(&self, connection: usize) -> Vec<u32> {
        (0..self.each).map(|i| ((connection + i) % self.channels) as u32).collect()
    }

    fn work(&self, bench: &Bench, worker: &Worker<'_>, published: &OnceLock<Vec<u64>>) -> Result<Tally, Failure> {
        let range = worker.share(self.connections);
        let bad_count = if worker.index == 0 { self.bad.map_or(0, |bad| bad.0) } else { 0 };
        let mut fleet = bench.fleet(worker, range.len() + bad_count, self.connections + bad_count)?;
        fleet.open(0..range.len(), OPENING_AT_ONCE, &mut Deaf, bench.opening(worker), |i| {
            let wishes: Vec<Subscribe> = self
                .streams(range.start + i)
                .into_iter()
                .map(|stream| Subscribe { channel: bench.channel(&self.namespace, stream as usize), from: None })
                .collect();
            worker.tell_connections(1);
            bench.hello(range.start + i, &wishes)
        })?;
        let mut bad = None;
        if let (Some((count, how)), 0) = (self.bad, worker.index) {
            let channel = bench.channel(&self.namespace, 0);
            bad = Some(BadClients::open(bench, &mut fleet, range.len()..range.len() + count, how, &channel)?);
        }
        let mut publisher = (worker.index == 0).then(|| Publisher::new(self, bench, range.len())).transpose()?;
        let mut is_watched = false;
        let window = worker.ready()?;
        let order = Order::new(range.clone().map(|connection| self.streams(connection)));
        let mut hearing =
            Hearing { finder: Finder::new(), now: clock::now(), good: range.len(), order, tally: Tally::new(window) };
        let mut told = 0;
        let mut ending = Ending { heard: 0, since: window.end };
        loop {
            let now = clock::now();
            let mut until = now + TURN;
            if let Some(publisher) = &mut publisher {
                let is_late = matches!(self.drive, Drive::AtEnd);
                if !is_watched && (!is_late || now >= window.end) {
                    if is_late {
                        // Servers end connections on which nothing was asked for some seconds.
                        publisher.api = ApiConnection::open(&bench.target)?;
                    }
                    fleet.watch(publisher.api.socket(), 0)?;
                    is_watched = true;
                }
                until = until.min(publisher.pump(now, window, hearing.order.heard(), &mut hearing.tally)?);
                if publisher.is_done(now, window)? {
                    published.get_or_init(|| publisher.published.clone());
                }
            }
            if let Some(bad) = &mut bad {
                until = until.min(bad.act(now, &mut fleet));
            }
            fleet.turn(until, &mut hearing)?;
            if let (Some(publisher), [_, ..]) = (&mut publisher, fleet.news()) {
                publisher.api.receive()?;
            }
            let now = clock::now();
            hearing.tally.turn(now, fleet.traffic(), fleet.waited());
            worker.tell(hearing.order.heard() - told);
            told = hearing.order.heard();
            if now >= window.end {
                if worker.is_over() {
                    return Err("another worker failed".into());
                }
                if let Some(published) = published.get() {
                    let owed = hearing.order.owed(published);
                    if ending.has_come(now, told, owed) {
                        break;
                    }
                }
            }
        }
        let mut tally = hearing.tally;
        tally.faults = hearing.order.finish(published.get().map_or(&[], Vec::as_slice));
        Ok(tally)
    }
}

/// When to stop listening.
pub struct Ending {
    /// Arrivals at the last look.
    pub heard: u64,
    /// When there was one last.
    pub since: u64,
}

impl Ending {
    /// Whether all has come and nothing else came after it, or what is missing will not come any more.
    pub fn has_come(&mut self, now: u64, heard: u64, owed: u64) -> bool {
        if heard != self.heard {
            (self.heard, self.since) = (heard, now);
        }
        now.saturating_sub(self.since) > if heard >= owed { LINGER } else { PATIENCE }
    }
}

/// What subscribers hear.
struct Hearing {
    finder: Finder,
    now: u64,
    /// Connections from here on behave badly: what they hear does not count.
    good: usize,
    order: Order,
    tally: Tally,
}

impl Hear for Hearing {
    fn at(&mut self, now: u64) {
        self.now = now;
    }

    fn push(&mut self, connection: usize, push: &[u8]) {
        if connection >= self.good {
            return;
        }
        if let Some((stamp, _)) = self.finder.first(push) {
            self.order.take(connection, stamp.stream, stamp.number);
            self.tally.arrive(self.now, stamp.due);
        }
    }

    fn ended(&mut self, connection: usize, why: Failure) -> Result<(), Failure> {
        if connection < self.good {
            return Err(format!("connection {connection}: {why}").into());
        }
        // A server may send the bad ones away.
        self.tally.sent_away += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_when_all_has_come_or_nothing_comes() {
        let mut ending = Ending { heard: 0, since: 0 };
        assert!(!ending.has_come(SECOND, 5, 10));
        assert!(!ending.has_come(2 * SECOND, 5, 10));
        assert!(ending.has_come(7 * SECOND, 5, 10));
        assert!(!ending.has_come(8 * SECOND, 10, 10));
        assert!(ending.has_come(8 * SECOND + 2 * LINGER, 10, 10));
    }
}
