//! The legacy route: a body of `{"id","method","params"}` objects (upstream: internal/api/handler_legacy.go).

use super::method::{NOT_FOUND, by_name, prepare};
use super::request::ApiCx;
use super::step::Step;
use crate::metrics::labels::Api;
use crate::protocol::error::Error;
use crate::protocol::json::decode_whole;
use crate::protocol::json::scan::Scanner;
use crate::protocol::message::message;
use crate::protocol::raw::Raw;

message! {
    /// A command.
    LegacyCommand<'a> {
        /// Echoed in the reply.
        id: uint32 = 1,
        /// A name as text, or its number.
        method: bytes = 2,
        /// The body the method has on its own route.
        params: bytes = 3,
    }
}

/// The commands of a body up to the first that could not be decoded.
#[derive(Debug, Default)]
pub(super) struct Commands {
    pub(super) ids: Vec<u32>,
    pub(super) steps: Vec<(Api, Step)>,
    /// Something could not be decoded.
    pub(super) is_cut: bool,
}

/// Numbers of methods, by which old callers name them; 13 and those of the paid edition are missing.
const NUMBERED: [(u32, Api); 20] = [
    (0, Api::Publish),
    (1, Api::Broadcast),
    (2, Api::Unsubscribe),
    (3, Api::Disconnect),
    (4, Api::Presence),
    (5, Api::PresenceStats),
    (6, Api::History),
    (7, Api::HistoryRemove),
    (8, Api::Channels),
    (9, Api::Info),
    (10, Api::Rpc),
    (11, Api::Subscribe),
    (12, Api::Refresh),
    (33, Api::MapPublish),
    (34, Api::MapRemove),
    (35, Api::MapReadState),
    (36, Api::MapReadStream),
    (37, Api::MapStats),
    (38, Api::MapClear),
    (39, Api::SharedPollPublish),
];

/// Names of the paid edition, which are known and answered with 104.
const PAID: &[&str] = &[
    "connections",
    "update_user_status",
    "get_user_status",
    "delete_user_status",
    "block_user",
    "unblock_user",
    "revoke_token",
    "invalidate_user_tokens",
    "device_register",
    "device_update",
    "device_remove",
    "device_list",
    "device_topic_list",
    "device_topic_update",
    "user_topic_list",
    "user_topic_update",
    "send_push_notification",
    "update_push_status",
    "cancel_push",
];

/// Decodes and checks the commands.
pub(super) fn prepare_all(cx: &mut ApiCx<'_>, body: &[u8]) -> Commands {
    let mut commands = Commands::default();
    let mut scan = Scanner::new(body);
    loop {
        scan.blanks();
        if scan.end().is_ok() {
            return commands;
        }
        let Some((id, method, params)) = scan.raw().ok().and_then(decode) else {
            commands.is_cut = true;
            return commands;
        };
        let step = match method {
            // The parameters of this one are not looked at.
            Some(Api::Info) => prepare(cx, Api::Info, b"{}"),
            Some(method) => prepare(cx, method, params.as_bytes()),
            None => Ok(Step::Failed(NOT_FOUND)),
        };
        commands.ids.push(id);
        commands.steps.push((method.unwrap_or(Api::Unknown), step.unwrap_or(Step::Failed(Error::BAD_REQUEST))));
    }
}

/// Id, method (none: one that is known and does not exist here) and parameters.
fn decode(command: &[u8]) -> Option<(u32, Option<Api>, Raw<'_>)> {
    let command: LegacyCommand<'_> = decode_whole(command).ok()?;
    let method = match command.method.as_bytes() {
        b"" => Some(Api::Publish),
        [b'"', name @ .., b'"'] => {
            let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
            match by_name(&name).filter(|method| *method != Api::Batch) {
                Some(method) => Some(method),
                None if PAID.contains(&&*name) => None,
                None => return None,
            }
        }
        number => {
            let number: i64 = std::str::from_utf8(number).ok()?.parse().ok()?;
            NUMBERED.iter().find(|(known, _)| i64::from(*known) == number).map(|(_, method)| *method)
        }
    };
    Some((command.id, method, command.params))
}
