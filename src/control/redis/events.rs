//! What homes are told, gathered by shard until the turn's end.

use bytes::Bytes;

use super::pipe::Asker;
use crate::channel::broker_op::{BrokerEvent, BrokerReply, Trouble};
use crate::channel::name::ChannelName;

/// See the module.
#[derive(Debug)]
pub struct Events(Vec<Vec<BrokerEvent>>);

impl Events {
    /// Nothing, for so many shards.
    pub fn new(shards: usize) -> Self {
        Self((0..shards).map(|_| Vec::new()).collect())
    }

    /// A reply, for whoever waits for it.
    pub fn reply(&mut self, asker: Asker, reply: BrokerReply) {
        if let Some(ticket) = asker.ticket {
            self.0[asker.shard].push(match asker.tells {
                true => BrokerEvent::Told(ticket, matches!(reply, BrokerReply::Done)),
                false => BrokerEvent::Reply(ticket, reply),
            });
        }
    }

    /// A message of another node.
    pub fn control(&mut self, message: &[u8]) {
        self.0[0].push(BrokerEvent::Control(Bytes::copy_from_slice(message)));
    }

    /// Something went wrong.
    pub fn trouble(&mut self, trouble: Trouble) {
        self.0[0].push(BrokerEvent::Trouble(trouble));
    }

    /// Something about a channel, for its home.
    pub fn tell(&mut self, channel: &ChannelName, event: impl FnOnce(ChannelName) -> BrokerEvent) {
        let home = channel.home(self.0.len() as u16);
        self.0[home.index()].push(event(channel.clone()));
    }

    /// What each shard is told, once.
    pub fn take(&mut self) -> impl Iterator<Item = (usize, Vec<BrokerEvent>)> {
        let told = self.0.iter_mut().enumerate().filter(|(_, events)| !events.is_empty());
        told.map(|(shard, events)| (shard, std::mem::take(events)))
    }
}
