//! A Redis Cluster: each request goes to the member that has the slot of its keys.
//!
//! Requests about one channel keep their order while slots move. A member that does not have a slot any more says where
//! it is, and the request goes there next; the requests behind it go the same way round. Meanwhile the map is read
//! anew; it counts from the moment on at which nothing is under way, and until then further requests wait. While half
//! of a slot's keys have moved, scripts find neither half: what was asked about the slot is asked again later. Only there
//! may a request of one key overtake one of several.
//!
//! What may be a little old is asked of replicas, if they are to be read from. One that is no replica of the slot's
//! master any more says where the slot is, like any other member.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::dial::Dial;
use super::pipe::{Misled, Pipe};
use super::request::{Kind, Lay};
use super::slots::{Map, Redirect, slot};
use crate::broker::Call;
use crate::channel::broker_op::BrokerReply;
use crate::config::snapshot::RedisAddress;
use crate::control::broker::events::{Asker, Events};

/// Shortest time between two readings of the map.
const READ_EVERY: Duration = Duration::from_millis(100);

/// Most requests that wait for the map; more fail at once.
const MAX_HELD: usize = 1 << 18;

/// See the module.
pub struct Cluster {
    dial: Arc<Dial>,
    lay: Arc<Lay>,
    map: Map,
    members: HashMap<RedisAddress, Pipe>,
    /// The map may have changed.
    is_stale: bool,
    reading: Option<Reading>,
    read_at: Instant,
    /// What counts as soon as nothing is under way.
    next: Option<Map>,
    held: Vec<(Call, Kind, Asker)>,
    /// Requests that are to be sent again with the next tick, and what was asked behind them about the same slots.
    later: Vec<Misled>,
    /// Slots of those.
    stuck: HashSet<usize>,
    /// Slots whose master is another one than before, or was away: it may lack what the one before had, and messages may
    /// be lost though the connection that they come on never broke.
    doubtful: HashSet<usize>,
}

type Reading = Pin<Box<dyn Future<Output = Result<Map, String>> + Send>>;

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("members", &self.members).finish_non_exhaustive()
    }
}

impl Cluster {
    /// A Cluster with this map.
    pub fn new(dial: Arc<Dial>, lay: Arc<Lay>, map: Map) -> Self {
        Self {
            dial,
            lay,
            map,
            members: HashMap::new(),
            is_stale: false,
            reading: None,
            read_at: Instant::now(),
            next: None,
            held: Vec::new(),
            later: Vec::new(),
            stuck: HashSet::new(),
            doubtful: HashSet::new(),
        }
    }

    /// Whether the master of a slot can be asked at once, for all that is known.
    pub fn can_ask(&self, slot: usize) -> bool {
        let member = |owner| self.members.get(owner);
        self.map.owner(slot).is_some_and(|owner| member(owner).is_none_or(Pipe::is_up))
    }

    /// Slots whose streams and messages are to be looked at again.
    pub fn take_doubtful(&mut self) -> HashSet<usize> {
        std::mem::take(&mut self.doubtful)
    }

    /// Asks.
    pub fn ask(&mut self, call: Call, kind: Kind, asker: Asker, now: Instant, events: &mut Events) {
        if self.next.is_none() {
            return self.route(call, kind, asker, now, events);
        }
        if self.held.len() >= MAX_HELD {
            return events.reply(asker, BrokerReply::Failed);
        }
        self.held.push((call, kind, asker));
    }

    fn route(&mut self, call: Call, kind: Kind, asker: Asker, now: Instant, events: &mut Events) {
        let slot = slot_of(&call);
        if self.stuck.contains(&slot) {
            return self.postpone(Misled { redirect: None, call, kind, asker, tries: 0 }, events);
        }
        let Some(owner) = self.map.owner(slot) else {
            self.is_stale = true;
            return events.reply(asker, BrokerReply::Failed);
        };
        let mut chosen = owner.clone();
        if self.lay.is_for_replicas(&kind) {
            // The master, while no replica can be reached.
            let replicas: Vec<_> = self.map.replicas(slot).cloned().collect();
            if let Some(replica) = replicas.into_iter().find(|replica| self.member(replica).is_up()) {
                chosen = replica;
            }
        }
        self.member(&chosen).ask(call, kind, asker, now, events);
    }

