//! Reading maps.

use std::sync::Arc;

use bytes::Bytes;

use super::value::Placed;
use crate::broker::history::{stream_piece, streamed};
use crate::broker::{Call, Names, Script, Unreadable, Value};
use crate::channel::map_op::{MapOptions, MapState};
use crate::channel::publication::{Epoch, MapEntry, Position, Publication};

/// Reads keys, in no order. About as many as `limit` are looked at; 0 = all of them. The cursor is empty or what the
/// page before gave. A key that stays is on at least one page, perhaps on several. The reply is read by [`state`].
pub fn read_state(names: &Names, channel: &str, options: &MapOptions, cursor: &str, limit: u32, now_ms: u64) -> Call {
    let mut call = Call::script(Script::MapStateRead).key(names.map_state(channel)).key(names.map_expire(channel));
    if options.stream.is_some() {
        call = call.key(names.map_meta(channel)).key(names.map_state_meta(channel)).key(names.map_stream(channel));
    }
    let meta_ttl_ms = options.stream.map_or(0, |stream| stream.meta_ttl_ms);
    call.arg(if cursor.is_empty() { "0" } else { cursor }).shown(limit).shown(now_ms).shown(meta_ttl_ms)
}

/// A page of keys. Those whose value cannot be read are left out.
pub fn state(reply: Value) -> Result<MapState, Unreadable> {
    let [offset, epoch, cursor, pairs, newest] = reply.array()?;
    let position = Value::position(&offset, &epoch)?;
    let newest = streamed(Value::List(vec![offset, epoch, newest])).ok().and_then(|(mut found, _)| found.pop());
    let cursor = cursor.bytes()?;
    let cursor = std::str::from_utf8(&cursor).map_err(|_| Unreadable("a cursor is no text"))?;
    let mut pairs = pairs.list()?.into_iter();
    let mut entries = Vec::with_capacity(pairs.len() / 2);
    while let (Some(key), Some(value)) = (pairs.next(), pairs.next()) {
        entries.extend(entry(&key.bytes()?, &value.bytes()?).ok());
    }
    let cursor = if cursor == "0" { "".into() } else { cursor.into() };
    Ok(MapState { entries, position, cursor, keys: 0, newest })
}

/// Reads one key. The reply is read by [`key`].
pub fn read_key(names: &Names, channel: &str, options: &MapOptions, key: &str) -> Call {
    let mut call = Call::script(Script::MapKeyRead).key(names.map_state(channel));
    if options.stream.is_some() {
        call = call.key(names.map_meta(channel));
    }
    call.arg(key)
}

/// The key's entry, if it is there.
pub fn key(key: &str, reply: Value) -> Result<MapState, Unreadable> {
    let [offset, epoch, value] = reply.array()?;
    let position = Value::position(&offset, &epoch)?;
    let entries = match value {
        Value::Nil => Vec::new(),
        value => vec![entry(key.as_bytes(), &value.bytes()?)?],
    };
    Ok(MapState { entries, position, cursor: "".into(), keys: 0, newest: None })
}

/// What a key is, as the publication that set it.
fn entry(key: &[u8], value: &Bytes) -> Result<Arc<Publication>, Unreadable> {
    let key = std::str::from_utf8(key).map_err(|_| Unreadable("a key is no text"))?;
    let publication = Placed::read(value)?.publication()?;
    Ok(Arc::new(Publication { entry: MapEntry::set(key), ..publication }))
}

/// Reads changes of a map with a stream: behind `since` (before it when reversed), none = from the end; at most `limit`,
/// 0 = the position alone, negative = all. The fresh epoch becomes the map's when it has none. The reply is read by
/// [`changes`].
pub fn read_changes(
    names: &Names,
    channel: &str,
    meta_ttl_ms: u64,
    (since, limit, reverse): (Option<u64>, i32, bool),
    fresh: Epoch,
) -> Call {
    let call = Call::script(Script::StreamRead).key(names.map_stream(channel)).key(names.map_meta(channel));
    let call = stream_piece(call, since, limit, reverse);
    call.shown(fresh.as_str()).shown(meta_ttl_ms).arg("PEXPIRE").flag(true)
}

/// Changes, and the map's position.
pub fn changes(reply: Value) -> Result<(Vec<Arc<Publication>>, Position), Unreadable> {
    streamed(reply)
}

/// Has a map that lost changes go on under the fresh epoch, unless its epoch is not `old` any more. The reply is read by
/// [`changes`], as of a read of the newest one.
pub fn change_epoch(names: &Names, channel: &str, old: Epoch, fresh: Epoch, meta_ttl_ms: u64) -> Call {
    let call = Call::script(Script::MapEpochChange).key(names.map_stream(channel)).key(names.map_meta(channel));
    call.key(names.map_state_meta(channel)).shown(old.as_str()).shown(fresh.as_str()).shown(meta_ttl_ms)
}

/// How many keys there are. The reply is read by [`keys`].
pub fn count_keys(names: &Names, channel: &str) -> Call {
    Call::command("HLEN").key(names.map_state(channel))
}

/// See [`count_keys`].
pub fn keys(reply: Value) -> Result<u32, Unreadable> {
    Ok(u32::try_from(reply.number()?).unwrap_or(u32::MAX))
}
