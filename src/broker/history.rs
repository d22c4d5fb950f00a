//! Publishing, and reading what was published (upstream: centrifuge broker_redis.go).

use std::sync::Arc;

use super::name::Names;
use super::script::Script;
use super::value::number;
use super::{Call, Unreadable, Value, frame, stored};
use crate::channel::broker_op::Read;
use crate::channel::idempotency::RESULT_TTL_MS;
use crate::channel::map_op::Suppression;
use crate::channel::op::PublishOp;
use crate::channel::publication::{Epoch, Position, Publication};

fn wants_publications(read: &Read) -> bool {
    is_wanted(read.since, read.limit, read.reverse)
}

/// Whether publications are wanted, and the first of them can exist.
fn is_wanted(since: Option<u64>, limit: i32, reverse: bool) -> bool {
    limit != 0 && !(reverse && since.is_some_and(|since| since <= 1))
}

/// Publishes. The fresh epoch becomes the channel's when it has none; `is_told` = by PUB/SUB, too. None when there is
/// nothing to do. The reply is read by [`published`].
pub fn publish(names: &Names, channel: &str, op: &PublishOp, fresh: Epoch, is_told: bool) -> Option<Call> {
    let key = op.idempotency_key.as_deref().filter(|key| !key.is_empty());
    let result_ttl_s = RESULT_TTL_MS / 1000;
    let publication = |delta| move |out: &mut Vec<u8>| stored::write_publication(&op.publication, delta, out);
    let told = |call: Call| if is_told { call.shown(names.messages(channel)) } else { call.arg("") };
    let command = names.publish_command();
    if !op.history.is_on() {
        // Without history the publication itself says that patches are wanted.
        let Some(key) = key else {
            let call = Call::command(command).key(names.messages(channel)).written(publication(op.delta));
            return is_told.then_some(call);
        };
        let call = Call::script(Script::PublishOnce).key(names.result(channel, key)).written(publication(op.delta));
        return Some(told(call.arg(command)).shown(result_ttl_s));
    }
    let script = if names.uses_lists() { Script::ListPublish } else { Script::StreamPublish };
    let mut call = Call::script(script).key(names.history(channel)).key(names.history_meta(channel));
    if let Some(key) = key {
        call = call.key(names.result(channel, key));
    }
    let size = if names.uses_lists() { op.history.size - 1 } else { op.history.size };
    call = call.written(publication(false)).shown(size).shown(op.history.ttl_s).shown(op.history.meta_ttl_s);
    call = told(call.shown(fresh.as_str()).arg(command)).flag(op.delta);
    if !names.uses_lists() {
        call = call.shown(op.publication.version).arg(&*op.version_epoch);
    }
    Some(call.shown(result_ttl_s))
}

/// Where the publication stands (offset 0 and no epoch without history), and why nothing was published if so: then it
/// is the place of the first one with the idempotency key, or the top when the version was not newer.
pub fn published(reply: Value) -> Result<(Position, Option<Suppression>), Unreadable> {
    match reply {
        // How many heard it, or that it was the first with its idempotency key.
        Value::Int(_) | Value::Nil => Ok((Position::default(), None)),
        reply => {
            let [offset, epoch, reason] = reply.array()?;
            Ok((Value::position(&offset, &epoch)?, suppression(reason)?))
        }
    }
}

/// Why nothing was published, in the words of the scripts, which are those of the server API.
fn suppression(reason: Value) -> Result<Option<Suppression>, Unreadable> {
    let reason = reason.bytes()?;
    if reason.is_empty() {
        return Ok(None);
    }
    let found = Suppression::ALL.into_iter().find(|known| known.name().as_bytes() == &reason[..]);
    found.map(Some).ok_or(Unreadable("a reason is not one of ours"))
}

