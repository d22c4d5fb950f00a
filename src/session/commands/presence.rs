//! `presence` and `presence_stats`.

use super::options_of;
use crate::channel::op::{Answer, Op};
use crate::protocol::client::{ClientInfo, PresenceResult, PresenceStatsResult, Reply};
use crate::protocol::error::Error;
use crate::session::Cx;
use crate::session::state::{Outcome, Pending, Session, name_of};

impl Session {
    pub(super) fn presence(&mut self, cx: &mut Cx<'_>, id: u32, channel: &str) -> Outcome {
        self.ask_for_presence(cx, channel, Op::Presence, Pending::Presence { id })
    }

    pub(super) fn presence_stats(&mut self, cx: &mut Cx<'_>, id: u32, channel: &str) -> Outcome {
        self.ask_for_presence(cx, channel, Op::PresenceStats, Pending::PresenceStats { id })
    }

    fn ask_for_presence(&mut self, cx: &mut Cx<'_>, channel: &str, op: Op, pending: Pending) -> Outcome {
        let options = options_of(cx, channel)?;
        if !options.presence {
            return Err(Error::NOT_AVAILABLE.into());
        }
        let local = cx.hub.find(channel);
        if !self.claim(cx, local).may_see_presence(options) {
            return Err(Error::PERMISSION_DENIED.into());
        }
        let name = name_of(cx, local, channel);
        self.wait_for(cx, name, op, pending);
        Ok(())
    }

    pub(in crate::session) fn on_presence(&mut self, cx: &mut Cx<'_>, id: u32, answer: Answer) -> Outcome {
        let present = match answer {
            Answer::Presence(present) => present,
            Answer::Failed(error) => return Err(error.into()),
            _ => return Err(Error::INTERNAL.into()),
        };
        let entries = present.iter().map(|info| {
            let shown = ClientInfo::of(info);
            (shown.client.clone(), shown)
        });
        let result = PresenceResult { presence: entries.collect() };
        self.send(cx, &Reply { id, presence: Some(Box::new(result)), ..Reply::default() });
        Ok(())
    }

    pub(in crate::session) fn on_presence_stats(&mut self, cx: &mut Cx<'_>, id: u32, answer: Answer) -> Outcome {
        let result = match answer {
            Answer::PresenceStats { clients, users } => PresenceStatsResult { num_clients: clients, num_users: users },
            Answer::Failed(error) => return Err(error.into()),
            _ => return Err(Error::INTERNAL.into()),
        };
        self.send(cx, &Reply { id, presence_stats: Some(result), ..Reply::default() });
        Ok(())
    }
}
