//! What was done with maps.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value as Json, json};
use spindle::broker::frame::Message;
use spindle::broker::map::{self, Keeping, expiry, frame, read};
use spindle::broker::{Names, history};
use spindle::channel::map_op::{KeyMode, MapOptions, MapPublishOp, MapStreamOptions};
use spindle::channel::publication::{Epoch, MapEntry, Position, Publication};

use super::recording::{MapDeed, Options, Step, to_bytes};
use super::redis::Connection;

const KEEPING: Keeping = Keeping { result_ttl_ms: 200_000, is_told: true };

impl From<Options> for MapOptions {
    fn from(options: Options) -> Self {
        let stream = options.stream.map(|(size, ttl_ms, meta_ttl_ms)| MapStreamOptions { size, ttl_ms, meta_ttl_ms });
        Self { key_ttl_ms: options.key_ttl_ms, stream }
    }
}

/// What the reference told in the step.
fn told(step: &Step) -> Option<Publication> {
    let (_, message) = step.messages.first()?;
    match frame::read(&to_bytes(message).into()) {
        Ok(Message::Publication(publication, _)) => Some(publication),
        other => panic!("no publication: {other:?}"),
    }
}

/// Gives the reply as it was recorded.
pub fn carry_out(names: &Names, redis: &mut Connection, deed: &MapDeed, step: &Step) -> Json {
    let told = told(step);
    let now_ms = told.as_ref().map_or(1, |publication| publication.unix_ms);
    match deed {
        MapDeed::Publish(publish) => {
            let tags: Vec<_> =
                publish.tags.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect();
            let publication = Publication {
                entry: MapEntry::set(&publish.key),
                tags: (!tags.is_empty()).then(|| Arc::new(tags.into())),
                unix_ms: now_ms,
                ..Publication::bare(Bytes::from(publish.data.clone()))
            };
            let op = MapPublishOp {
                key_mode: KeyMode::by_name(&publish.key_mode).expect("a mode"),
                version: publish.version,
                version_epoch: publish.version_epoch.as_str().into(),
                delta: publish.delta,
                idempotency_key: publish.idempotency_key.as_deref().map(Into::into),
                ..MapPublishOp::plain(publish.options.into(), publication)
            };
            updated(redis, &map::publish(names, KEEPING, &publish.channel, &op, answered(step)))
        }
        MapDeed::Remove { channel, options, key, idempotency_key } => {
            let entry = Some(Box::new(MapEntry { key: key.as_str().into(), removed: true }));
            let removal = Publication { entry, unix_ms: now_ms, ..Publication::bare(Bytes::new()) };
            let (options, key) = ((*options).into(), idempotency_key.as_deref());
            updated(redis, &map::remove(names, KEEPING, channel, &options, &removal, key, answered(step)))
        }
        MapDeed::ReadState { channel, options, key, limit } => {
            let options = (*options).into();
            let state = if key.is_empty() {
                // An epoch that begins with the reading is the moment.
                let now_ms = answered(step).as_str().parse().unwrap_or(1);
                let limit = u32::try_from(*limit).unwrap_or(0);
                read::state(redis.call(&read::read_state(names, channel, &options, "", limit, now_ms)))
            } else {
                read::key(key, redis.call(&read::read_key(names, channel, &options, key)))
            };
            let mut state = state.expect("a page");
            assert_eq!(&*state.cursor, "");
            state.entries.sort_by_key(|entry| entry.entry.as_ref().map(|entry| entry.key.clone()));
            entries(&state.entries, state.position)
        }
        &MapDeed::ReadStream { ref channel, options, limit, reverse, since } => {
            let meta_ttl_ms = options.stream.expect("a stream").2;
            let call = read::read_changes(names, channel, meta_ttl_ms, (since, limit, reverse), answered(step));
            let (changes, position) = read::changes(redis.call(&call)).expect("changes");
            entries(&changes, position)
        }
        MapDeed::Stats { channel } => {
            json!(read::keys(redis.call(&read::count_keys(names, channel))).expect("keys"))
        }
        MapDeed::Clear { channel } => {
            [map::clear(names, channel), map::unregister(names, channel)]
                .iter()
                .for_each(|call| drop(redis.call(call)));
            Json::Null
        }
        MapDeed::Expire { channel, options } => {
            let told = told.expect("a removal");
            let due = expiry::maps(redis.call(&expiry::due(names, 0, now_ms, 10))).expect("maps");
            assert_eq!(due.maps, [channel.as_str()]);
            assert!(due.since_ms.is_some_and(|since_ms| since_ms <= now_ms));
            let expired = expiry::expired(redis.call(&expiry::find(names, channel, now_ms, 10))).expect("keys");
            let call = expiry::expire(names, KEEPING, channel, &(*options).into(), &expired, told.epoch, now_ms);
            assert_eq!(expiry::removed(redis.call(&call)), Ok(1));
            Json::Null
        }
    }
}

/// The epoch of the reply: where the step began one, it was that.
fn answered(step: &Step) -> Epoch {
    let epoch = step.reply.get(1).or_else(|| step.reply["position"].get(1));
    Epoch::parse(epoch.and_then(Json::as_str).expect("an epoch")).expect("an epoch")
}

fn updated(redis: &mut Connection, call: &spindle::broker::Call) -> Json {
    let (position, suppression) = history::published(redis.call(call)).expect("a position");
    json!([position.offset, position.epoch.as_str(), suppression.map_or("", |suppression| suppression.name())])
}

fn entries(found: &[Arc<Publication>], position: Position) -> Json {
    let found: Vec<Json> = found.iter().map(|publication| entry(publication)).collect();
    json!({"entries": found, "position": [position.offset, position.epoch.as_str()]})
}

/// Without what is zero.
fn entry(publication: &Publication) -> Json {
    let entry = publication.entry.as_ref().expect("a key");
    let data = std::str::from_utf8(&publication.data).expect("text");
    let mut json = json!({"key": &*entry.key, "data": data, "time": publication.unix_ms});
    if publication.offset > 0 {
        json["offset"] = publication.offset.into();
    }
    if entry.removed {
        json["removed"] = true.into();
    }
    if !publication.tags().is_empty() {
        let tags = publication.tags().iter().map(|(key, value)| (key.to_string(), Json::from(&**value)));
        json["tags"] = tags.collect::<serde_json::Map<_, _>>().into();
    }
    json
}