/// Reads history; the fresh epoch becomes the channel's when it has none. The reply is read by [`publications`].
pub fn read(names: &Names, channel: &str, read: &Read, fresh: Epoch) -> Call {
    let call = |script| Call::script(script).key(names.history(channel)).key(names.history_meta(channel));
    if names.uses_lists() {
        let call = call(Script::ListRead).flag(wants_publications(read));
        return call.shown(read.meta_ttl_s).shown(fresh.as_str());
    }
    let call = stream_piece(call(Script::StreamRead), read.since, read.limit, read.reverse);
    call.shown(fresh.as_str()).shown(read.meta_ttl_s).arg("EXPIRE").flag(false)
}

/// Which piece of a stream is read.
pub(super) fn stream_piece(call: Call, since: Option<u64>, limit: i32, reverse: bool) -> Call {
    let call = match (since, reverse) {
        (Some(since), false) => call.shown(since.saturating_add(1)),
        (Some(since), true) => call.shown(since.saturating_sub(1)),
        (None, false) => call.arg("0"),
        (None, true) => call.arg(""),
    };
    call.shown(if is_wanted(since, limit, reverse) { limit.max(-1) } else { 0 }).flag(reverse)
}

/// What is read by the way when the epoch changes: the newest publication.
pub const fn newest(meta_ttl_s: u32) -> Read {
    Read { since: None, limit: 1, reverse: true, meta_ttl_s }
}

/// Has a stream or list that lost publications go on under the fresh epoch, unless its epoch is not `old` any more. The
/// reply is read by [`publications`], as of a read of the [`newest`] one.
pub fn change_epoch(names: &Names, channel: &str, old: Epoch, fresh: Epoch, meta_ttl_s: u32) -> Call {
    let call = Call::script(Script::EpochChange).key(names.history(channel)).key(names.history_meta(channel));
    call.shown(old.as_str()).shown(fresh.as_str()).shown(meta_ttl_s).flag(names.uses_lists())
}

/// What was read, and the channel's position.
pub fn publications(names: &Names, read: &Read, reply: Value) -> Result<(Vec<Arc<Publication>>, Position), Unreadable> {
    if !names.uses_lists() {
        return streamed(reply);
    }
    let [offset, epoch, entries] = reply.array()?;
    let top = Value::position(&offset, &epoch)?;
    let found = listed(entries.list()?, read)?;
    let at_top = |publication| Arc::new(Publication { epoch: top.epoch, ..publication });
    Ok((found.into_iter().map(at_top).collect(), top))
}

/// Entries of a stream are what was asked for.
pub(super) fn streamed(reply: Value) -> Result<(Vec<Arc<Publication>>, Position), Unreadable> {
    let [offset, epoch, entries] = reply.array()?;
    let top = Value::position(&offset, &epoch)?;
    let at_top = |entry| Ok(Arc::new(Publication { epoch: top.epoch, ..stream_entry(entry)? }));
    Ok((entries.list()?.into_iter().map(at_top).collect::<Result<_, Unreadable>>()?, top))
}

fn stream_entry(entry: Value) -> Result<Publication, Unreadable> {
    let [id, fields] = entry.array()?;
    let id = id.bytes()?;
    let digits = id.split(|byte| *byte == b'-').next().unwrap_or_default();
    let offset = number(digits).ok_or(Unreadable("an entry's id is no offset"))?;
    let mut fields = fields.list()?.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        if name.bytes()?.as_ref() == b"d" {
            let publication = stored::read_publication(&value.bytes()?)?.publication;
            return Ok(Publication { offset, ..publication });
        }
    }
    Err(Unreadable("an entry without a publication"))
}

/// A list comes whole, newest first.
fn listed(entries: Vec<Value>, read: &Read) -> Result<Vec<Publication>, Unreadable> {
    if !wants_publications(read) {
        return Ok(Vec::new());
    }
    let mut all =
        entries.into_iter().map(|entry| frame::read_listed(&entry.bytes()?)).collect::<Result<Vec<_>, _>>()?;
    all.retain(|found| match read.since {
        None => true,
        Some(since) if read.reverse => found.offset < since,
        Some(since) => found.offset > since,
    });
    if !read.reverse {
        all.reverse();
    }
    if let Ok(limit) = usize::try_from(read.limit) {
        all.truncate(limit);
    }
    Ok(all)
}

