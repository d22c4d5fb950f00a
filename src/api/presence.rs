//! `presence` and `presence_stats` (upstream: internal/api/api.go).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::vec::IntoIter;

use super::request::ApiCx;
use super::step::{Outcome, Step, Wait, ask, options, write};
use crate::channel::op::{Answer, Op};
use crate::channel::publication;
use crate::protocol::api::{ClientInfo, PresenceRequest, PresenceResult, PresenceStatsRequest, PresenceStatsResult};
use crate::protocol::error::Error;
use crate::protocol::json::write::{Style, Writer};

/// So many clients are written in the turn in which they come.
const AT_ONCE: usize = 256;

pub(super) fn presence(cx: &mut ApiCx<'_>, request: &PresenceRequest<'_>) -> Step {
    with_presence(cx, &request.channel, Op::Presence, Wait::Presence(Box::default()))
}

/// Who is present, on the way into the response. Few go at once; of many, so many a turn are put in order, and then
/// written.
#[derive(Debug, Default)]
pub(super) struct Present {
    came: IntoIter<Arc<publication::ClientInfo>>,
    /// By client; ids as text have the same order.
    sorted: BTreeMap<[u8; 16], Arc<publication::ClientInfo>>,
    has_begun: bool,
}

impl Present {
    /// Takes the answer. The outcome when it is short.
    pub(super) fn take(&mut self, answer: Answer, out: &mut Vec<u8>) -> Option<Outcome> {
        let Answer::Presence(clients) = answer else { return Some(Err(Error::INTERNAL.into())) };
        if clients.len() > AT_ONCE {
            self.came = clients.into_iter();
            return None;
        }
        let mut presence: Vec<_> = clients
            .iter()
            .map(|info| {
                let info = ClientInfo::of(info);
                (info.client.clone(), info)
            })
            .collect();
        presence.sort_by(|a, b| a.0.cmp(&b.0));
        Some(write(&PresenceResult { presence }, out))
    }

    /// Whether [`Present::write`] is to be called.
    pub(super) fn goes_on(&self) -> bool {
        !self.came.as_slice().is_empty() || !self.sorted.is_empty()
    }

    /// Goes on with so many clients. The outcome when all are written.
    pub(super) fn write(&mut self, budget: &mut usize, out: &mut Vec<u8>) -> Option<Outcome> {
        while *budget > 0
            && let Some(info) = self.came.next()
        {
            *budget -= 1;
            self.sorted.insert(info.client.0, info);
        }
        if *budget > 0 && !std::mem::replace(&mut self.has_begun, true) {
            out.extend_from_slice(b"{\"presence\":{");
        }
        while *budget > 0 {
            let Some((_, info)) = self.sorted.pop_first() else {
                out.extend_from_slice(b"}}");
                return Some(Ok(()));
            };
            *budget -= 1;
            let info = ClientInfo::of(&info);
            let mut writer = Writer::new(out, Style::Api);
            writer.comma(b'{');
            writer.string(&info.client);
            writer.token(":");
            if let Err(failed) = write(&info, out) {
                return Some(Err(failed));
            }
        }
        None
    }
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::base::ids::ClientId;

    #[test]
    fn many_are_written_in_pieces() {
        for count in [0, 1, AT_ONCE, AT_ONCE + 1, 4 * AT_ONCE] {
            let info = |n: usize| publication::ClientInfo {
                user: n.to_string().into(),
                client: ClientId(std::array::from_fn(|at| ((n * 31) >> at) as u8)),
                conn_info: if n.is_multiple_of(2) { Bytes::from_static(b"{}") } else { Bytes::new() },
                chan_info: Bytes::new(),
            };
            let infos: Vec<_> = (0..count).map(|n| Arc::new(info(n))).collect();
            let mut presence: Vec<_> = infos.iter().map(|info| ClientInfo::of(info)).collect();
            presence.sort_by(|a, b| a.client.cmp(&b.client));
            let presence = presence.into_iter().map(|info| (info.client.clone(), info)).collect();
            let mut expected = Vec::new();
            write(&PresenceResult { presence }, &mut expected).unwrap();
            let (mut present, mut out, mut turns) = (Present::default(), Vec::new(), 0);
            if present.take(Answer::Presence(infos.clone()), &mut out).is_none() {
                assert!(present.goes_on());
                while present.write(&mut 100, &mut out).is_none() {
                    turns += 1;
                }
            }
            assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&expected));
            // Each is put in order, and written.
            assert_eq!(turns, if count > AT_ONCE { 2 * count / 100 } else { 0 });
        }
    }
}
