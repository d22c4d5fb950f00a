//! Requests between this shard and the homes of channels.

use std::collections::VecDeque;

use super::{Engine, Request, ShardPort, TURN_BUDGET};
use crate::base::ids::ShardId;
use crate::channel::map_op::{MapOp, MapPhase};
use crate::channel::name::ChannelName;
use crate::channel::op::{Delivery, Op, ReplyTo};
use crate::channel::poll::op::PollOp;
use crate::metrics::Shard as Metrics;
use crate::metrics::labels::{Action, Message, Suppressed};

impl Engine {
    /// Sends a request to the channel's home; a local home handles it at once (its deliveries wait in line).
    pub(super) fn request(&mut self, channel: ChannelName, op: Op, reply: ReplyTo) {
        let home = channel.home(self.shards);
        if home == self.id {
            self.handle_request(home, Request { channel, op, reply });
        } else {
            self.port.stage_request(home, Request { channel, op, reply });
        }
    }

    fn handle_request(&mut self, from: ShardId, request: Request) {
        let Self { id, homes, broker, port, local, now, metrics, .. } = self;
        let Request { channel, mut op, reply } = request;
        let suppressible = count(metrics, &op);
        if let (Some(broker), Op::Poll(poll)) = (&mut *broker, &op) {
            // What is published to a key comes back to the nodes that track it.
            if broker.at.channels && matches!(**poll, PollOp::Publish { .. }) {
                return broker.homes.handle(from, &channel, op, reply, *now, &mut outlet(*id, local, port));
            }
        } else if let Some(broker) = broker {
            let out = &mut outlet(*id, local, port);
            let is_map = matches!(op, Op::Map(_));
            if broker.at.maps && (is_map || matches!(op, Op::Unsubscribe { .. }) && broker.homes.holds_map(&channel)) {
                // Where channels live here, whoever comes to a map is known here as well.
                if let (Op::Unsubscribe { last, presence, leave }, false) = (&op, broker.at.channels) {
                    let (last, presence, leave) = (*last, presence.clone(), leave.clone());
                    homes.handle(from, &channel, Op::Unsubscribe { last, presence, leave }, ReplyTo::None, *now, out);
                }
                return broker.homes.handle(from, &channel, op, reply, *now, out);
            }
            if is_map {
                // It lives here.
            } else if broker.at.channels {
                if !homes.holds(&channel) {
                    return broker.homes.handle(from, &channel, op, reply, *now, out);
                }
            } else if broker.at.presence && !homes.holds_map(&channel) {
                match broker.homes.pass(from, &channel, op, reply, out) {
                    Some(rest) => op = rest,
                    None => return,
                }
            }
        }
        homes.handle(from, &channel, op, reply, *now, &mut outlet(*id, local, port));
        if let (Some(request), Some(reason)) = (suppressible, homes.take_suppressed()) {
            metrics.suppressed(request, reason.name());
        }
    }

    /// Drops what is past its time at homes; what follows from that goes out like all else. It waits while that cannot
    /// be handed over: a million keys of a map may expire in the same millisecond.
    pub(super) fn expire_homes(&mut self) {
        if self.overfull > 0 || self.port.deliveries_congested() || self.local.len() >= TURN_BUDGET {
            return;
        }
        let Self { id, homes, broker, port, local, now, .. } = self;
        homes.expire(*now, TURN_BUDGET, &mut outlet(*id, local, port));
        if let Some(broker) = broker {
            broker.homes.expire(*now, TURN_BUDGET);
        }
    }

    /// Takes what other shards sent. Deliveries always; requests only while what they cause can be handed over, so
    /// that no two shards ever wait for each other. True when more is left.
    pub fn receive(&mut self) -> bool {
        let mut budget = TURN_BUDGET;
        while budget > 0 && self.overfull == 0 {
            let Some((_, mut batch)) = self.port.take_deliveries() else { break };
            self.metrics.inbox(1);
            budget = budget.saturating_sub(batch.len());
            for delivery in batch.drain(..) {
                self.deliver(delivery);
            }
            self.port.recycle_deliveries(batch);
        }
        let mut more = budget == 0 || self.overfull > 0;

        let mut budget = TURN_BUDGET;
        while budget > 0 {
            let Some((_, batch)) = self.port.take_control() else { break };
            for frame in batch {
                budget = budget.saturating_sub(frame.weight());
                self.metrics.message_received(Message::Control);
                self.on_control_frame(frame);
            }
        }
        more |= budget == 0;

        let mut budget = TURN_BUDGET;
        while budget > 0 && self.overfull == 0 && !self.port.deliveries_congested() && self.local.len() < TURN_BUDGET {
            let Some((from, mut batch)) = self.port.take_requests() else { break };
            self.metrics.inbox(1);
            budget = budget.saturating_sub(batch.len());
            for request in batch.drain(..) {
                self.handle_request(from, request);
            }
            self.port.recycle_requests(batch);
        }
        more |= budget == 0 || self.overfull > 0;
        more
    }
}

