//! Homes of channels that live at a broker: other nodes publish to them as well.
//!
//! A home here asks the broker for everything that a home in memory does itself, and puts in line what the broker
//! tells it ([`place`]). So what its shards get is the same as from a home in memory: deliveries in order, each once,
//! and an answer to `Subscribe` that everything later follows from. Where the broker cannot give that (messages are
//! missing and the stream does not have them any more), shards are told that positions are lost.
//!
//! Upstream: node.go and client.go of centrifuge, where each client merges its own recovery with messages; here it is
//! done once for each channel and node.

mod admission;
mod course;
mod joining;
pub mod map_model;
mod map_steps;
mod maps;
mod marks;
mod piece;
mod place;
mod present;
mod reading;
mod source;
mod task;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::base::ids::{ClientId, ConnId, ShardId};
use crate::base::slab::Slab;
use crate::base::time::Now;
use crate::channel::broker_op::{BrokerEvent, BrokerOp, BrokerReply, BrokerRequest, KeyVersion, Read, Realm, Ticket};
use crate::channel::dispatch::{self, respond};
use crate::channel::interest::Interest;
use crate::channel::map_op::Suppression;
use crate::channel::name::ChannelName;
use crate::channel::op::{Answer, Delivery, Op, PublishOp, ReplyTo, Since};
use crate::channel::poll::op::PollOp;
use crate::channel::publication::{ClientInfo, Epoch};
use crate::channel::table::{Entry, Table};
use crate::protocol::error::Error;

pub use admission::Admission;
use course::{Course, Fills};
use marks::Marks;
use present::Present;
use source::Source;
use task::Task;

/// Bounds of [`Brokered`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Channels with subscribers on this node, of which this shard is the home. At the bound, subscribing fails with [`Error::LIMIT_EXCEEDED`].
    pub channels: u32,
    /// Requests under way. At the bound, further ones fail with [`Error::INTERNAL`].
    pub requests: u32,
    /// Reads under way that fill gaps. At the bound, further channels wait for their turn; what comes for them is held
    /// meanwhile.
    pub fills: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { channels: 1 << 28, requests: 1 << 18, fills: 1 << 10 }
    }
}

/// Where deliveries go.
type Out<'o> = dyn FnMut(ShardId, Delivery) + 'o;

/// A channel that somebody on this node is subscribed to.
#[derive(Debug)]
struct Channel {
    name: ChannelName,
    /// Names the channel for as long as it is held.
    key: ConnId,
    realm: Realm,
    interest: Interest,
    link: Link,
    /// Once anybody asked for a position.
    course: Option<Box<Course>>,
    /// Who is on its way in and will be seen by others, by client.
    joining: HashMap<ClientId, Ticket>,
}

/// Whether the broker sends the channel's messages.
#[derive(Debug, Default)]
enum Link {
    #[default]
    Down,
    /// It was asked to. These wait for it.
    Asked(Vec<Ticket>),
    Up,
}

impl Entry for Channel {
    fn begin(name: ChannelName) -> Self {
        Self {
            name,
            key: ConnId { slot: 0, generation: 0 },
            realm: Realm::default(),
            interest: Interest::default(),
            link: Link::Down,
            course: None,
            joining: HashMap::new(),
        }
    }

    fn name(&self) -> &ChannelName {
        &self.name
    }
}

impl Table<Channel> {
    /// Where the channel in a slot stands, if anybody asked for a position.
    fn course(&mut self, slot: u32) -> Option<&mut Course> {
        self.get(slot)?.course.as_deref_mut()
    }
}

/// All channels whose home is this shard and that live at a broker.
#[derive(Debug)]
pub struct Brokered {
    table: Table<Channel>,
    tasks: Slab<Task>,
    fills: Fills,
    /// For the broker, in order.
    requests: Vec<BrokerRequest>,
    /// What changed nothing when it was last answered, if so, and why.
    suppressed: Option<(Change, Suppression)>,
    /// Who came to maps, where streams live elsewhere; see [`Brokered::take_arrived`].
    arrived: Option<Vec<Arrived>>,
    /// Who is present, where the broker is not asked about that.
    present: Option<Present>,
    /// Subscribers of channels that live here, which are to be present at the broker first.
    admitting: HashMap<(ChannelName, ClientId), Ticket>,
    /// Those of them that are.
    admitted: VecDeque<Admission>,
    marks: Marks,
    now: Now,
}

