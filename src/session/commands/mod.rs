//! The commands of the client protocol, one module each, and how a command finds its own (upstream: centrifuge
//! client.go `dispatchCommand`).

pub(super) mod connect;
mod connect_plan;
mod history;
mod presence;
mod publish;
mod publish_map;
mod refresh;
mod sub_refresh;
mod subscribe;
mod subscribe_map;
mod subscribe_poll;
mod track;
mod unsubscribe;

use super::Cx;
use super::permissions::Claim;
use super::state::{Outcome, Session};
use crate::channel::rules;
use crate::config::snapshot::ChannelOptions;
use crate::fanout::hub::LocalChannel;
use crate::protocol::client::Command;
use crate::protocol::disconnect::Disconnect;
use crate::protocol::error::Error;

/// `PublishRequest.type` of a map publication.
const MAP_PUBLICATION: i32 = 1;

impl Session {
    pub(super) fn dispatch(&mut self, cx: &mut Cx<'_>, command: Command<'_>) -> Outcome {
        let id = command.id;
        // A ping may not come alone, and beside another request it is the ping that is refused.
        let has_other = command.subscribe.is_some()
            || command.unsubscribe.is_some()
            || command.publish.is_some()
            || command.presence.is_some()
            || command.presence_stats.is_some()
            || command.history.is_some()
            || command.rpc.is_some()
            || command.send.is_some()
            || command.refresh.is_some()
            || command.sub_refresh.is_some();
        if let Some(request) = command.connect {
            self.connect(cx, id, *request)
        } else if command.ping.is_some() && has_other {
            Err(Error::NOT_AVAILABLE.into())
        } else if let Some(request) = command.subscribe {
            self.subscribe(cx, id, &request)
        } else if let Some(request) = command.unsubscribe {
            self.unsubscribe_by_client(cx, id, &request.channel)
        } else if let Some(request) = command.publish {
            match request.r#type {
                MAP_PUBLICATION => self.publish_to_map(cx, id, &request),
                _ => self.publish(cx, id, &request),
            }
        } else if let Some(request) = command.presence {
            self.presence(cx, id, &request.channel)
        } else if let Some(request) = command.presence_stats {
            self.presence_stats(cx, id, &request.channel)
        } else if let Some(request) = command.history {
            self.history(cx, id, &request)
        } else if command.rpc.is_some() {
            // Only proxies serve calls.
            Err(Error::NOT_AVAILABLE.into())
        } else if command.send.is_some() {
            Err(Disconnect::NOT_AVAILABLE.into())
        } else if let Some(request) = command.refresh {
            self.refresh(cx, id, &request.token)
        } else if let Some(request) = command.sub_refresh {
            self.sub_refresh(cx, id, &request)
        } else {
            Err(Disconnect::BAD_REQUEST.into())
        }
    }

    /// What the flags of a channel's namespace are held against.
    fn claim(&self, cx: &Cx<'_>, channel: Option<LocalChannel>) -> Claim {
        Claim {
            is_anonymous: self.user().is_empty(),
            is_subscriber: self.is_subscribed(channel),
            is_insecure: cx.config.client.insecure,
        }
    }
}

/// The options of the channel that a command names, when its name is one that a client may use.
fn options_of<'c>(cx: &Cx<'c>, channel: &str) -> Result<&'c ChannelOptions, super::state::Refusal> {
    if channel.is_empty() {
        return Err(Disconnect::BAD_REQUEST.into());
    }
    let channels = &cx.config.channel;
    let options = rules::options(channels, channel).ok_or(Error::UNKNOWN_CHANNEL)?;
    if !rules::is_valid_name(channels, options, channel) {
        return Err(Error::BAD_REQUEST.into());
    }
    Ok(options)
}
