//! What every shard lists for calls of the server API: channels, users, numbers. A bounded piece a turn.

use super::{Ask, Engine, SURVEY_BUDGET};
use crate::api::control::{Control, ControlAnswer, ShardInfo};
use crate::channel::broker_op::Realm;
use crate::channel::name::hash_of;
use crate::config::snapshot;

/// An [`Ask`] that is being answered. Tables are gone through by slot: what comes or goes meanwhile may be in the
/// answer or not, and what stays is in it once. (A user whose first connection ends meanwhile may be missed: another
/// connection takes its place, perhaps in a slot that was looked at before.)
pub(super) struct Survey {
    ask: Ask,
    next: u32,
}

impl Engine {
    pub(super) fn begin_survey(&mut self, ask: Ask) {
        let is_listing = matches!(*ask.control, Control::Channels { .. }) || self.shards > 1;
        if is_listing {
            self.surveys.push_back(Survey { ask, next: 0 });
        } else {
            self.finish_survey(&ask);
        }
    }

    /// Lists on. True when more is left for the next turn.
    pub(super) fn run_surveys(&mut self) -> bool {
        let mut budget = SURVEY_BUDGET as u32;
        // Pieces that cannot be handed over would pile up; whoever makes room for them wakes this shard.
        while budget > 0 && !self.port.control_congested() {
            let Some(mut survey) = self.surveys.pop_front() else { return false };
            let from = survey.next;
            let (piece, slots) = self.piece(&survey, budget);
            survey.next = from.saturating_add(budget).min(slots);
            budget -= (survey.next - from).clamp(1, budget);
            if piece.weight() > 1 {
                self.reply(&survey.ask, piece);
            }
            if survey.next >= slots {
                self.finish_survey(&survey.ask);
            } else {
                self.surveys.push_back(survey);
            }
        }
        !self.surveys.is_empty() && !self.port.control_congested()
    }

    /// What stands in the next slots, and how many slots there are.
    fn piece(&self, survey: &Survey, slots: u32) -> (ControlAnswer, u32) {
        let range = survey.next..survey.next.saturating_add(slots);
        match &*survey.ask.control {
            Control::Channels { pattern, .. } => {
                let fits = |name: &str| pattern.as_ref().is_none_or(|pattern| pattern.matches(name));
                let found = range.filter_map(|slot| self.hub.channel_at(slot)).filter(|(_, count)| *count > 0);
                let fitting = found.filter(|(name, _)| fits(name.as_str()));
                let piece = fitting.map(|(name, count)| (name.clone(), count as u32)).collect();
                (ControlAnswer::Channels(piece), self.hub.slots())
            }
            Control::Sessions(..) | Control::Info | Control::Metrics => {
                let conns = range.filter_map(|slot| self.conns.peek(slot));
                let first = conns.filter(|conn| conn.is_indexed && conn.user_place == 0);
                (ControlAnswer::Users(first.map(|conn| hash_of(conn.session.user())).collect()), self.conns.slots())
            }
        }
    }

    fn finish_survey(&mut self, ask: &Ask) {
        let answer = match &*ask.control {
            Control::Channels { .. } => ControlAnswer::Listed,
            Control::Info => {
                let interval = self.interval.ends().cloned();
                ControlAnswer::Info(Box::new(ShardInfo { interval, ..self.info() }))
            }
            Control::Metrics => {
                self.metrics.outbox(self.pool.owed());
                self.metrics.polls().are(self.homes.polled_channels(), self.homes.polled_keys());
                self.metrics.channels(self.listed_channels());
                if let (Some(broker), snapshot::Broker::Redis(_)) = (&self.broker, &self.config.broker) {
                    self.metrics.redis(Realm::Streams).waits(broker.waiting());
                }
                if let (Some(broker), snapshot::Maps::Redis(maps)) = (&self.broker, &self.config.maps)
                    && maps.is_told
                {
                    self.metrics.redis(Realm::Maps).waits(broker.waiting());
                }
                let metrics = Some(Box::new(self.metrics.clone()));
                ControlAnswer::Info(Box::new(ShardInfo { metrics, ..self.info() }))
            }
            Control::Sessions(..) => ControlAnswer::Sessions(0),
        };
        self.reply(ask, answer);
    }

    fn info(&self) -> ShardInfo {
        ShardInfo {
            clients: self.users.connections() as u32,
            subscriptions: self.hub.listed_members() as u32,
            users: self.users.len() as u32,
            channels: self.listed_channels() as u32,
            ..ShardInfo::default()
        }
    }
}