/// A request that is counted when it changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// A publication.
    Publish,
    /// A key of a map is set.
    MapPublish,
    /// A key of a map is removed.
    MapRemove,
}

/// A subscriber of a map.
#[derive(Debug)]
pub struct Arrived {
    /// Its shard.
    pub from: ShardId,
    /// The map.
    pub channel: ChannelName,
    /// It is to be present, for so many milliseconds unless renewed.
    pub presence: Option<(Arc<ClientInfo>, u64)>,
    /// Others are to be told that it joined.
    pub join: Option<Arc<ClientInfo>>,
}

impl Brokered {
    /// No channels. Where streams live elsewhere, so does presence, and so do joins.
    pub fn new(limits: Limits, has_streams: bool) -> Self {
        Self {
            table: Table::new(limits.channels),
            tasks: Slab::new(limits.requests),
            fills: Fills::new(limits.fills),
            requests: Vec::new(),
            suppressed: None,
            present: None,
            admitting: HashMap::new(),
            admitted: VecDeque::new(),
            marks: Marks::default(),
            now: Now::default(),
            arrived: (!has_streams).then(Vec::new),
        }
    }

    /// Presence is kept here, for this node alone, in so many channels at most.
    pub fn keep_presence(&mut self, channels: u32) {
        self.present = Some(Present::new(channels));
    }

    /// Channels with subscribers on any shard.
    pub fn with_subscribers(&self) -> usize {
        self.table.len()
    }

    /// Requests under way.
    pub fn pending(&self) -> usize {
        self.tasks.len()
    }

    /// What the broker is asked since the last call, in order.
    pub fn take_requests(&mut self) -> Vec<BrokerRequest> {
        std::mem::take(&mut self.requests)
    }

    /// Whether the broker is asked anything that was not taken yet.
    pub fn has_requests(&self) -> bool {
        !self.requests.is_empty()
    }

    /// What was answered last and changed nothing, where that is so, and why. Asked once.
    pub fn take_suppressed(&mut self) -> Option<(Change, Suppression)> {
        self.suppressed.take()
    }

    /// Whether somebody is subscribed to the map, or about to be.
    pub fn holds_map(&mut self, name: &ChannelName) -> bool {
        let slot = self.table.find(name);
        slot.and_then(|slot| self.table.get(slot)).is_some_and(|channel| channel.realm == Realm::Maps)
    }

