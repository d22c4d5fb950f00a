//! Keys whose versions other nodes publish, too (`publish_enabled`, where channels live at a broker): the broker sends
//! a key's messages before a client that tracks it is answered, so that nothing is missed that is published later
//! (upstream: `trackKeys`, `subscribeToBrokerKeys`). The backend is asked by each node for itself.

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use super::Poll;
use crate::base::ids::{ConnId, ShardId};
use crate::base::slab::Slab;
use crate::base::time::Now;
use crate::channel::broker_op::{BrokerRequest, KeyVersion, Ticket};
use crate::channel::dispatch::respond;
use crate::channel::home::{Homes, Out};
use crate::channel::name::ChannelName;
use crate::channel::op::{Answer, ReplyTo};
use crate::protocol::error::Error;

/// Commands to track keys that wait for the broker, at most. At the bound tracking fails.
const MAX_WAITING: u32 = 1 << 18;

/// Whether the broker sends a key's messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Link {
    /// Nobody asked it to.
    #[default]
    Down,
    /// This command did.
    Asked(ConnId),
    Up,
}

/// What the broker is asked about keys.
#[derive(Debug)]
pub(super) struct Links {
    waiting: Slab<Waiting>,
    pub(super) requests: Vec<BrokerRequest>,
}

/// A command to track keys, until the broker sends the messages of all of them.
#[derive(Debug)]
struct Waiting {
    from: ShardId,
    reply: ReplyTo,
    poll: ConnId,
    keys: Vec<(ChannelName, u64)>,
    /// What it waits for: keys that it asked for, and commands that asked for others of its keys before.
    left: usize,
    has_failed: bool,
    /// Commands that wait for this one.
    followers: Vec<ConnId>,
}

impl Links {
    fn new() -> Self {
        Self { waiting: Slab::new(MAX_WAITING), requests: Vec::new() }
    }

    /// Nobody tracks the keys any more.
    pub(super) fn end(&mut self, keys: impl IntoIterator<Item = ChannelName>) {
        self.requests.extend(keys.into_iter().map(|key| BrokerRequest::Unlink { key }));
    }

    /// Asks for the messages of those keys that nobody asked for yet. False when there is nothing to wait for.
    fn ask(&mut self, poll: &mut Poll, id: ConnId) -> bool {
        let mut asked = Vec::new();
        let Some(waiting) = self.waiting.get(id) else { return false };
        let mut leaders: HashSet<ConnId, FixedState> = HashSet::default();
        for (key, _) in &waiting.keys {
            let Some(link) = poll.link(key) else { continue };
            match *link {
                Link::Up => {}
                Link::Asked(leader) => drop(leader != id && leaders.insert(leader)),
                Link::Down => {
                    *link = Link::Asked(id);
                    asked.push(BrokerRequest::Link { key: key.clone(), ticket: Ticket(id) });
                }
            }
        }
        let left = asked.len() + leaders.len();
        for leader in leaders {
            if let Some(leader) = self.waiting.get_mut(leader) {
                leader.followers.push(id);
            }
        }
        if let Some(waiting) = self.waiting.get_mut(id) {
            waiting.left = left;
        }
        self.requests.append(&mut asked);
        left > 0
    }
}

impl Homes {
    /// From now on the broker is asked for the messages of keys that may be published to.
    pub fn link_keys(&mut self) {
        self.polls.links = Some(Links::new());
    }

    /// What the broker is asked since the last call, in order.
    pub fn take_key_requests(&mut self) -> Vec<BrokerRequest> {
        self.polls.links.as_mut().map(|links| std::mem::take(&mut links.requests)).unwrap_or_default()
    }

    /// Tracks keys, once the broker sends their messages; then the answer follows.
    pub(super) fn track_linked(
        &mut self,
        from: ShardId,
        id: ConnId,
        keys: Vec<(ChannelName, u64)>,
        reply: ReplyTo,
        now: Now,
        out: &mut Out<'_>,
    ) {
        let polls = &mut self.polls;
        let (Some(links), Some(poll)) = (&mut polls.links, polls.polls.get_mut(id)) else { return };
        let waiting = Waiting { from, reply, poll: id, keys, left: 0, has_failed: false, followers: Vec::new() };
        let waiting = match links.waiting.insert(waiting) {
            Ok(waiting) => waiting,
            Err(_) => return respond(from, reply, Answer::Failed(Error::INTERNAL), out),
        };
        let names = links.waiting.get(waiting).into_iter().flat_map(|waiting| &waiting.keys);
        polls.keys += names.map(|(key, _)| usize::from(poll.hold(key.clone(), from, now.mono_ms))).sum::<usize>();
        let waits = links.ask(poll, waiting);
        polls.reschedule(id);
        if !waits {
            self.track_waiting(waiting, now, out);
        }
    }

    /// The broker tells of a version that was published at some node.
    ///
    /// Where the backend names no epoch, those of publishers do not count, either: in Redis, Centrifugo loses them.
    pub fn key_told(
        &mut self,
        channel: &ChannelName,
        key: ChannelName,
        version: KeyVersion,
        now: Now,
        out: &mut Out<'_>,
    ) {
        let KeyVersion { publication, epoch } = version;
        let poll = self.polls.find(channel).and_then(|id| self.polls.get(id));
        let has_epoch = poll.is_some_and(|poll| !poll.epoch().is_empty());
        self.key_published(channel, key, publication, if has_epoch { epoch } else { Box::default() }, now, out);
    }

    /// The broker sends the messages of one more key, or cannot.
    pub fn linked(&mut self, ticket: Ticket, is_up: bool, now: Now, out: &mut Out<'_>) {
        let mut due = vec![(ticket.0, is_up)];
        while let Some((id, is_up)) = due.pop() {
            let Some(waiting) = self.polls.links.as_mut().and_then(|links| links.waiting.get_mut(id)) else { continue };
            waiting.left -= 1;
            waiting.has_failed |= !is_up;
            if waiting.left > 0 {
                continue;
            }
            let (has_failed, followers) = (waiting.has_failed, std::mem::take(&mut waiting.followers));
            self.track_waiting(id, now, out);
            due.extend(followers.into_iter().map(|follower| (follower, !has_failed)));
        }
    }

    /// A command has nothing more to wait for. What it held of keys when it fails, its shard gives back.
    fn track_waiting(&mut self, id: ConnId, now: Now, out: &mut Out<'_>) {
        let Some(links) = &mut self.polls.links else { return };
        let Some(Waiting { from, reply, poll: poll_id, keys, has_failed, .. }) = links.waiting.remove(id) else {
            return;
        };
        let found = self.polls.polls.get_mut(poll_id);
        let mut is_tracked = !has_failed;
        if let Some(poll) = found {
            let state = if has_failed { Link::Down } else { Link::Up };
            for (key, _) in &keys {
                match poll.link(key) {
                    Some(link) if *link == Link::Asked(id) => {
                        *link = state;
                        links.end(has_failed.then(|| key.clone()));
                    }
                    _ => {}
                }
            }
            // The backend may have said meanwhile that a key is gone.
            is_tracked &= keys.iter().all(|(key, _)| poll.is_held(key, from));
            if is_tracked {
                for (key, known) in keys {
                    poll.track(key, known, from, now.mono_ms, &mut self.polls.tally);
                }
            }
            self.polls.reschedule(poll_id);
        } else {
            is_tracked = false;
        }
        let answer = if is_tracked { Answer::Done } else { Answer::Failed(Error::INTERNAL) };
        respond(from, reply, answer, out);
    }
}
