//! `presence` and `presence_stats` (upstream: internal/api/api.go).

use super::request::ApiCx;
use super::step::{Outcome, Step, Wait, ask, options, write};
use crate::channel::op::{Answer, Op};
use crate::protocol::api::{ClientInfo, PresenceRequest, PresenceResult, PresenceStatsRequest, PresenceStatsResult};
use crate::protocol::error::Error;

pub(super) fn presence(cx: &mut ApiCx<'_>, request: &PresenceRequest<'_>) -> Step {
    with_presence(cx, &request.channel, Op::Presence, Wait::Presence)
}

pub(super) fn present(answer: Answer, out: &mut Vec<u8>) -> Outcome {
    let Answer::Presence(clients) = answer else {
        return Err(Error::INTERNAL.into());
    };
    let mut presence: Vec<_> = clients
        .iter()
        .map(|info| {
            let info = ClientInfo::of(info);
            (info.client.clone(), info)
        })
        .collect();
    presence.sort_by(|a, b| a.0.cmp(&b.0));
    write(&PresenceResult { presence }, out)
}

pub(super) fn presence_stats(cx: &mut ApiCx<'_>, request: &PresenceStatsRequest<'_>) -> Step {
    with_presence(cx, &request.channel, Op::PresenceStats, Wait::PresenceStats)
}

pub(super) fn counted(answer: Answer, out: &mut Vec<u8>) -> Outcome {
    let Answer::PresenceStats { clients, users } = answer else {
        return Err(Error::INTERNAL.into());
    };
    write(&PresenceStatsResult { num_clients: clients, num_users: users }, out)
}

fn with_presence(cx: &ApiCx<'_>, channel: &str, op: Op, wait: Wait) -> Step {
    match options(cx, channel) {
        Ok(options) if options.presence => ask(channel, op, wait),
        Ok(_) => Step::Failed(Error::NOT_AVAILABLE),
        Err(error) => Step::Failed(error),
    }
}
