//! How the metrics name what a session receives and sends.

use crate::metrics::labels::{Command, Frame, Transport};
use crate::protocol::client::{self, Push, Reply};

/// A bidirectional WebSocket is the only transport yet.
pub(super) const TRANSPORT: Transport = Transport::WebSocket;

/// What the command asks for. With several requests in it, the one that counts for upstream (centrifuge client.go
/// `dispatchCommand`).
pub(super) fn method_of(command: &client::Command<'_>) -> Command {
    let asked = [
        (command.connect.is_some(), Command::Connect),
        (command.subscribe.is_some(), Command::Subscribe),
        (command.unsubscribe.is_some(), Command::Unsubscribe),
        (command.publish.is_some(), Command::Publish),
        (command.presence.is_some(), Command::Presence),
        (command.presence_stats.is_some(), Command::PresenceStats),
        (command.history.is_some(), Command::History),
        (command.rpc.is_some(), Command::Rpc),
        (command.send.is_some(), Command::Send),
        (command.refresh.is_some(), Command::Refresh),
        (command.sub_refresh.is_some(), Command::SubRefresh),
    ];
    asked.into_iter().find(|(is_asked, _)| *is_asked).map_or(Command::Unknown, |(_, command)| command)
}

/// What a reply that is no error holds.
pub(super) fn frame_of(reply: &Reply<'_>) -> Frame {
    if let Some(push) = &reply.push {
        return frame_of_push(push);
    }
    let held = [
        (reply.connect.is_some(), Frame::Connect),
        (reply.subscribe.is_some(), Frame::Subscribe),
        (reply.unsubscribe.is_some(), Frame::Unsubscribe),
        (reply.publish.is_some(), Frame::Publish),
        (reply.presence.is_some(), Frame::Presence),
        (reply.presence_stats.is_some(), Frame::PresenceStats),
        (reply.history.is_some(), Frame::History),
        (reply.refresh.is_some(), Frame::Refresh),
        (reply.sub_refresh.is_some(), Frame::SubRefresh),
    ];
    held.into_iter().find(|(is_held, _)| *is_held).map_or(Frame::Unknown, |(_, frame)| frame)
}

/// Publications, joins and leaves are not pushed by sessions.
fn frame_of_push(push: &Push<'_>) -> Frame {
    if push.unsubscribe.is_some() {
        Frame::PushUnsubscribe
    } else if push.subscribe.is_some() {
        Frame::PushSubscribe
    } else if push.refresh.is_some() {
        Frame::PushRefresh
    } else {
        Frame::Unknown
    }
}
