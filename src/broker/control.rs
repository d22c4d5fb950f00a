//! Messages between nodes, on PUB/SUB channels of their own (upstream: centrifuge broker_redis.go `PublishControl`).

use super::name::Names;
use super::{Call, Unreadable};
use crate::protocol::control::Command;
use crate::protocol::proto;

/// Tells one node, or all of them, the teller included, an encoded [`Command`]. Of several Redis servers any will do: nodes listen at all.
/// Sharded PUB/SUB is not for this: the members of a Redis Cluster pass it on to each other.
pub fn tell(names: &Names, node: Option<&str>, command: &[u8]) -> Call {
    let channel = node.map_or_else(|| names.control(), |uid| names.node(uid));
    Call::command("PUBLISH").key(channel).arg(command)
}

/// Reads what a node told.
pub fn read(message: &[u8]) -> Result<Command<'_>, Unreadable> {
    Ok(proto::decode(message)?)
}