/// Drops the publications; offset and epoch stay.
pub fn remove(names: &Names, channel: &str) -> Call {
    Call::command("DEL").key(names.history(channel))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::broker::Layout;
    use crate::channel::op::HistoryOptions;

    const STREAM: HistoryOptions = HistoryOptions { size: 10, ttl_s: 60, meta_ttl_s: 0 };

    fn names(lists: bool) -> Names {
        Names::new("p", Layout::Plain, lists)
    }

    fn fresh() -> Epoch {
        Epoch::parse("fresh").unwrap()
    }

    fn op(history: HistoryOptions, delta: bool, key: Option<&str>) -> PublishOp {
        let publication = Publication { version: 3, ..Publication::bare("d".into()) };
        let idempotency_key = key.map(Into::into);
        PublishOp { publication, history, delta, idempotency_key, version_epoch: "v".into() }
    }

    #[track_caller]
    fn publishes(op: &PublishOp, lists: bool, is_told: bool, expected: &str) {
        let call = publish(&names(lists), "a", op, fresh(), is_told);
        assert_eq!(call.map_or(String::new(), |call| call.text()), expected);
    }

    #[test]
    fn publishing_without_history() {
        let none = HistoryOptions::default();
        publishes(&op(none, false, None), false, true, r#"PUBLISH p.client.a | \"\x01d\x80\x01\x03"#);
        publishes(&op(none, true, None), false, true, r#"PUBLISH p.client.a | \"\x01d@\x01\x80\x01\x03"#);
        publishes(&op(none, true, None), false, false, "");
        publishes(&op(none, true, Some("")), false, false, "");
        let once = r#"PublishOnce p.result.a.k | \"\x01d\x80\x01\x03 PUBLISH p.client.a 300"#;
        publishes(&op(none, false, Some("k")), false, true, once);
        let once = r#"PublishOnce p.result.a.k | \"\x01d\x80\x01\x03 PUBLISH  300"#;
        publishes(&op(none, false, Some("k")), true, false, once);
        // A size or a lifetime alone keeps nothing.
        let no_ttl = HistoryOptions { size: 1, ..none };
        publishes(&op(no_ttl, false, None), false, true, r#"PUBLISH p.client.a | \"\x01d\x80\x01\x03"#);
    }

    #[test]
    fn publishing_with_history() {
        let stream = r#"StreamPublish p.stream.a p.stream.meta.a | \"\x01d\x80\x01\x03 10 60 0 fresh PUBLISH p.client.a 0 3 v 300"#;
        publishes(&op(STREAM, false, None), false, true, stream);
        let keyed = r#"StreamPublish p.stream.a p.stream.meta.a p.result.a.k | \"\x01d\x80\x01\x03 10 60 0 fresh PUBLISH  1 3 v 300"#;
        publishes(&op(STREAM, true, Some("k")), false, false, keyed);
        let list = r#"ListPublish p.list.a p.list.meta.a | \"\x01d\x80\x01\x03 9 60 0 fresh PUBLISH p.client.a 1 300"#;
        publishes(&op(STREAM, true, None), true, true, list);
    }

    #[track_caller]
    fn reads(since: Option<u64>, limit: i32, reverse: bool, streamed: &str, listed: &str) {
        let piece = Read { since, limit, reverse, meta_ttl_s: 5 };
        let text = |lists| read(&names(lists), "a", &piece, fresh()).text();
        assert_eq!(text(false), format!("StreamRead p.stream.a p.stream.meta.a | {streamed} fresh 5 EXPIRE 0"));
        assert_eq!(text(true), format!("ListRead p.list.a p.list.meta.a | {listed} 5 fresh"));
    }

    #[test]
    fn reading() {
        reads(None, -1, false, "0 -1 0", "1");
        reads(None, 10, true, " 10 1", "1");
        reads(Some(7), 3, false, "8 3 0", "1");
        reads(Some(7), 3, true, "6 3 1", "1");
        reads(None, 0, false, "0 0 0", "0");
        // Before the first one there is nothing.
        reads(Some(1), 3, true, "0 0 1", "0");
        reads(Some(0), 3, true, "0 0 1", "0");
        reads(Some(u64::MAX), -7, false, "18446744073709551615 -1 0", "1");
    }

    fn text(text: &str) -> Value {
        Value::Bytes(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn entry(id: &str) -> Value {
        let fields = [text("e"), text("x"), text("d"), Value::Bytes(Bytes::from_static(b"\x22\x01d"))];
        Value::List(vec![text(id), Value::List(fields.into())])
    }

    #[track_caller]
    fn offsets(lists: bool, since: Option<u64>, limit: i32, reverse: bool, entries: Vec<Value>, expected: &[u64]) {
        let reply = Value::List(vec![text("9"), text("life"), Value::List(entries)]);
        let piece = Read { since, limit, reverse, meta_ttl_s: 0 };
        let (found, top) = publications(&names(lists), &piece, reply).unwrap();
        assert_eq!(top, Position { offset: 9, epoch: Epoch::parse("life").unwrap() });
        assert!(found.iter().all(|publication| publication.epoch == top.epoch));
        assert_eq!(found.iter().map(|publication| publication.offset).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn streams_come_as_asked() {
        offsets(false, None, -1, false, vec![], &[]);
        offsets(false, None, -1, false, vec![entry("8-0"), entry("9-0")], &[8, 9]);
    }

    #[test]
    fn lists_are_cut_here() {
        let list = || (5..=9).rev().map(|offset| text(&format!("__p1:{offset}:life__\x22\x01d"))).collect::<Vec<_>>();
        offsets(true, None, -1, false, list(), &[5, 6, 7, 8, 9]);
        offsets(true, None, 2, false, list(), &[5, 6]);
        offsets(true, None, 2, true, list(), &[9, 8]);
        offsets(true, Some(7), -1, false, list(), &[8, 9]);
        offsets(true, Some(7), 1, false, list(), &[8]);
        offsets(true, Some(7), 1, true, list(), &[6]);
        offsets(true, Some(2), 1, false, list(), &[5]);
        offsets(true, Some(9), -1, false, list(), &[]);
        offsets(true, None, 0, false, list(), &[]);
    }

    #[test]
    fn strange_entries_are_refused() {
        for entry in [
            Value::Nil,
            text("1-0"),
            Value::List(vec![text("x-0"), Value::List(vec![text("d"), text("")])]),
            Value::List(vec![text("1-0"), Value::List(vec![text("e"), text("x"), text("d")])]),
            Value::List(vec![text("1-0"), Value::List(vec![text("d"), text("\x22\x09d")])]),
        ] {
            assert!(stream_entry(entry.clone()).is_err(), "{entry:?}");
        }
    }

    #[test]
    fn where_it_stands() {
        let position = |offset, epoch| Position { offset, epoch: Epoch::parse(epoch).unwrap() };
        assert_eq!(published(Value::Int(3)), Ok((position(0, ""), None)));
        assert_eq!(published(Value::Nil), Ok((position(0, ""), None)));
        let reply = |offset, epoch, reason| published(Value::List(vec![offset, text(epoch), text(reason)]));
        assert_eq!(reply(Value::Int(3), "e", ""), Ok((position(3, "e"), None)));
        assert_eq!(reply(text("3"), "e", "version"), Ok((position(3, "e"), Some(Suppression::Version))));
        // The first one with the key had no history.
        assert_eq!(reply(Value::Nil, "", "idempotency"), Ok((position(0, ""), Some(Suppression::Idempotency))));
        assert!(reply(Value::Int(3), "e", "whim").is_err());
        assert!(published(Value::List(vec![text("3"), text("e")])).is_err());
        assert!(published(text("3")).is_err());
    }
}
