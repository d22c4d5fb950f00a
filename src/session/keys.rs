//! The keys that a subscription keeps in maps: its client and its user in the maps that mirror presence
//! (`map_clients_presence_channel_prefix`, `map_users_presence_channel_prefix`), and the client's own key in the map
//! itself (`map.remove_client_on_unsubscribe`).
//!
//! Which maps these are follows from the channel's name and the options, so a subscription pays one bit for them.
//! Upstream: centrifuge client_map.go `addMapClientPresence` and below.

use std::sync::Arc;

use bytes::Bytes;

use super::state::Session;
use super::{Cx, Effect};
use crate::base::ids::ClientId;
use crate::base::mutation::{Mutation, is_on};
use crate::channel::map_op::{KeyMode, MapOp, MapPublishOp};
use crate::channel::name::ChannelName;
use crate::channel::op::Op;
use crate::channel::publication::{ClientInfo, MapEntry, Publication};
use crate::channel::rules;
use crate::config::snapshot::{ChannelOptions, MapOptions, Snapshot};
use crate::fanout::hub::LocalChannel;

/// Whether subscriptions to channels with these options keep keys.
pub(super) fn are_kept(options: &ChannelOptions) -> bool {
    options.map_rules.remove_client_on_unsubscribe
        || !options.map_clients_prefix.is_empty()
        || !options.map_users_prefix.is_empty()
}

/// What homes of maps are told when the subscription ends. The user's key stays until its time is over: the user may
/// have other subscriptions, and may come back (upstream: `removeMapPresence`).
pub(super) fn remove(
    config: &Snapshot,
    channel: &ChannelName,
    client: ClientId,
    tell: &mut dyn FnMut(ChannelName, Op),
) {
    let Some(options) = rules::options(&config.channel, channel.as_str()) else { return };
    let clients = mirror(config, &options.map_clients_prefix, channel).filter(|_| !is_on(Mutation::MapKeepsWhoLeft));
    let own = options.map_rules.remove_client_on_unsubscribe.then(|| Some((channel.clone(), options.map?))).flatten();
    for (map, options) in clients.into_iter().chain(own) {
        let key = client.to_string().into();
        tell(map, Op::Map(Box::new(MapOp::Remove { options, key, idempotency_key: None })));
    }
}

impl Session {
    /// Sets the keys, or gives them another lifetime: who is there already does not come again.
    pub(super) fn keep_keys(&self, cx: &mut Cx<'_>, local: LocalChannel) {
        let channel = cx.hub.name(local).clone();
        let Some(options) = rules::options(&cx.config.channel, channel.as_str()) else { return };
        if let Some((map, kept)) = mirror(cx.config, &options.map_clients_prefix, &channel) {
            let op = presence(kept, &self.client.to_string(), Some(self.info_in(Some(local))));
            cx.effects.push(Effect::Op { channel: map, op, tag: 0 });
        }
        if let Some((map, kept)) = mirror(cx.config, &options.map_users_prefix, &channel)
            && !self.user().is_empty()
            && !is_on(Mutation::MapForgetsUser)
        {
            cx.effects.push(Effect::Op { channel: map, op: presence(kept, self.user(), None), tag: 0 });
        }
    }
}

/// The map with this prefix that mirrors a channel's presence.
fn mirror(config: &Snapshot, prefix: &str, channel: &ChannelName) -> Option<(ChannelName, MapOptions)> {
    if prefix.is_empty() {
        return None;
    }
    let name = [prefix, channel.as_str()].concat();
    let options = rules::options(&config.channel, &name)?.map?;
    Some((ChannelName::new(&name), options))
}

fn presence(options: MapOptions, key: &str, info: Option<Arc<ClientInfo>>) -> Op {
    let publication = Publication { info, entry: MapEntry::set(key), ..Publication::bare(Bytes::new()) };
    Op::Map(Box::new(MapOp::Publish(MapPublishOp {
        key_mode: KeyMode::IfNew,
        refresh_ttl: true,
        ..MapPublishOp::plain(options, publication)
    })))
}
