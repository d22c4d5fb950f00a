//! A broker as the simulator plays it, for several nodes: streams and presence that are kept, messages that are not.
//! What is asked is carried out when the seed likes, replies and messages overtake each other, connections for
//! messages break and lose what is under way, requests fail before or after they were carried out, replicas take over
//! that lack the last publications.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;

use super::kept::Kept;
use crate::base::ids::ClientId;
use crate::base::time::Now;
use crate::broker::history::newest;
use crate::channel::broker_op::{BrokerEvent, BrokerOp, BrokerReply, BrokerRequest, Ticket};
use crate::channel::brokered::map_model::{MOST_LOST, Maps};
use crate::channel::map_op::MapOp;
use crate::channel::name::ChannelName;
use crate::channel::op::PublishOp;
use crate::channel::poll::channel_of;
use crate::channel::publication::{ClientInfo, Epoch, Position, Publication};
use crate::engine::ShardFarEnd;

/// Of so many requests one fails.
const FAILURES: u32 = 300;

/// Events that are brought at once, at most.
const MOST_AT_ONCE: usize = 4;

/// See the module.
pub(super) struct Broker {
    nodes: Vec<Node>,
    streams: HashMap<ChannelName, Kept>,
    presence: HashMap<ChannelName, HashMap<ClientId, Arc<ClientInfo>>>,
    maps: Maps,
    /// The last moment at which a map changed: no two removals of a key are of the same one.
    last_unix_ms: u64,
    /// Whether requests fail now and then.
    pub(super) is_faulty: bool,
}

/// A node as the broker sees it.
struct Node {
    uid: String,
    shards: Vec<Shard>,
    /// Channels that it wants messages of. Ordered, so that the same seed gives the same run.
    wanted: BTreeSet<String>,
    /// Messages on their way, with the shards that they are for. None while the connection for them is broken.
    pipe: Option<VecDeque<(usize, BrokerEvent)>>,
    /// Who waits until it is there again.
    waiting: Vec<(usize, Ticket)>,
}

struct Shard {
    far: ShardFarEnd,
    requests: VecDeque<BrokerRequest>,
    replies: VecDeque<BrokerEvent>,
}

impl Node {
    /// What is under way on the connection for messages is lost.
    fn cut(&mut self) {
        for (shard, event) in self.pipe.take().unwrap_or_default() {
            match event {
                BrokerEvent::Reply(ticket, _) => self.waiting.push((shard, ticket)),
                // As what waits for a confirmation, that of a key fails.
                BrokerEvent::Linked(ticket, _) => {
                    self.shards[shard].replies.push_back(BrokerEvent::Linked(ticket, false));
                }
                _ => {}
            }
        }
    }
}