    /// Who came to maps since the last call, each behind its answer. What comes of it is the business of those who keep
    /// streams, where they are not kept here.
    pub fn take_arrived(&mut self) -> Vec<Arrived> {
        self.arrived.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes a request of the shard `from`. What follows from it at once goes to `out`.
    pub fn handle(
        &mut self,
        from: ShardId,
        channel: &ChannelName,
        op: Op,
        reply: ReplyTo,
        now: Now,
        out: &mut Out<'_>,
    ) {
        self.now = now;
        let plain = Task::Plain { from, reply };
        match op {
            Op::Publish(op) => self.publish(channel, op, Task::Change { what: Change::Publish, from, reply }, now, out),
            Op::Subscribe(op) => self.subscribe(from, channel, *op, reply, out),
            Op::Unsubscribe { last, presence, leave } => {
                self.unsubscribe(channel, last.then_some(from), presence, leave, out);
                respond(from, reply, Answer::Done, out);
            }
            Op::PresenceUpdate { .. } | Op::Presence | Op::PresenceStats => match &mut self.present {
                Some(present) => respond(from, reply, present.answer(channel, op, now), out),
                None => self.ask(channel, presence_op(op), plain, out),
            },
            Op::History { since: Some(Since { offset: 0, .. }), reverse: true, .. } => {
                respond(from, reply, Answer::Failed(Error::BAD_REQUEST), out);
            }
            Op::History { since, limit, reverse, meta_ttl_s } => {
                let read = Read { since: since.as_ref().map(|since| since.offset), limit, reverse, meta_ttl_s };
                self.ask(channel, BrokerOp::History(read), Task::History { from, reply, since }, out);
            }
            Op::HistoryRemove => self.ask(channel, BrokerOp::RemoveHistory, plain, out),
            Op::Position { meta_ttl_s } => self.check(channel, from, reply, Source::Stream { meta_ttl_s }, out),
            Op::Map(op) => self.handle_map(from, channel, *op, reply, now, out),
            Op::Poll(op) => match *op {
                PollOp::Publish { mut publication, key, epoch } => {
                    publication.unix_ms = now.unix_ms;
                    let version = Box::new(KeyVersion { publication, epoch });
                    self.ask(&key, BrokerOp::PublishKey(version), plain, out);
                }
                _ => respond(from, reply, Answer::Failed(Error::NOT_AVAILABLE), out),
            },
        }
    }

    /// Takes what the broker tells.
    pub fn event(&mut self, event: BrokerEvent, now: Now, out: &mut Out<'_>) {
        self.now = now;
        match event {
            BrokerEvent::Reply(ticket, reply) => self.reply(ticket, reply, out),
            BrokerEvent::Publication(name, mut publication, previous) => {
                let Some(slot) = self.table.find(&name) else { return };
                if let Some(publication) = Arc::get_mut(&mut publication) {
                    publication.taken_us = now.mono_us;
                }
                self.arrive(slot, (publication, previous), out);
            }
            BrokerEvent::Join(name, info) => self.tell(&name, |name| Delivery::Join(name, info.clone()), out),
            BrokerEvent::Leave(name, info) => self.tell(&name, |name| Delivery::Leave(name, info.clone()), out),
            BrokerEvent::Resumed(name) => self.resume(&name, out),
            BrokerEvent::Key(..)
            | BrokerEvent::Linked(..)
            | BrokerEvent::Told(..)
            | BrokerEvent::Control(_)
            | BrokerEvent::Trouble(..)
            | BrokerEvent::Expiry(_) => {
                debug_assert!(false, "these are no home's business")
            }
        }
    }

    fn publish(&mut self, channel: &ChannelName, mut op: Box<PublishOp>, task: Task, now: Now, out: &mut Out<'_>) {
        op.publication.offset = 0;
        op.publication.epoch = Epoch::NONE;
        op.publication.unix_ms = now.unix_ms;
        self.ask(channel, BrokerOp::Publish(op), task, out);
    }

    /// The leave is told before the broker is told that nobody listens.
    fn unsubscribe(
        &mut self,
        channel: &ChannelName,
        last_on: Option<ShardId>,
        present: Option<Arc<ClientInfo>>,
        leave: Option<Arc<ClientInfo>>,
        out: &mut Out<'_>,
    ) {
        let client = present.as_ref().or(leave.as_ref()).map(|info| info.client);
        if let Some(info) = present {
            self.remove_presence(channel, info);
        }
        let Some(slot) = self.table.find(channel) else { return };
        let was_joining = client.is_some_and(|client| self.forget_join(slot, client));
        if let Some(info) = leave.filter(|_| self.arrived.is_none() && !was_joining) {
            self.request(channel, BrokerOp::Leave(info), None);
        }
        let Some(found) = self.table.get(slot) else { return };
        if last_on.is_none_or(|shard| !found.interest.remove(shard)) || !found.interest.is_empty() {
            return;
        }
        let (link, realm) = (std::mem::take(&mut found.link), found.realm);
        let course = found.course.take();
        self.table.remove(slot);
        if let Some(mark) = course.as_ref().and_then(|course| course.place.mark()) {
            self.marks.remember(channel, realm, mark);
        }
        self.request(channel, BrokerOp::Unsubscribe(realm), None);
        // Whoever waits has left, or its shard would still be interested.
        if let Link::Asked(waiting) = link {
            waiting.into_iter().for_each(|ticket| self.fail_join(ticket, Error::INTERNAL, out));
        }
        let waits = |course: Box<Course>| {
            let waiting = course.readers.map(|readers| readers.waiting);
            course.parked.into_iter().chain(waiting.into_iter().flatten())
        };
        course.into_iter().flat_map(waits).for_each(|ticket| self.fail_join(ticket, Error::INTERNAL, out));
    }

    fn reply(&mut self, ticket: Ticket, reply: BrokerReply, out: &mut Out<'_>) {
        if let Some(Task::Join(join)) = self.tasks.get_mut(ticket.0) {
            join.take_page(reply);
            return self.go_on(ticket, out);
        }
        match self.tasks.remove(ticket.0) {
            None | Some(Task::Join(_)) => {}
            Some(Task::Read(reading)) => self.was_read(*reading, reply, out),
            Some(Task::Plain { from, reply: to }) => respond(from, to, task::answer(reply), out),
            Some(Task::Change { what, from, reply: to }) => {
                if let BrokerReply::Published(_, Some(reason)) | BrokerReply::MapUpdated(_, Some(reason)) = &reply {
                    self.suppressed = Some((what, *reason));
                }
                respond(from, to, task::answer(reply), out);
            }
            Some(Task::State { from, reply: to, revision }) => {
                respond(from, to, task::state_answer(reply, revision.as_ref()), out);
            }
            Some(Task::Changes { from, reply: to, since, reverse }) => {
                respond(from, to, task::changes_answer(reply, since.as_ref(), reverse), out);
            }
            Some(Task::Step(step)) => self.stepped(*step, reply, out),
            Some(Task::History { from, reply: to, since }) => {
                respond(from, to, task::history_answer(reply, since.as_ref()), out);
            }
            Some(Task::Position { from, reply: to }) => respond(from, to, task::position_answer(&reply), out),
            Some(Task::Link(key)) => {
                if let Some(slot) = self.table.slot(key) {
                    self.linked(slot, task::failure(reply), out);
                }
            }
            Some(Task::Admit(admission)) => self.admit(*admission, reply, out),
            Some(Task::Presence(of)) => {
                if let Some(Task::Join(join)) = self.tasks.get_mut(of.0) {
                    join.take_presence(task::failure(reply));
                    self.go_on(of, out);
                }
            }
            Some(Task::Fill(key)) => self.fill_ended(key, ticket, reply, out),
            Some(Task::Check(key)) => {
                if let Some(slot) = self.table.slot(key) {
                    self.checked(slot, reply, out);
                }
            }
        }
    }

    /// A client is not present any more.
    fn remove_presence(&mut self, channel: &ChannelName, info: Arc<ClientInfo>) {
        match &mut self.present {
            Some(present) => present.remove(channel, info.client),
            None => self.request(channel, BrokerOp::RemovePresence(info), None),
        }
    }

    /// Drops presence entries that are past their time; at most `budget` are looked at.
    pub fn expire(&mut self, now: Now, budget: usize) {
        if let Some(present) = &mut self.present {
            present.expire(now, budget);
        }
    }

    /// When [`Brokered::expire`] has something to do, on the clock of [`Now::mono_ms`].
    pub fn next_expiry(&self) -> Option<u64> {
        self.present.as_ref()?.next_expiry()
    }

    /// The channel's slot and key.
    ///
    /// # Errors
    /// [`Error::LIMIT_EXCEEDED`] at the bound; [`Error::INTERNAL`] when others are subscribed to it as to something
    /// else, which it was before a reload.
    fn find_or_begin(&mut self, name: &ChannelName, realm: Realm) -> Result<(u32, ConnId), Error> {
        let is_known = self.table.find(name).is_some();
        let slot = self.table.find_or_insert(name).ok_or(Error::LIMIT_EXCEEDED)?;
        let key = self.table.key(slot).ok_or(Error::INTERNAL)?;
        let channel = self.table.get(slot).ok_or(Error::INTERNAL)?;
        if is_known && channel.realm != realm {
            return Err(Error::INTERNAL);
        }
        (channel.key, channel.realm) = (key, realm);
        Ok((slot, key))
    }

    /// Asks the broker. When too much is under way, whoever waits is told so.
    fn ask(&mut self, channel: &ChannelName, op: BrokerOp, task: Task, out: &mut Out<'_>) {
        if let Task::Plain { reply: ReplyTo::None, .. } = task {
            return self.request(channel, op, None);
        }
        match self.tasks.insert(task) {
            Ok(key) => self.request(channel, op, Some(Ticket(key))),
            Err(task) => {
                if let Some((from, reply)) = task.asker() {
                    respond(from, reply, Answer::Failed(Error::INTERNAL), out);
                }
            }
        }
    }

    fn request(&mut self, channel: &ChannelName, op: BrokerOp, ticket: Option<Ticket>) {
        self.requests.push(BrokerRequest::Channel { channel: channel.clone(), op, ticket });
    }

    fn tell(&mut self, name: &ChannelName, delivery: impl Fn(ChannelName) -> Delivery, out: &mut Out<'_>) {
        if let Some(slot) = self.table.find(name)
            && let Some(channel) = self.table.get(slot)
        {
            dispatch::to_all(&channel.name, &channel.interest, delivery, out);
        }
    }
}

/// What the broker is asked about presence.
fn presence_op(op: Op) -> BrokerOp {
    match op {
        Op::PresenceUpdate { info, .. } => BrokerOp::AddPresence(info),
        Op::PresenceStats => BrokerOp::PresenceStats,
        _ => BrokerOp::Presence,
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod map_tests;
