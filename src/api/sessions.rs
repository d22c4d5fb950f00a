//! `subscribe`, `unsubscribe`, `disconnect` and `refresh`: what is done to a user's connections (upstream:
//! internal/api/api.go, centrifuge node.go).

use bytes::Bytes;

use super::control::{Control, ControlAnswer, Target};
use super::publish::payload;
use super::request::ApiCx;
use super::step::{Outcome, Step, Wait, options};
use crate::base::ids::ClientId;
use crate::channel::op::Since;
use crate::protocol::api::{BoolValue, DisconnectRequest, RefreshRequest, SubscribeRequest, UnsubscribeRequest};
use crate::protocol::disconnect::{Disconnect, Unsubscribe};
use crate::protocol::error::Error;
use crate::session::{ServerSubscribe, SessionControl};

const NOTHING: &[u8] = b"{}";

/// Waits until every shard has told its sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    matched: u32,
    /// The request can be served for no session, so it fails when there is one.
    is_hopeless: bool,
    /// Other nodes could not be told.
    has_failed: bool,
}

impl Sessions {
    pub(super) fn add(&mut self, answer: ControlAnswer) {
        match answer {
            ControlAnswer::Sessions(matched) => self.matched += matched,
            ControlAnswer::Failed => self.has_failed = true,
            _ => {}
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Outcome {
        if self.has_failed || self.is_hopeless && self.matched > 0 {
            return Err(Error::INTERNAL.into());
        }
        out.extend_from_slice(NOTHING);
        Ok(())
    }
}

pub(super) fn subscribe(cx: &mut ApiCx<'_>, request: &SubscribeRequest<'_>) -> Step {
    check_subscribe(cx, request).into()
}

fn check_subscribe(cx: &ApiCx<'_>, request: &SubscribeRequest<'_>) -> Result<Step, Error> {
    let options = options(cx, &request.channel)?;
    let data = payload(&request.data, &request.b64data)?;
    let info = payload(&request.info, &request.b64info)?;
    let override_ = request.r#override.clone().unwrap_or_default();
    let or = |wanted: Option<BoolValue>, option: bool| wanted.map_or(option, |wanted| wanted.value);
    let recover_since = request.recover_since.as_ref();
    let subscribe = ServerSubscribe {
        channel: Box::from(&*request.channel),
        presence: or(override_.presence, options.presence),
        join_leave: or(override_.join_leave, options.join_leave),
        push_join_leave: or(override_.force_push_join_leave, options.force_push_join_leave),
        positioned: or(override_.force_positioning, options.force_positioning),
        recoverable: or(override_.force_recovery, options.force_recovery),
        recover_since: recover_since.map(|since| Since { offset: since.offset, epoch: Box::from(&*since.epoch) }),
        expire_at: request.expire_at,
        info,
        data,
    };
    // A subscription that is over already fails for every session (upstream: 100, see `centrifuge.ErrorExpired`).
    let is_hopeless = request.expire_at != 0 && request.expire_at <= cx.now.unix_s();
    let what = (!is_hopeless).then(|| SessionControl::Subscribe(Box::new(subscribe)));
    Ok(tell(target(&request.user, &request.client, &request.session), what, is_hopeless))
}

pub(super) fn unsubscribe(cx: &mut ApiCx<'_>, request: &UnsubscribeRequest<'_>) -> Step {
    if !request.channel.is_empty()
        && let Err(error) = options(cx, &request.channel)
    {
        return Step::Failed(error);
    }
    let what = SessionControl::Unsubscribe { channel: Box::from(&*request.channel), unsubscribe: Unsubscribe::SERVER };
    tell(target(&request.user, &request.client, &request.session), Some(what), false)
}

pub(super) fn disconnect(request: &DisconnectRequest<'_>) -> Step {
    let disconnect = request.disconnect.as_ref().map_or(Disconnect::FORCE_NO_RECONNECT, |disconnect| Disconnect {
        // A close frame holds 16 bits; upstream cuts off the rest as well.
        code: disconnect.code as u16,
        reason: disconnect.reason.to_string().into(),
    });
    let target = target(&request.user, &request.client, &request.session).map(|target| Target {
        whitelist: request.whitelist.iter().filter_map(|client| client_id(client)).collect(),
        ..target
    });
    tell(target, Some(SessionControl::Disconnect(disconnect)), false)
}

pub(super) fn refresh(request: &RefreshRequest<'_>) -> Step {
    let what = SessionControl::Refresh {
        expired: request.expired,
        expire_at: request.expire_at,
        info: Bytes::copy_from_slice(request.info.as_bytes()),
    };
    tell(target(&request.user, &request.client, &request.session), Some(what), false)
}

/// None when no session can be meant: the client id is not one of ours.
fn target(user: &str, client: &str, session: &str) -> Option<Target> {
    let client = if client.is_empty() { None } else { Some(client_id(client)?) };
    Some(Target { user: user.into(), client, session: session.into(), whitelist: Box::default() })
}

/// A client id as the server writes it; other spellings of the same id name nobody, as upstream compares text.
fn client_id(text: &str) -> Option<ClientId> {
    ClientId::parse(text).filter(|id| id.write(&mut [0; 36]) == text)
}

fn tell(target: Option<Target>, what: Option<SessionControl>, is_hopeless: bool) -> Step {
    match target {
        Some(target) => Step::Survey(
            Control::Sessions(target, what),
            Wait::Sessions(Sessions { is_hopeless, ..Sessions::default() }),
        ),
        None => Step::Done(NOTHING.to_vec()),
    }
}
