//! What must be true when everything has come to rest, and when everyone has left.

use std::collections::BTreeSet;

use super::backend::all_keys;
use super::client::Client;
use super::maps::Content;
use super::polls::{Act, Polls, Watch};
use super::setup::{HERE, MAP_KEY_TTL_S, POLL_INTERVAL_MS, USER, USERS, changes_epoch};
use super::world::World;

/// Keys of maps that are set when all has come to rest.
const OLD: &str = r#","key":"old","data":0"#;
const NEW: &str = r#","key":"new","data":0"#;
/// Within this time every node says that it is there, milliseconds.
const REPORT_MS: u64 = 3_000;

/// Lets the world come to rest and checks it; then lets everyone leave and checks that nothing is left.
///
/// # Errors
/// What is not as it must be.
pub(super) fn at_rest(world: &mut World) -> Result<(), String> {
    world.come_to_rest()?;
    world.take_responses();
    maps_agree(world)?;
    polls_agree(world)?;
    nobody_keeps_void_versions(world)?;
    everyone_is_reached(world)?;
    presence_is_right(world)?;
    match world.broker.is_some() {
        true => nodes_agree(world)?,
        // A broker promises nothing of what it does not keep.
        false => joins_and_leaves_are_right(world)?,
    }
    for index in 0..world.clients.len() {
        world.kill(index);
    }
    world.come_to_rest()?;
    nobody_is_asked(world)?;
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

/// Every live client has the map that its home has, and maps that mirror a channel name its subscribers and users.
fn maps_agree(world: &mut World) -> Result<(), String> {
    for channel in world.maps.clone() {
        let content = map_agrees(world, &channel, true)?;
        if channel.starts_with("map") {
            // Its keys go with their time, and everyone is told.
            for _ in 0..=MAP_KEY_TTL_S / 5 {
                world.wait(5_000);
                world.come_to_rest()?;
            }
            map_agrees(world, &channel, true)?;
            // Whoever has a map that is cleared notices with the next change.
            for (method, more) in [("map_publish", OLD), ("map_clear", ""), ("map_publish", NEW)] {
                world.call(0, method, &format!("{{\"channel\":\"{channel}\"{more}}}"));
                world.come_to_rest()?;
            }
            world.take_responses();
            map_agrees(world, &channel, false)?;
        }
        if let Some(mirrored) = channel.strip_prefix(HERE) {
            let live = by_themselves(world, mirrored);
            let subscribed: BTreeSet<&str> = live.filter_map(|client| client.id.as_deref()).collect();
            if !content.keys().map(String::as_str).eq(subscribed.iter().copied()) {
                return Err(format!("{channel}: {} keys, {} subscribed", content.len(), subscribed.len()));
            }
        }
        if let Some(mirrored) = channel.strip_prefix(USERS) {
            let is_here = by_themselves(world, mirrored).any(|client| client.has_token());
            // The key of a user who left stays for its time.
            if content.keys().any(|user| user != USER) || is_here && content.is_empty() {
                return Err(format!("{channel}: {:?}, and the user is there: {is_here}", content.keys()));
            }
        }
    }
    Ok(())
}

/// Everyone has what the backend has of the keys that it tracks, and the backend is asked for these and no others.
fn polls_agree(world: &mut World) -> Result<(), String> {
    world.plane.backend.is_faulty = false;
    // Answers under way may be old; what they tell is put right by the next round.
    let rounds = |world: &mut World, rounds| {
        // The batches of a round are spread over the interval.
        for _ in 0..2 * rounds {
            world.wait(POLL_INTERVAL_MS / 2);
            world.come_to_rest()?;
        }
        Ok::<(), String>(())
    };
    rounds(world, 3)?;
    world.plane.backend.asked.clear();
    rounds(world, 2)?;
    world.take_responses();
    let mut tracked = BTreeSet::new();
    for channel in world.polls.clone() {
        let watches = world.clients.iter().filter_map(|client| client.polls.watch(&channel));
        for (key, known) in watches.filter(|watch| watch.is_live()).flat_map(Watch::tracked) {
            tracked.insert((channel.clone(), key.clone()));
            let truth = world.plane.backend.truth(&channel, key);
            if truth.as_ref() != Some(&known.data) {
                let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
                let truth = truth.map(|truth| text(&truth));
                return Err(format!("{channel}: a client has {key} as {:?}, the backend {truth:?}", text(&known.data)));
            }
        }
    }
    let asked = &world.plane.backend.asked;
    if *asked != tracked {
        return Err(format!("the backend was asked for {asked:?}, tracked are {tracked:?}"));
    }
    Ok(())
}

/// Whoever tracks nothing while versions begin to count anew, and then comes back to its keys with the versions it
/// knows, gets the new ones.
fn nobody_keeps_void_versions(world: &mut World) -> Result<(), String> {
    for channel in world.polls.clone().into_iter().filter(|channel| changes_epoch(channel)) {
        let everyone = |world: &mut World, act: &dyn Fn(usize, &Polls) -> Option<Act>| {
            for index in 0..world.clients.len() {
                let client = &world.clients[index];
                if let Some(act) = act(index, &client.polls).filter(|_| client.is_connected()) {
                    world.poll(index, &channel, act);
                }
            }
            world.come_to_rest()
        };
        let is_live = |polls: &Polls| polls.is_live(&channel);
        let track = |_, polls: &Polls| is_live(polls).then(|| Act::Track { keys: all_keys(), anew: false });
        world.plane.backend.fill(&channel);
        everyone(world, &|_, polls| polls.may_subscribe(&channel).then_some(Act::Subscribe))?;
        everyone(world, &track)?;
        let first = world.clients.iter().position(|client| is_live(&client.polls));
        let others = |index, polls: &Polls| is_live(polls) && first != Some(index);
        everyone(world, &|index, polls| others(index, polls).then(|| Act::Untrack { keys: all_keys() }))?;
        world.plane.backend.begin_epoch(&channel);
        // The first client has the backend asked.
        world.wait(POLL_INTERVAL_MS);
        world.come_to_rest()?;
        everyone(world, &track)?;
    }
    polls_agree(world)
}

/// Nobody tracks any key: the backend is left alone.
fn nobody_is_asked(world: &mut World) -> Result<(), String> {
    world.plane.backend.asked.clear();
    for _ in 0..2 {
        world.wait(POLL_INTERVAL_MS);
        world.come_to_rest()?;
    }
    match &world.plane.backend.asked {
        asked if asked.is_empty() => Ok(()),
        asked => Err(format!("the backend is asked for {asked:?}, and everyone is gone")),
    }
}

/// Compares the home's map, which is given back, with what live clients have. Where a map may have been cleared without
/// a change since, those that have another map are passed over.
fn map_agrees(world: &mut World, channel: &str, may_be_another: bool) -> Result<Content, String> {
    world.call(0, "map_read_state", &format!("{{\"channel\":\"{channel}\",\"limit\":-1}}"));
    world.come_to_rest()?;
    let response = world.take_responses().pop().ok_or("reading a map was not answered")?;
    let response: serde_json::Value = serde_json::from_slice(&response).map_err(|error| error.to_string())?;
    let result = &response["result"];
    let mut content = Content::new();
    // Empty for a map without keys.
    for entry in result["entries"].as_array().into_iter().flatten() {
        let data = &entry["data"];
        let data = if data.is_null() { String::new() } else { data.to_string() };
        content.insert(entry["key"].as_str().unwrap_or_default().to_owned(), data.into_bytes());
    }
    let views = world.clients.iter().filter_map(|client| client.maps.view(channel)).filter(|view| view.is_certain());
    for view in views.filter(|view| !may_be_another || result["epoch"] == *view.epoch()) {
        if !view.content.keys().eq(content.keys()) || channel.starts_with("map") && view.content != content {
            return Err(format!("{channel}: a client has {:?}, the home {content:?}", view.content));
        }
    }
    Ok(content)
}

/// Who is subscribed and did it by a command of its own: those alone have keys in maps.
fn by_themselves<'w>(world: &'w World, channel: &'w str) -> impl Iterator<Item = &'w Client> {
    let live = world.clients.iter().filter(move |client| client.is_live(channel));
    live.filter(move |client| !client.subscriptions[channel].with_connection)
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

/// Every node knows of all nodes and lists the subscribers of all.
fn nodes_agree(world: &mut World) -> Result<(), String> {
    // What they told each other may have been lost.
    world.wait(REPORT_MS);
    world.come_to_rest()?;
    for shard in 0..world.engines.len() {
        world.call(shard, "info", "{}");
        world.call(shard, "channels", "{}");
        world.come_to_rest()?;
        let mut responses = Vec::new();
        for response in world.take_responses() {
            let response: serde_json::Value = serde_json::from_slice(&response).map_err(|error| error.to_string())?;
            if response["result"].is_null() {
                return Err(format!("shard {shard} answered {response}"));
            }
            responses.push(response["result"].clone());
        }
        let nodes = responses.iter().find_map(|result| result["nodes"].as_array()).map_or(0, Vec::len);
        if nodes != world.nodes() {
            return Err(format!("shard {shard} knows {nodes} nodes"));
        }
        let channels = responses.iter().find_map(|result| result["channels"].as_object());
        let channels = channels.ok_or("the channels were not listed")?;
        for name in &world.names {
            let live = world.clients.iter().filter(|client| client.is_live(name)).count();
            let listed = channels.get(name).map_or(0, |info| info["num_clients"].as_u64().unwrap_or_default());
            if listed != live as u64 {
                return Err(format!("{name}: {listed} clients listed, {live} subscribed"));
            }
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
