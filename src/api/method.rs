//! The methods by name, and what each is made of a body or of a command in a batch.

use super::request::ApiCx;
use super::step::Step;
use super::{channels, history, info, maps, presence, publish, rpc, sessions};
use crate::metrics::labels::Api;
use crate::protocol::Malformed;
use crate::protocol::api::Command;
use crate::protocol::error::Error;
use crate::protocol::json::decode_whole;

/// Error 104 as the server API words it.
pub(super) const NOT_FOUND: Error =
    Error { code: 104, message: std::borrow::Cow::Borrowed("not found"), temporary: false };

/// The names of all methods: each is a path below the prefix of the API.
pub fn methods() -> impl Iterator<Item = &'static str> {
    all().map(Api::name)
}

/// The method with this name.
pub(super) fn by_name(name: &str) -> Option<Api> {
    all().find(|api| api.name() == name)
}

fn all() -> impl Iterator<Item = Api> {
    Api::ALL.iter().copied().filter(|api| !matches!(api, Api::BroadcastPublish | Api::Unknown))
}

/// Decodes the body of a method and checks it. `batch` and the names that are no methods have no step.
pub(super) fn prepare(cx: &mut ApiCx<'_>, method: Api, body: &[u8]) -> Result<Step, Malformed> {
    Ok(match method {
        Api::Publish => publish::publish(cx, &decode_whole(body)?),
        Api::Broadcast => publish::broadcast(cx, &decode_whole(body)?),
        Api::Subscribe => sessions::subscribe(cx, &decode_whole(body)?),
        Api::Unsubscribe => sessions::unsubscribe(cx, &decode_whole(body)?),
        Api::Disconnect => sessions::disconnect(&decode_whole(body)?),
        Api::Refresh => sessions::refresh(&decode_whole(body)?),
        Api::Presence => presence::presence(cx, &decode_whole(body)?),
        Api::PresenceStats => presence::presence_stats(cx, &decode_whole(body)?),
        Api::History => history::history(cx, &decode_whole(body)?),
        Api::HistoryRemove => history::history_remove(cx, &decode_whole(body)?),
        Api::Info => info::info(&decode_whole(body)?),
        Api::Rpc => rpc::rpc(&decode_whole(body)?),
        Api::Channels => channels::channels(&decode_whole(body)?),
        Api::MapPublish => maps::publish(cx, &decode_whole(body)?).into(),
        Api::MapRemove => maps::remove(cx, &decode_whole(body)?).into(),
        Api::MapReadState => maps::read_state(cx, &decode_whole(body)?).into(),
        Api::MapReadStream => maps::read_stream(cx, &decode_whole(body)?).into(),
        Api::MapStats => maps::stats(cx, &decode_whole(body)?).into(),
        Api::MapClear => maps::clear(cx, &decode_whole(body)?).into(),
        Api::SharedPollPublish => maps::shared_poll_publish(cx, &decode_whole(body)?).into(),
        Api::Batch | Api::BroadcastPublish | Api::Unknown => Step::Failed(NOT_FOUND),
    })
}

/// Checks a command of a batch. Of several methods in one the first counts, in upstream's order of looking.
pub(super) fn prepare_command(cx: &mut ApiCx<'_>, command: &Command<'_>) -> (Api, Step) {
    macro_rules! first {
        ($($field:ident: $api:ident, $step:expr;)*) => {
            $(if let Some($field) = &command.$field {
                return (Api::$api, $step);
            })*
        };
    }
    first! {
        publish: Publish, publish::publish(cx, publish);
        broadcast: Broadcast, publish::broadcast(cx, broadcast);
        subscribe: Subscribe, sessions::subscribe(cx, subscribe);
        unsubscribe: Unsubscribe, sessions::unsubscribe(cx, unsubscribe);
        disconnect: Disconnect, sessions::disconnect(disconnect);
        history: History, history::history(cx, history);
        history_remove: HistoryRemove, history::history_remove(cx, history_remove);
        presence: Presence, presence::presence(cx, presence);
        presence_stats: PresenceStats, presence::presence_stats(cx, presence_stats);
        info: Info, info::info(info);
        rpc: Rpc, rpc::rpc(rpc);
        refresh: Refresh, sessions::refresh(refresh);
        channels: Channels, channels::channels(channels);
        map_publish: MapPublish, maps::publish(cx, map_publish).into();
        map_remove: MapRemove, maps::remove(cx, map_remove).into();
        map_read_state: MapReadState, maps::read_state(cx, map_read_state).into();
        map_read_stream: MapReadStream, maps::read_stream(cx, map_read_stream).into();
        map_stats: MapStats, maps::stats(cx, map_stats).into();
        map_clear: MapClear, maps::clear(cx, map_clear).into();
        shared_poll_publish: SharedPollPublish, maps::shared_poll_publish(cx, shared_poll_publish).into();
    }
    (Api::Unknown, Step::Failed(NOT_FOUND))
}