    fn postpone(&mut self, misled: Misled, events: &mut Events) {
        if self.later.len() >= MAX_HELD {
            return events.reply(misled.asker, BrokerReply::Failed);
        }
        self.stuck.insert(slot_of(&misled.call));
        self.later.push(misled);
    }

    fn member(&mut self, address: &RedisAddress) -> &mut Pipe {
        let Self { members, dial, lay, .. } = self;
        let open = || Pipe::new(Arc::new(dial.to_member(address)), lay.clone());
        members.entry(address.clone()).or_insert_with(open)
    }

    /// Sends, and takes replies. True when it must be called again soon.
    pub fn turn(&mut self, cx: &mut Context<'_>, now: Instant, events: &mut Events) -> bool {
        let mut more = false;
        let mut misled: Vec<Misled> = Vec::new();
        for (address, pipe) in &mut self.members {
            more |= pipe.turn(cx, now, events);
            if pipe.take_came_back().is_some() {
                self.doubtful.extend(self.map.slots_of(address));
            }
            misled.extend(pipe.take_misled());
            self.is_stale |= pipe.is_down();
        }
        self.is_stale |= !misled.is_empty();
        more |= !misled.is_empty();
        for misled in misled {
            match &misled.redirect {
                Some(Redirect { to, .. }) => self.member(&to.clone()).ask_instead(misled, now, events),
                None => self.postpone(misled, events),
            }
        }
        self.read(cx, now);
        if self.members.values().all(Pipe::is_idle)
            && let Some(map) = self.next.take()
        {
            self.members.retain(|address, _| map.has(address));
            self.doubtful.extend(self.map.moved(&map));
            self.map = map;
            more |= !self.held.is_empty();
            for (call, kind, asker) in std::mem::take(&mut self.held) {
                self.route(call, kind, asker, now, events);
            }
        }
        more
    }

    /// Whether no request waits or is under way.
    pub fn is_idle(&self) -> bool {
        self.held.is_empty() && self.later.is_empty() && self.members.values().all(Pipe::is_idle)
    }

    /// Reads the map when it may have changed.
    fn read(&mut self, cx: &mut Context<'_>, now: Instant) {
        let is_due = self.is_stale && now.duration_since(self.read_at) >= READ_EVERY && self.next.is_none();
        if is_due && self.reading.is_none() {
            self.read_at = now;
            let dial = self.dial.clone();
            self.reading = Some(Box::pin(async move { dial.map().await }));
        }
        let Some(reading) = &mut self.reading else { return };
        let Poll::Ready(read) = reading.as_mut().poll(cx) else { return };
        self.reading = None;
        match read {
            Ok(map) => {
                // A member that is down and has slots all the same may be replaced later.
                self.is_stale = self.members.iter().any(|(address, pipe)| pipe.is_down() && map.has(address));
                self.next = Some(map).filter(|map| *map != self.map);
            }
            Err(reason) => tracing::error!(redis = self.dial.name(), reason, "cannot read the Cluster's slots"),
        }
    }

    /// Gives up what takes too long. To be called now and then; the task must take a turn afterwards.
    pub fn tick(&mut self, now: Instant, events: &mut Events) {
        self.members.values_mut().for_each(|pipe| pipe.tick(now, events));
        self.stuck.clear();
        for misled in std::mem::take(&mut self.later) {
            match self.map.owner(slot_of(&misled.call)).cloned() {
                Some(owner) => self.member(&owner).ask_instead(misled, now, events),
                None => events.reply(misled.asker, BrokerReply::Failed),
            }
        }
    }
}

fn slot_of(call: &Call) -> usize {
    call.keys().next().map_or(0, slot)
}
