//! What the server API does to sessions and asks of nodes, as control messages and back.

use std::borrow::Cow;

use bytes::Bytes;

use crate::api::{Control, Target};
use crate::base::glob::Glob;
use crate::base::ids::ClientId;
use crate::channel::name::ChannelName;
use crate::channel::op::Since;
use crate::protocol::api::{ChannelsRequest, ChannelsResult};
use crate::protocol::client::StreamPosition;
use crate::protocol::control::{self, Command};
use crate::protocol::disconnect::{Disconnect, Unsubscribe};
use crate::protocol::proto;
use crate::protocol::raw::Raw;
use crate::session::{ServerSubscribe, SessionControl};

/// The question which channels there are (upstream: internal/survey).
const CHANNELS: &str = "channels";

/// Codes of answers to questions (upstream: internal/survey).
const INVALID_REQUEST: u32 = 2;
const METHOD_NOT_FOUND: u32 = 3;

/// Without the id of this node.
pub(super) fn of_sessions<'c>(target: &'c Target, told: &'c SessionControl) -> Command<'c> {
    let (user, session) = (Cow::Borrowed(&*target.user), Cow::Borrowed(&*target.session));
    let client: Cow<'_, str> = target.client.map_or(Cow::Borrowed(""), |client| Cow::Owned(client.to_string()));
    let raw = |bytes: &'c Bytes| Raw(Cow::Borrowed(&bytes[..]));
    match told {
        SessionControl::Disconnect(disconnect) => {
            let told = control::Disconnect {
                user,
                client,
                session,
                whitelist: target.whitelist.iter().map(|client| client.to_string().into()).collect(),
                code: disconnect.code.into(),
                reason: Cow::Borrowed(&disconnect.reason),
                ..Default::default()
            };
            Command { disconnect: Some(Box::new(told)), ..Command::default() }
        }
        SessionControl::Unsubscribe { channel, unsubscribe } => {
            let told = control::Unsubscribe {
                user,
                client,
                session,
                channel: Cow::Borrowed(channel),
                code: unsubscribe.code,
                reason: Cow::Borrowed(&unsubscribe.reason),
                ..Default::default()
            };
            Command { unsubscribe: Some(Box::new(told)), ..Command::default() }
        }
        SessionControl::Subscribe(wanted) => {
            let since = wanted.recover_since.as_ref();
            let told = control::Subscribe {
                user,
                client,
                session,
                channel: Cow::Borrowed(&wanted.channel),
                emit_presence: wanted.presence,
                emit_join_leave: wanted.join_leave,
                push_join_leave: wanted.push_join_leave,
                position: wanted.positioned,
                recover: wanted.recoverable,
                recover_since: since
                    .map(|since| StreamPosition { offset: since.offset, epoch: Cow::Borrowed(&since.epoch) }),
                expire_at: wanted.expire_at,
                channel_info: raw(&wanted.info),
                data: raw(&wanted.data),
                ..Default::default()
            };
            Command { subscribe: Some(Box::new(told)), ..Command::default() }
        }
        SessionControl::Refresh { expired, expire_at, info } => {
            let told = control::Refresh {
                user,
                client,
                session,
                expired: *expired,
                expire_at: *expire_at,
                info: raw(info),
                ..Default::default()
            };
            Command { refresh: Some(Box::new(told)), ..Command::default() }
        }
    }
}

/// What a command does to sessions of this node. None when it is not about sessions, or about none that there can be:
/// clients that are not ours, or those of all users (an edition of the reference has labels for those).
pub(super) fn to_sessions(command: &Command<'_>) -> Option<Control> {
    let bytes = |raw: &Raw<'_>| Bytes::copy_from_slice(raw.as_bytes());
    let (target, told) = if let Some(told) = &command.disconnect {
        let target = Target {
            whitelist: told.whitelist.iter().filter_map(|client| ClientId::parse(client)).collect(),
            ..target(&told.user, &told.client, &told.session, told.all_users)?
        };
        let reason = told.reason.to_string().into();
        (target, SessionControl::Disconnect(Disconnect { code: told.code as u16, reason }))
    } else if let Some(told) = &command.unsubscribe {
        let unsubscribe = Unsubscribe { code: told.code, reason: told.reason.to_string().into() };
        let told_session = SessionControl::Unsubscribe { channel: (*told.channel).into(), unsubscribe };
        (target(&told.user, &told.client, &told.session, told.all_users)?, told_session)
    } else if let Some(told) = &command.subscribe {
        let since = told.recover_since.as_ref();
        let wanted = ServerSubscribe {
            channel: (*told.channel).into(),
            presence: told.emit_presence,
            join_leave: told.emit_join_leave,
            push_join_leave: told.push_join_leave,
            positioned: told.position,
            recoverable: told.recover,
            recover_since: since.map(|since| Since { offset: since.offset, epoch: (*since.epoch).into() }),
            expire_at: told.expire_at,
            info: bytes(&told.channel_info),
            data: bytes(&told.data),
        };
        let told_session = SessionControl::Subscribe(Box::new(wanted));
        (target(&told.user, &told.client, &told.session, told.all_users)?, told_session)
    } else if let Some(told) = &command.refresh {
        let (expired, expire_at, info) = (told.expired, told.expire_at, bytes(&told.info));
        let told_session = SessionControl::Refresh { expired, expire_at, info };
        (target(&told.user, &told.client, &told.session, told.all_users)?, told_session)
    } else {
        return None;
    };
    Some(Control::Sessions(target, Some(told)))
}

fn target(user: &str, client: &str, session: &str, all_users: bool) -> Option<Target> {
    if user.is_empty() && all_users {
        return None;
    }
    let client = if client.is_empty() { None } else { Some(ClientId::parse(client)?) };
    Some(Target { user: user.into(), client, session: session.into(), whitelist: Box::default() })
}

/// Asks for channels that fit the pattern; for all when it is empty.
pub(super) fn channels_request<'c>(uid: &'c str, id: u64, pattern: &'c str) -> Command<'c> {
    let mut data = Vec::new();
    proto::encode(&ChannelsRequest { pattern: pattern.into() }, &mut data);
    let request = control::SurveyRequest { id, op: CHANNELS.into(), data: Raw(data.into()) };
    Command { uid: uid.into(), survey_request: Some(request), ..Command::default() }
}

/// The pattern that is asked for.
///
/// # Errors
/// The code of the answer.
pub(super) fn pattern_of(request: &control::SurveyRequest<'_>) -> Result<Option<Glob>, u32> {
    if request.op != CHANNELS {
        return Err(METHOD_NOT_FOUND);
    }
    let asked: ChannelsRequest<'_> = proto::decode(request.data.as_bytes()).map_err(|_| INVALID_REQUEST)?;
    match &*asked.pattern {
        "" => Ok(None),
        pattern => Glob::new(pattern).map(Some).map_err(|_| INVALID_REQUEST),
    }
}

/// An answer to a question of another node.
pub(super) fn response<'c>(uid: &'c str, id: u64, code: u32, data: &'c [u8]) -> Command<'c> {
    let response = control::SurveyResponse { id, code, data: Raw(data.into()) };
    Command { uid: uid.into(), survey_response: Some(response), ..Command::default() }
}

/// The channels in an answer of another node, or in a piece of it. None when it cannot be understood.
pub(super) fn channels_of(answer: &[u8]) -> Option<Vec<(ChannelName, u32)>> {
    let result: ChannelsResult<'_> = proto::decode(answer).ok()?;
    Some(result.channels.iter().map(|(name, info)| (ChannelName::new(name), info.num_clients)).collect())
}
