//! Expiring keys: any node may do it, and each key is told as removed once.
//!
//! Maps whose keys expire are registered by the moment in which the first one may. A node looks every
//! `cleanup_interval`: [`due`] names maps; for each [`find`] gives keys that expired, and [`expire`] removes those that
//! nobody renewed meanwhile. It must be called even when there are none, because it registers the map anew: Centrifugo
//! does not, and asks again and again until the next key expires.

use std::sync::Arc;

use bytes::Bytes;

use super::value::Placed;
use super::{Keeping, stream_args, stream_keys, told};
use crate::broker::{Call, Names, Script, Unreadable, Value, stored};
use crate::channel::map_op::MapOptions;
use crate::channel::publication::{Epoch, MapEntry, Publication, Tags};

/// Which maps have keys that may have expired; at most so many. The reply is read by [`maps`].
pub fn due(names: &Names, partition: u32, now_ms: u64, most: u32) -> Call {
    Call::script(Script::MapDue).key(names.map_cleanup(partition)).shown(now_ms).shown(most)
}

/// See [`due`].
pub fn maps(reply: Value) -> Result<Due, Unreadable> {
    let mut values = reply.list()?.into_iter();
    let mut due = Due::default();
    while let (Some(name), Some(at)) = (values.next(), values.next()) {
        let name = name.bytes()?;
        let name = std::str::from_utf8(&name).map_err(|_| Unreadable("a map's name is no text"))?;
        due.since_ms.get_or_insert(at.number()?);
        due.maps.push(name.to_owned());
    }
    Ok(due)
}

/// Maps with keys that may have expired.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Due {
    /// Their names.
    pub maps: Vec<String>,
    /// When the first key of them may have, in milliseconds since 1970.
    pub since_ms: Option<u64>,
}

/// Which keys of a map expired; at most so many. The reply is read by [`expired`].
pub fn find(names: &Names, channel: &str, now_ms: u64, most: u32) -> Call {
    let call = Call::script(Script::MapExpired).key(names.map_state(channel)).key(names.map_expire(channel));
    call.shown(now_ms).shown(most)
}

/// A key that expired.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expired {
    key: Arc<str>,
    tags: Option<Arc<Tags>>,
    /// The moment, as Redis writes it: a key that was renewed has another one.
    expires_at: Bytes,
}

/// See [`find`].
pub fn expired(reply: Value) -> Result<Vec<Expired>, Unreadable> {
    let mut values = reply.list()?.into_iter();
    let mut found = Vec::with_capacity(values.len() / 3);
    while let (Some(key), Some(value), Some(expires_at)) = (values.next(), values.next(), values.next()) {
        let key = key.bytes()?;
        let key = std::str::from_utf8(&key).map_err(|_| Unreadable("a key is no text"))?.into();
        // A value that cannot be read has no tags, and goes with the others.
        let publication = Placed::read(&value.bytes()?).and_then(|placed| placed.publication());
        found.push(Expired {
            key,
            tags: publication.ok().and_then(|found| found.tags),
            expires_at: expires_at.bytes()?,
        });
    }
    Ok(found)
}

/// Removes keys and tells it. The reply is read by [`removed`].
pub fn expire(
    names: &Names,
    keeping: Keeping,
    channel: &str,
    options: &MapOptions,
    expired: &[Expired],
    fresh: Epoch,
    now_ms: u64,
) -> Call {
    let mut call = Call::script(Script::MapExpire).key(names.map_state(channel)).key(names.map_expire(channel));
    call = call.key(names.map_cleanup(names.partition(channel)));
    if options.stream.is_some() {
        call = stream_keys(call, names, channel);
    }
    call = told(stream_args(call.arg(channel), options, fresh), names, keeping, channel);
    for Expired { key, tags, expires_at } in expired {
        let entry = Some(Box::new(MapEntry { key: key.clone(), removed: true }));
        let removal = Publication { entry, tags: tags.clone(), unix_ms: now_ms, ..Publication::bare(Bytes::new()) };
        call = call.arg(&**key).written(|out| stored::write_map_publication(&removal, out)).arg(expires_at);
    }
    call
}

/// How many keys were removed.
pub fn removed(reply: Value) -> Result<u64, Unreadable> {
    reply.number()
}
