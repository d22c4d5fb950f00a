//! What homes are asked of maps at a broker, other than to subscribe.

use super::source::Source;
use super::task::Task;
use super::{Brokered, Change, Out};
use crate::base::ids::ShardId;
use crate::base::time::Now;
use crate::channel::broker_op::BrokerOp;
use crate::channel::dispatch::respond;
use crate::channel::map_op::MapOp;
use crate::channel::name::ChannelName;
use crate::channel::op::{Answer, ReplyTo};
use crate::channel::publication::Epoch;
use crate::protocol::error::Error;

impl Brokered {
    pub(super) fn handle_map(
        &mut self,
        from: ShardId,
        channel: &ChannelName,
        op: MapOp,
        reply: ReplyTo,
        now: Now,
        out: &mut Out<'_>,
    ) {
        let (op, task) = match op {
            MapOp::Subscribe(op) => return self.map_subscribe(from, channel, op, reply, out),
            MapOp::Position { options } => return self.check(channel, from, reply, Source::Map(options), out),
            MapOp::Publish(op) if op.version > 0 && op.options.stream.is_none() => {
                return respond(from, reply, Answer::Failed(Error::INTERNAL), out);
            }
            MapOp::Publish(mut op) => {
                op.publication.offset = 0;
                op.publication.epoch = Epoch::NONE;
                op.publication.unix_ms = now.unix_ms;
                (MapOp::Publish(op), Task::Change { what: Change::MapPublish, from, reply })
            }
            MapOp::Remove { .. } => (op, Task::Change { what: Change::MapRemove, from, reply }),
            MapOp::ReadState { ref options, ref key, ref page } => {
                // A single key of a map without epochs is there or not, as upstream.
                let is_looked_at = key.is_none() || options.stream.is_some();
                let revision = page.revision.clone().filter(|_| is_looked_at);
                (op, Task::State { from, reply, revision })
            }
            MapOp::ReadStream { ref since, reverse, .. } => {
                let since = since.clone();
                (op, Task::Changes { from, reply, since, reverse })
            }
            MapOp::Clear | MapOp::Stats => (op, Task::Plain { from, reply }),
        };
        self.ask(channel, BrokerOp::Map(Box::new(op)), task, out);
    }
}
