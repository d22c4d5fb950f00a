//! Maps: their keys, their changes and who expires what (upstream: centrifuge map_broker_redis.go).
//!
//! A Redis Cluster must have sharded PUB/SUB for maps, as for Centrifugo: the registry of maps is in one slot with each
//! of them, so there is one for every partition.

pub mod expiry;
pub mod frame;
pub mod read;
mod value;

use super::name::Names;
use super::script::Script;
use super::{Call, stored};
use crate::channel::map_op::{KeyMode, MapOptions, MapPublishOp};
use crate::channel::publication::{Epoch, Publication};

/// What is the same for all maps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keeping {
    /// Milliseconds for which idempotency keys are remembered (`idempotent_result_ttl`).
    pub result_ttl_ms: u64,
    /// Whether changes are told by PUB/SUB (`skip_pub_sub` says no).
    pub is_told: bool,
}

/// Sets a key. The fresh epoch becomes the map's when it has none; the publication's moment is the present. Without a
/// stream the key mode does not count, as in Centrifugo. The reply is read by [`published`](super::history::published).
pub fn publish(names: &Names, keeping: Keeping, channel: &str, op: &MapPublishOp, fresh: Epoch) -> Call {
    let expires = op.options.key_ttl_ms > 0;
    let update = Update {
        options: &op.options,
        publication: &op.publication,
        idempotency_key: op.idempotency_key.as_deref(),
        registered: expires,
    };
    let mode = match op.key_mode {
        KeyMode::Replace => "",
        KeyMode::IfNew => "if_new",
        KeyMode::IfExists => "if_exists",
    };
    let call = update.call(names, keeping, channel, fresh).flag(false);
    let call = call.shown(op.options.key_ttl_ms).arg(mode).flag(op.refresh_ttl).flag(op.delta);
    call.shown(op.version).arg(&*op.version_epoch)
}

/// Removes a key. The publication says which, and has the tags that subscribers filter by; its moment is the present.
/// The reply is read by [`published`](super::history::published).
pub fn remove(
    names: &Names,
    keeping: Keeping,
    channel: &str,
    options: &MapOptions,
    publication: &Publication,
    idempotency_key: Option<&str>,
    fresh: Epoch,
) -> Call {
    let update = Update { options, publication, idempotency_key, registered: false };
    update.call(names, keeping, channel, fresh).flag(true)
}

/// What setting and removing have in common.
struct Update<'u> {
    options: &'u MapOptions,
    publication: &'u Publication,
    idempotency_key: Option<&'u str>,
    registered: bool,
}

impl Update<'_> {
    fn call(&self, names: &Names, keeping: Keeping, channel: &str, fresh: Epoch) -> Call {
        let key = self.publication.entry.as_ref().map_or("", |entry| &entry.key);
        let idempotency_key = self.idempotency_key.filter(|key| !key.is_empty());
        let mut call = Call::script(Script::MapUpdate).key(names.map_state(channel)).key(names.map_expire(channel));
        if self.options.stream.is_some() {
            call = stream_keys(call, names, channel);
        }
        if let Some(key) = idempotency_key {
            call = call.key(names.result(channel, key));
        }
        if self.registered {
            call = call.key(names.map_cleanup(names.partition(channel)));
        }
        call = call.arg(key).written(|out| stored::write_map_publication(self.publication, out));
        call = stream_args(call, self.options, fresh);
        call = told(call, names, keeping, channel);
        call = match idempotency_key {
            Some(_) => call.shown(keeping.result_ttl_ms),
            None => call.arg(""),
        };
        call.shown(self.publication.unix_ms).arg(if self.registered { channel } else { "" })
    }
}

fn stream_keys(call: Call, names: &Names, channel: &str) -> Call {
    call.key(names.map_stream(channel)).key(names.map_meta(channel)).key(names.map_state_meta(channel))
}

/// Size and times to live, and the epoch.
fn stream_args(call: Call, options: &MapOptions, fresh: Epoch) -> Call {
    let call = match options.stream {
        Some(stream) => call.shown(stream.size).shown(stream.ttl_ms).shown(stream.meta_ttl_ms),
        None => call.arg("").arg("0").arg("0"),
    };
    call.shown(fresh.as_str())
}

/// Command and channel.
fn told(call: Call, names: &Names, keeping: Keeping, channel: &str) -> Call {
    let call = call.arg(names.publish_command());
    if keeping.is_told { call.shown(names.messages(channel)) } else { call.arg("") }
}

/// Forgets a map; nobody is told. It remains in the registry: see [`unregister`].
pub fn clear(names: &Names, channel: &str) -> Call {
    let call = stream_keys(Call::command("DEL"), names, channel);
    call.key(names.map_state(channel)).key(names.map_order(channel)).key(names.map_expire(channel))
}

/// Takes a map that was cleared out of the registry. If that fails, it is done when its keys would have expired.
pub fn unregister(names: &Names, channel: &str) -> Call {
    Call::command("ZREM").key(names.map_cleanup(names.partition(channel))).arg(channel)
}

#[cfg(test)]
mod tests;
