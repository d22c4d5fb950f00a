//! What a home sends: to every shard that listens to a channel, or to the one that asked.

use std::sync::Arc;

use crate::base::ids::ShardId;
use crate::base::mutation::{Mutation, is_on};
use crate::channel::interest::Interest;
use crate::channel::name::ChannelName;
use crate::channel::op::{Answer, Delivery, ReplyTo};
use crate::channel::publication::Publication;

/// A publication, and the one before it where patches are wanted, for every interested shard. The last one gets our
/// own reference, so that a publication for a single shard is never counted up and down again.
pub(in crate::channel) fn publication(
    name: &ChannelName,
    interest: &Interest,
    publication: Arc<Publication>,
    previous: Option<Arc<Publication>>,
    out: &mut (impl FnMut(ShardId, Delivery) + ?Sized),
) {
    let mut shards = interest.iter();
    let Some(mut shard) = shards.next() else { return };
    for next in shards {
        out(shard, delivery(name.clone(), publication.clone(), previous.clone()));
        shard = next;
        if is_on(Mutation::SkipShard) {
            return;
        }
    }
    out(shard, delivery(name.clone(), publication, previous));
}

fn delivery(name: ChannelName, publication: Arc<Publication>, previous: Option<Arc<Publication>>) -> Delivery {
    match previous {
        None => Delivery::Publication(name, publication),
        Some(previous) => Delivery::PublicationBehind(name, publication, previous),
    }
}

/// Something else for every interested shard.
pub(in crate::channel) fn to_all(
    name: &ChannelName,
    interest: &Interest,
    delivery: impl Fn(ChannelName) -> Delivery,
    out: &mut (impl FnMut(ShardId, Delivery) + ?Sized),
) {
    for shard in interest.iter() {
        out(shard, delivery(name.clone()));
    }
}

/// An answer for whoever waits for it.
pub(in crate::channel) fn respond(
    to: ShardId,
    reply: ReplyTo,
    answer: Answer,
    out: &mut (impl FnMut(ShardId, Delivery) + ?Sized),
) {
    if reply != ReplyTo::None {
        out(to, Delivery::Answer(reply, answer));
    }
}