/// Where deliveries of this shard's homes go: into its own line, or to other shards.
pub(super) fn outlet(
    me: ShardId,
    local: &mut VecDeque<Delivery>,
    port: &mut ShardPort,
) -> impl FnMut(ShardId, Delivery) {
    move |to, delivery| {
        if to == me {
            local.push_back(delivery);
        } else {
            port.stage_delivery(to, delivery);
        }
    }
}

/// Counts what a home is asked, under the names the reference has for what it asks of its broker and presence manager.
/// What it is when it may change nothing.
fn count(metrics: &mut Metrics, op: &Op) -> Option<Suppressed> {
    match op {
        Op::Publish(_) => {
            metrics.published();
            metrics.message_sent(Message::Publication);
            return Some(Suppressed::Publish);
        }
        Op::Subscribe(op) => {
            if op.presence.is_some() {
                metrics.action(Action::AddPresence);
            }
            if op.join.is_some() {
                metrics.message_sent(Message::Join);
            }
            match &op.recover {
                Some(recover) if recover.cache => count_read(metrics, Action::HistoryRecoverCache),
                Some(_) => count_read(metrics, Action::HistoryRecover),
                None if op.position => count_read(metrics, Action::HistoryStreamTop),
                None => {}
            }
        }
        Op::Unsubscribe { presence, leave, .. } => {
            if presence.is_some() {
                metrics.action(Action::RemovePresence);
            }
            if leave.is_some() {
                metrics.message_sent(Message::Leave);
            }
        }
        Op::PresenceUpdate { .. } => metrics.action(Action::AddPresence),
        Op::Presence => metrics.action(Action::Presence),
        Op::PresenceStats => metrics.action(Action::PresenceStats),
        Op::History { .. } => metrics.action(Action::History),
        Op::HistoryRemove => metrics.action(Action::HistoryRemove),
        Op::Position { .. } => count_read(metrics, Action::HistoryStreamTop),
        Op::Map(op) => return count_map(metrics, op),
        Op::Poll(_) => {}
    }
    None
}

fn count_map(metrics: &mut Metrics, op: &MapOp) -> Option<Suppressed> {
    match op {
        MapOp::Publish(_) => {
            metrics.action(Action::MapPublish);
            metrics.message_sent(Message::MapPublication);
            return Some(Suppressed::MapPublish);
        }
        MapOp::Remove { .. } => {
            metrics.action(Action::MapRemove);
            metrics.message_sent(Message::MapRemoval);
            return Some(Suppressed::MapRemove);
        }
        MapOp::Clear => metrics.action(Action::MapClear),
        MapOp::Stats => metrics.action(Action::MapStats),
        MapOp::ReadState { .. } => metrics.action(Action::MapStateRead),
        MapOp::ReadStream { .. } => metrics.action(Action::MapStreamRead),
        MapOp::Position { .. } => metrics.action(Action::MapStreamPosition),
        MapOp::Subscribe(op) => match &op.phase {
            MapPhase::State { .. } => metrics.action(Action::MapStateRead),
            MapPhase::Stream { aim, .. } => {
                if aim.is_none() {
                    metrics.action(Action::MapStreamPosition);
                }
                metrics.action(Action::MapStreamRead);
            }
            MapPhase::Live { .. } => {}
        },
    }
    None
}

/// Whatever a stream is read for, it also counts as history (upstream: node.go `History`).
fn count_read(metrics: &mut Metrics, purpose: Action) {
    metrics.action(purpose);
    metrics.action(Action::History);
}