impl Broker {
    pub(super) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            streams: HashMap::new(),
            presence: HashMap::new(),
            maps: Maps::default(),
            last_unix_ms: 0,
            is_faulty: true,
        }
    }

    /// One more node.
    pub(super) fn add(&mut self, uid: String, lines: Vec<ShardFarEnd>) {
        let shard = |far| Shard { far, requests: VecDeque::new(), replies: VecDeque::new() };
        let shards = lines.into_iter().map(shard).collect();
        let (wanted, waiting) = (BTreeSet::new(), Vec::new());
        self.nodes.push(Node { uid, shards, wanted, pipe: Some(VecDeque::new()), waiting });
    }

    /// Carries out one request of some shard. False when there is none.
    pub(super) fn carry_out_one(&mut self, rng: &mut StdRng, now: Now) -> bool {
        for shard in self.nodes.iter_mut().flat_map(|node| &mut node.shards) {
            while let Some(batch) = shard.far.take() {
                shard.requests.extend(batch);
            }
        }
        let places = self.nodes.iter().enumerate();
        let places = places.flat_map(|(n, node)| (0..node.shards.len()).map(move |shard| (n, shard)));
        let busy = places.filter(|(node, shard)| !self.nodes[*node].shards[*shard].requests.is_empty());
        let Some((node, shard)) = busy.choose(rng) else { return false };
        let Some(request) = self.nodes[node].shards[shard].requests.pop_front() else { return false };
        match request {
            BrokerRequest::Channel { channel, op, ticket } => {
                self.carry_out(node, shard, channel, op, ticket, rng, now)
            }
            BrokerRequest::Link { key, ticket } => {
                let fails = self.is_faulty && rng.random_ratio(1, FAILURES);
                let node = &mut self.nodes[node];
                node.wanted.insert(key.as_str().to_owned());
                match &mut node.pipe {
                    Some(pipe) if !fails => pipe.push_back((shard, BrokerEvent::Linked(ticket, true))),
                    _ => node.shards[shard].replies.push_back(BrokerEvent::Linked(ticket, false)),
                }
            }
            BrokerRequest::Unlink { key } => drop(self.nodes[node].wanted.remove(key.as_str())),
            BrokerRequest::Tell { to, message, ticket } => {
                for other in &mut self.nodes {
                    if to.as_ref().is_none_or(|to| **to == *other.uid)
                        && let Some(pipe) = &mut other.pipe
                    {
                        pipe.push_back((0, BrokerEvent::Control(message.clone())));
                    }
                }
                let told = ticket.map(|ticket| BrokerEvent::Told(ticket, true));
                self.nodes[node].shards[shard].replies.extend(told);
            }
        }
        true
    }

    #[expect(clippy::too_many_arguments, reason = "who asks, what, and the world")]
    fn carry_out(
        &mut self,
        node: usize,
        shard: usize,
        channel: ChannelName,
        op: BrokerOp,
        ticket: Option<Ticket>,
        rng: &mut StdRng,
        now: Now,
    ) {
        // What presence does to maps is not repeated until it is renewed.
        let is_kept = matches!(&op, BrokerOp::Map(op) if matches!(**op, MapOp::Publish(_) | MapOp::Remove { .. }));
        let may_fail = ticket.is_some() && !is_kept && self.is_faulty && rng.random_ratio(1, FAILURES);
        let fails_after = may_fail && matches!(op, BrokerOp::Publish(_)) && rng.random();
        if may_fail && !fails_after {
            return self.reply(node, shard, ticket, BrokerReply::Failed);
        }
        let reply = match op {
            BrokerOp::Subscribe(_) => {
                let node = &mut self.nodes[node];
                node.wanted.insert(channel.as_str().to_owned());
                let Some(ticket) = ticket else { return };
                match &mut node.pipe {
                    Some(pipe) => pipe.push_back((shard, BrokerEvent::Reply(ticket, BrokerReply::Done))),
                    None => node.waiting.push((shard, ticket)),
                }
                return;
            }
            BrokerOp::Unsubscribe(_) => {
                self.nodes[node].wanted.remove(channel.as_str());
                BrokerReply::Done
            }
            BrokerOp::Publish(op) => self.publish(&channel, *op, rng, now),
            BrokerOp::PublishKey(version) => {
                let home = channel_of(channel.as_str()).map(ChannelName::new).unwrap_or_else(|| channel.clone());
                self.message_to(&channel, &home, |key| BrokerEvent::Key(home.clone(), key, version.clone()));
                BrokerReply::Done
            }
            BrokerOp::Join(info) => {
                self.message(&channel, |name| BrokerEvent::Join(name, info.clone()));
                BrokerReply::Done
            }
            BrokerOp::Leave(info) => {
                self.message(&channel, |name| BrokerEvent::Leave(name, info.clone()));
                BrokerReply::Done
            }
            BrokerOp::History(read) => {
                let stream = self.stream(&channel, rng);
                BrokerReply::History(stream.read(read), stream.top)
            }
            BrokerOp::ChangeEpoch { of, meta_ttl_s } => {
                let fresh = Epoch::from_random(rng.random());
                let stream = self.stream(&channel, rng);
                if stream.top.epoch == of {
                    stream.top.epoch = fresh;
                }
                BrokerReply::History(stream.read(newest(meta_ttl_s)), stream.top)
            }
            BrokerOp::ChangeMapEpoch { of, options } => self.maps.change_epoch(&channel, of, options, rng, now),
            BrokerOp::RemoveHistory => {
                self.stream(&channel, rng).clear();
                BrokerReply::Done
            }
            BrokerOp::AddPresence(info) => {
                self.presence.entry(channel).or_default().insert(info.client, info);
                BrokerReply::Done
            }
            BrokerOp::RemovePresence(info) => {
                self.presence.entry(channel).or_default().remove(&info.client);
                BrokerReply::Done
            }
            BrokerOp::Presence => BrokerReply::Presence(self.present(&channel)),
            BrokerOp::PresenceStats => {
                let present = self.present(&channel);
                let users: BTreeSet<_> = present.iter().map(|info| &info.user).collect();
                BrokerReply::PresenceStats(present.len() as u32, users.len() as u32)
            }
            BrokerOp::Map(op) => {
                let now = self.next_moment(now);
                let (reply, change) = self.maps.carry_out(&channel, *op, rng, now);
                if let Some((publication, previous)) = change {
                    self.message(&channel, |name| told(name, &publication, previous.as_deref()));
                }
                reply
            }
        };
        let reply = if fails_after { BrokerReply::Failed } else { reply };
        self.reply(node, shard, ticket, reply);
    }

    fn publish(&mut self, channel: &ChannelName, op: PublishOp, rng: &mut StdRng, now: Now) -> BrokerReply {
        let PublishOp { mut publication, history, delta, .. } = op;
        publication.unix_ms = now.unix_ms;
        let (publication, previous, position) = if history.is_on() {
            let stream = self.stream(channel, rng);
            let previous = stream.newest().filter(|_| delta).cloned();
            let publication = stream.append(publication, history.size as usize);
            (publication, previous, stream.top)
        } else {
            publication.offset = 0;
            publication.epoch = Epoch::NONE;
            (publication, None, Position::default())
        };
        self.message(channel, |name| told(name, &publication, previous.as_ref()));
        BrokerReply::Published(position, None)
    }

    /// Removes keys of maps that expired, and tells it.
    pub(super) fn sweep(&mut self, now: Now) {
        let now = self.next_moment(now);
        for (channel, removal) in self.maps.expire(now) {
            self.message(&channel, |name| told(name, &removal, None));
        }
    }

    fn next_moment(&mut self, now: Now) -> Now {
        self.last_unix_ms = now.unix_ms.max(self.last_unix_ms + 1);
        Now { unix_ms: self.last_unix_ms, ..now }
    }

    /// A message for all nodes that want it and whose connection is there.
    fn message(&mut self, channel: &ChannelName, event: impl Fn(ChannelName) -> BrokerEvent) {
        self.message_to(channel, channel, event);
    }

    /// The same, for the home of another channel.
    fn message_to(&mut self, channel: &ChannelName, of: &ChannelName, event: impl Fn(ChannelName) -> BrokerEvent) {
        for node in self.nodes.iter_mut().filter(|node| node.wanted.contains(channel.as_str())) {
            let shard = of.home(node.shards.len() as u16).index();
            if let Some(pipe) = &mut node.pipe {
                pipe.push_back((shard, event(channel.clone())));
            }
        }
    }

    fn reply(&mut self, node: usize, shard: usize, ticket: Option<Ticket>, reply: BrokerReply) {
        let reply = ticket.map(|ticket| BrokerEvent::Reply(ticket, reply));
        self.nodes[node].shards[shard].replies.extend(reply);
    }

    /// Brings some events to some shard: its number, counted through all nodes, and whether it must be woken. None when
    /// there are no events.
    pub(super) fn bring_some(&mut self, rng: &mut StdRng) -> Option<(usize, bool)> {
        let most = rng.random_range(1..=MOST_AT_ONCE);
        let piped = self.nodes.iter().enumerate().filter_map(|(n, node)| {
            let (shard, _) = node.pipe.as_ref()?.front()?;
            Some((n, *shard, true))
        });
        let replied = self.nodes.iter().enumerate().flat_map(|(n, node)| {
            let shards = node.shards.iter().enumerate().filter(|(_, shard)| !shard.replies.is_empty());
            shards.map(move |(shard, _)| (n, shard, false))
        });
        let (n, shard, is_piped) = piped.chain(replied).choose(rng)?;
        let node = &mut self.nodes[n];
        let mut batch = Vec::new();
        while batch.len() < most {
            let next = match &mut node.pipe {
                Some(pipe) if is_piped && pipe.front().is_none_or(|(of, _)| *of != shard) => None,
                Some(pipe) if is_piped => pipe.pop_front().map(|(_, event)| event),
                _ => node.shards[shard].replies.pop_front(),
            };
            match next {
                Some(event) => batch.push(event),
                None => break,
            }
        }
        let is_rung = node.shards[shard].far.bring(batch);
        let before: usize = self.nodes[..n].iter().map(|node| node.shards.len()).sum();
        Some((before + shard, is_rung))
    }

    /// The connection for messages of some node breaks.
    pub(super) fn cut(&mut self, rng: &mut StdRng) {
        if let Some(node) = self.nodes.iter_mut().choose(rng) {
            node.cut();
        }
    }

    /// All connections are there again.
    pub(super) fn mend(&mut self) {
        for node in self.nodes.iter_mut().filter(|node| node.pipe.is_none()) {
            let waiting = node.waiting.drain(..);
            let mut pipe: VecDeque<_> =
                waiting.map(|(shard, ticket)| (shard, BrokerEvent::Reply(ticket, BrokerReply::Done))).collect();
            for name in node.wanted.iter().map(|name| ChannelName::new(name)) {
                pipe.push_back((name.home(node.shards.len() as u16).index(), BrokerEvent::Resumed(name)));
            }
            node.pipe = Some(pipe);
        }
    }

    /// A stream begins anew.
    pub(super) fn lose_stream(&mut self, channel: &str, rng: &mut StdRng) {
        let epoch = Epoch::from_random(rng.random());
        self.streams.insert(ChannelName::new(channel), Kept::new(epoch));
    }

    /// A replica takes over that lacks the last publications of a channel, which are given. Connections for messages
    /// break, or stay where it is a member of a Cluster that failed; then nodes are told later.
    pub(super) fn fail_over(&mut self, channel: &str, rng: &mut StdRng) -> Vec<Publication> {
        let channel = ChannelName::new(channel);
        let count = rng.random_range(1..=MOST_LOST);
        let gone = self.stream(&channel, rng).fall_back(count);
        self.change_master(&channel, rng);
        gone
    }

    /// See [`Broker::fail_over`]: the same of a map, if it can be.
    pub(super) fn fail_over_map(&mut self, channel: &str, rng: &mut StdRng) -> Vec<Arc<Publication>> {
        let gone = self.maps.fall_back(channel, rng.random_range(1..=MOST_LOST));
        if !gone.is_empty() {
            self.change_master(&ChannelName::new(channel), rng);
        }
        gone
    }

    /// Connections for messages of a channel lead to another server, or are told so.
    fn change_master(&mut self, channel: &ChannelName, rng: &mut StdRng) {
        for node in &mut self.nodes {
            let home = channel.home(node.shards.len() as u16).index();
            match &mut node.pipe {
                Some(pipe) if rng.random_bool(0.3) => {
                    if node.wanted.contains(channel.as_str()) {
                        pipe.push_back((home, BrokerEvent::Resumed(channel.clone())));
                    }
                }
                _ => node.cut(),
            }
        }
    }

    fn stream(&mut self, channel: &ChannelName, rng: &mut StdRng) -> &mut Kept {
        let begin = || Kept::new(Epoch::from_random(rng.random()));
        self.streams.entry(channel.clone()).or_insert_with(begin)
    }

    fn present(&self, channel: &ChannelName) -> Vec<Arc<ClientInfo>> {
        let present = self.presence.get(channel).into_iter().flat_map(HashMap::values);
        let mut present: Vec<_> = present.cloned().collect();
        present.sort_by_key(|info| info.client.0);
        present
    }
}

/// A message about a publication. Every node makes its own of what comes over the network.
fn told(name: ChannelName, publication: &Publication, previous: Option<&Publication>) -> BrokerEvent {
    let own = |publication: &Publication| Arc::new(publication.clone());
    BrokerEvent::Publication(name, own(publication), previous.map(own))
}
