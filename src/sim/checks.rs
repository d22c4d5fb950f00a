//! What must be true when everything has come to rest, and when everyone has left.

use std::collections::BTreeSet;

use super::maps::Content;
use super::setup::HERE;
use super::world::World;

/// Lets the world come to rest and checks it; then lets everyone leave and checks that nothing is left.
///
/// # Errors
/// What is not as it must be.
pub(super) fn at_rest(world: &mut World) -> Result<(), String> {
    world.come_to_rest()?;
    world.take_responses();
    maps_agree(world)?;
    everyone_is_reached(world)?;
    presence_is_right(world)?;
    joins_and_leaves_are_right(world)?;
    for index in 0..world.clients.len() {
        world.kill(index);
    }
    world.come_to_rest()?;
    nothing_is_left(world)
}

/// One more publication into each channel reaches every subscriber: nobody was lost on the way. Where there is
/// history, everyone then stands at the same offset.
fn everyone_is_reached(world: &mut World) -> Result<(), String> {
    for channel in world.names.clone() {
        let before: Vec<_> = world.clients.iter().map(|client| client.counts().publications).collect();
        world.publish_by_api(0, &channel, false);
        world.come_to_rest()?;
        let mut offsets = BTreeSet::new();
        for (client, before) in world.clients.iter().zip(before) {
            let gained = client.counts().publications - before;
            let is_live = client.is_live(&channel);
            if gained != u64::from(is_live) {
                return Err(format!("{channel}: a subscriber (live: {is_live}) got {gained} publications, not one"));
            }
            if is_live {
                offsets.extend(client.subscriptions[&channel].seen.as_ref().map(|seen| seen.offset));
            }
        }
        if offsets.len() > 1 {
            return Err(format!("{channel}: subscribers stand at {offsets:?}"));
        }
    }
    world.take_responses();
    Ok(())
}

/// Every live client has the map that its home has, and a map that mirrors a channel names its subscribers.
fn maps_agree(world: &mut World) -> Result<(), String> {
    for channel in world.maps.clone() {
        let body = format!("{{\"channel\":\"{channel}\",\"limit\":-1}}");
        world.call(0, "map_read_state", &body);
        world.come_to_rest()?;
        let response = world.take_responses().pop().ok_or("reading a map was not answered")?;
        let response: serde_json::Value = serde_json::from_slice(&response).map_err(|error| error.to_string())?;
        let mut content = Content::new();
        // Empty for a map without keys.
        for entry in response["result"]["entries"].as_array().into_iter().flatten() {
            let data = &entry["data"];
            let data = if data.is_null() { String::new() } else { data.to_string() };
            content.insert(entry["key"].as_str().unwrap_or_default().to_owned(), data.into_bytes());
        }
        for view in world.clients.iter().filter_map(|client| client.maps.view(&channel)).filter(|view| view.is_live()) {
            if !view.content.keys().eq(content.keys()) || channel.starts_with("map") && view.content != content {
                return Err(format!("{channel}: a client has {:?}, the home {content:?}", view.content));
            }
        }
        if let Some(mirrored) = channel.strip_prefix(HERE) {
            let live = world
                .clients
                .iter()
                .filter(|client| client.is_live(mirrored) && !client.subscriptions[mirrored].with_connection);
            let subscribed: BTreeSet<&str> = live.filter_map(|client| client.id.as_deref()).collect();
            if !content.keys().map(String::as_str).eq(subscribed.iter().copied()) {
                return Err(format!("{channel}: {} keys, {} subscribed", content.len(), subscribed.len()));
            }
        }
    }
    Ok(())
}

/// Presence names exactly the subscribers.
fn presence_is_right(world: &mut World) -> Result<(), String> {
    for channel in world.names.clone() {
        world.call(world.engines.len() - 1, "presence", &format!("{{\"channel\":\"{channel}\"}}"));
        world.come_to_rest()?;
        let response = world.take_responses().pop().ok_or("presence was not answered")?;
        let response: serde_json::Value = serde_json::from_slice(&response).map_err(|error| error.to_string())?;
        let present: BTreeSet<&str> = response["result"]["presence"]
            .as_object()
            .ok_or_else(|| format!("presence answered {response}"))?
            .keys()
            .map(String::as_str)
            .collect();
        let subscribed: BTreeSet<&str> = world
            .clients
            .iter()
            .filter(|client| client.is_live(&channel))
            .filter_map(|client| client.id.as_deref())
            .collect();
        if present != subscribed {
            return Err(format!("{channel}: {} present, {} subscribed", present.len(), subscribed.len()));
        }
    }
    Ok(())
}

/// Whoever saw somebody join and not leave is in the channel together with it, and everyone saw itself join.
fn joins_and_leaves_are_right(world: &World) -> Result<(), String> {
    for channel in world.names.iter().filter(|channel| !channel.starts_with("live")) {
        let live = || world.clients.iter().filter(|client| client.is_live(channel));
        let subscribed: BTreeSet<&str> = live().filter_map(|client| client.id.as_deref()).collect();
        for client in live() {
            let joined = &client.subscriptions[channel].joined;
            if let Some(gone) = joined.iter().find(|joined| !subscribed.contains(&***joined)) {
                return Err(format!("{channel}: {gone} is gone and no leave came"));
            }
            if client.id.as_ref().is_some_and(|own| !joined.contains(own)) {
                return Err(format!("{channel}: a client did not see itself join"));
            }
        }
    }
    Ok(())
}

fn nothing_is_left(world: &World) -> Result<(), String> {
    for (shard, engine) in world.engines.iter().enumerate() {
        let audit = engine.audit();
        if audit != crate::engine::Audit::default() {
            return Err(format!("shard {shard} still holds {audit:?} after everyone left"));
        }
    }
    Ok(())
}
