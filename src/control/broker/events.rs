//! What homes are told, gathered by shard until the turn's end.

use std::sync::Arc;

use bytes::Bytes;

use crate::broker::Value;
use crate::broker::frame::Message;
use crate::channel::broker_op::{BrokerEvent, BrokerReply, Expiry, Realm, Ticket, Trouble};
use crate::channel::name::ChannelName;
use crate::channel::op::PublishOp;
use crate::channel::poll;
use crate::channel::publication::Position;
use crate::control::redis::sweep::Task;

/// Who waits for a reply.
#[derive(Clone, Copy, Debug)]
pub enum Asker {
    /// Nobody.
    Nobody,
    /// A home of this shard.
    Home(usize, Ticket),
    /// Whoever on this shard tells other nodes something.
    Teller(usize, Ticket),
    /// A home on this shard, about the messages of a key.
    Linker(usize, Ticket),
    /// What removes expired keys at this server of maps.
    Sweep(usize, Task),
}

/// What came of a search for expired keys: at which server of maps, and what was asked; nothing when it failed.
pub type Swept = (usize, Task, Option<Value>);

/// A publication that one server keeps and another one tells subscribers of.
#[derive(Debug)]
pub struct Relayed {
    /// Its channel.
    pub channel: ChannelName,
    /// What was asked.
    pub op: Box<PublishOp>,
}

/// See the module.
#[derive(Debug)]
pub struct Events {
    of_shards: Vec<Vec<BrokerEvent>>,
    /// Kept, and to be told.
    stored: Vec<(Box<Relayed>, Position)>,
    swept: Vec<Swept>,
}

impl Events {
    /// Nothing, for so many shards.
    pub fn new(shards: usize) -> Self {
        Self { of_shards: (0..shards).map(|_| Vec::new()).collect(), stored: Vec::new(), swept: Vec::new() }
    }

    /// A reply, for whoever waits for it.
    pub fn reply(&mut self, asker: Asker, reply: BrokerReply) {
        match asker {
            Asker::Nobody => {}
            Asker::Home(shard, ticket) => self.of_shards[shard].push(BrokerEvent::Reply(ticket, reply)),
            Asker::Teller(shard, ticket) => {
                self.of_shards[shard].push(BrokerEvent::Told(ticket, matches!(reply, BrokerReply::Done)));
            }
            Asker::Linker(shard, ticket) => {
                self.of_shards[shard].push(BrokerEvent::Linked(ticket, matches!(reply, BrokerReply::Done)));
            }
            Asker::Sweep(server, task) => self.swept(server, task, None),
        }
    }

    /// What came of a search for expired keys.
    pub fn swept(&mut self, server: usize, task: Task, value: Option<Value>) {
        self.swept.push((server, task, value));
    }

    /// All of that since the last call.
    pub fn take_swept(&mut self) -> Vec<Swept> {
        std::mem::take(&mut self.swept)
    }

    /// A publication was kept at this place. Subscribers are to be told.
    pub fn stored(&mut self, publication: Box<Relayed>, place: Position) {
        self.stored.push((publication, place));
    }

    /// What was kept since the last call, in order.
    pub fn take_stored(&mut self) -> std::vec::IntoIter<(Box<Relayed>, Position)> {
        std::mem::take(&mut self.stored).into_iter()
    }

    /// A message of a channel, for its home.
    pub fn message(&mut self, channel: &ChannelName, message: Message) {
        match message {
            Message::Publication(publication, before) => self.tell(channel, |channel| {
                BrokerEvent::Publication(channel, Arc::new(publication), before.map(Arc::new))
            }),
            Message::Key(version) => {
                // It comes on a channel of the key's own.
                let Some(home) = poll::channel_of(channel.as_str()).map(ChannelName::new) else { return };
                self.tell(&home, |home| BrokerEvent::Key(home, channel.clone(), version));
            }
            Message::Join(info) => self.tell(channel, |channel| BrokerEvent::Join(channel, Arc::new(info))),
            Message::Leave(info) => self.tell(channel, |channel| BrokerEvent::Leave(channel, Arc::new(info))),
        }
    }

    /// A message of another node.
    pub fn control(&mut self, message: &[u8]) {
        self.of_shards[0].push(BrokerEvent::Control(Bytes::copy_from_slice(message)));
    }

    /// Something went wrong.
    pub fn trouble(&mut self, realm: Realm, trouble: Trouble) {
        self.of_shards[0].push(BrokerEvent::Trouble(realm, trouble));
    }

    /// Keys of maps that expired were looked for.
    pub fn expiry(&mut self, came: Expiry) {
        self.of_shards[0].push(BrokerEvent::Expiry(came));
    }

    /// Something about a channel, for its home.
    pub fn tell(&mut self, channel: &ChannelName, event: impl FnOnce(ChannelName) -> BrokerEvent) {
        let home = channel.home(self.of_shards.len() as u16);
        self.of_shards[home.index()].push(event(channel.clone()));
    }

    /// What each shard is told, once.
    pub fn take(&mut self) -> impl Iterator<Item = (usize, Vec<BrokerEvent>)> {
        let told = self.of_shards.iter_mut().enumerate().filter(|(_, events)| !events.is_empty());
        told.map(|(shard, events)| (shard, std::mem::take(events)))
    }
}
