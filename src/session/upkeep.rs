//! What a session does when time passes: pings, lifetimes, and the regular look at its subscriptions
//! (upstream: centrifuge client.go `onTimerOp`, `updatePresence`).

use rand::RngExt;
use rand::rngs::StdRng;

use super::counting::TRANSPORT;
use super::state::{Phase, Session, native_ping_interval_ms, native_pong_timeout_ms};
use super::subscribing::PRESENCE_TTL_MS;
use super::subscriptions::{Subscription, Traits};
use super::timers::is_due;
use super::{Cx, Effect};
use crate::base::time::{NEVER, deadline};
use crate::channel::map_op::MapOp;
use crate::channel::op::{Answer, Op};
use crate::channel::rules;
use crate::fanout::hub::LocalChannel;
use crate::metrics::labels::Frame;
use crate::protocol::Protocol;
use crate::protocol::client::{self, Push};
use crate::protocol::disconnect::{Disconnect, Unsubscribe};
use crate::protocol::reply::{PING_JSON, PING_PROTOBUF};

/// Subscriptions visited in one step; a session with more goes on in the next one.
const VISITS: u32 = 256;

impl Session {
    /// Called when [`Session::next_deadline`] has come.
    pub fn on_timer(&mut self, cx: &mut Cx<'_>) {
        let now_ms = cx.now.mono_ms;
        if self.phase == Phase::Ended {
            return;
        }
        if is_due(&mut self.timers.pong_at, now_ms) {
            // A peer that does not even answer WebSocket pings is gone: there is nobody to tell.
            let lost = if self.native_ping { Disconnect::CONNECTION_CLOSED } else { Disconnect::NO_PONG };
            return self.end(cx, lost);
        }
        if is_due(&mut self.timers.expire_at, now_ms) {
            self.check_lifetime(cx);
        }
        if self.phase != Phase::Ended && is_due(&mut self.timers.housekeeping_at, now_ms) {
            match self.phase {
                Phase::Fresh => self.end(cx, Disconnect::STALE),
                _ => self.keep_up(cx),
            }
        }
        if self.phase != Phase::Ended && is_due(&mut self.timers.ping_at, now_ms) {
            self.ping(cx);
        }
    }

    /// A command without id: a pong, whatever it holds.
    pub(super) fn on_pong(&mut self, cx: &mut Cx<'_>, bytes: usize) {
        cx.metrics.received(TRANSPORT, Frame::ClientPong, bytes as u64);
        if !std::mem::take(&mut self.awaits_pong) {
            return self.end(cx, Disconnect::BAD_REQUEST);
        }
        self.timers.pong_at = NEVER;
        let took_us = (cx.now.mono_us as u32).wrapping_sub(self.pinged_us);
        cx.metrics.pong(TRANSPORT, u64::from(took_us) * 1000);
    }

    /// A WebSocket pong frame.
    pub fn on_native_pong(&mut self, cx: &mut Cx<'_>) {
        if self.native_ping && self.phase != Phase::Ended {
            let wait_ms = native_ping_interval_ms(cx.config) + native_pong_timeout_ms(cx.config);
            self.timers.pong_at = cx.now.mono_ms + wait_ms;
        }
    }

    /// The stream of a positioned subscription is not what the client knows any more.
    pub fn on_insufficient_state(&mut self, cx: &mut Cx<'_>, channel: LocalChannel) {
        if self.phase != Phase::Ended {
            self.end_subscription(cx, channel, Unsubscribe::INSUFFICIENT_STATE, Disconnect::INSUFFICIENT_STATE);
        }
    }

    /// Sets the timers of a connection whose connect was answered.
    pub(super) fn start_timers(&mut self, cx: &mut Cx<'_>) {
        let (now_ms, client) = (cx.now.mono_ms, &cx.config.client);
        let spread_over = |interval_ms, rng: &mut StdRng| deadline(now_ms, spread(interval_ms, rng));
        self.timers.housekeeping_at = spread_over(client.presence_update_interval_ms, cx.rng);
        if !self.native_ping {
            self.timers.ping_at = spread_over(client.ping_interval_ms, cx.rng);
        }
        self.arm_lifetime(cx);
    }

    /// Sets the end of the connection's lifetime, grace time included.
    pub(super) fn arm_lifetime(&mut self, cx: &Cx<'_>) {
        self.timers.expire_at = NEVER;
        if self.expire_at > 0 {
            let ttl_ms = (self.expire_at - cx.now.unix_s()).max(0).unsigned_abs().saturating_mul(1000);
            let lives_ms = ttl_ms.saturating_add(cx.config.client.expired_close_delay_ms);
            self.timers.expire_at = cx.now.mono_ms.saturating_add(lives_ms);
        }
    }

    /// Ends a subscription that cannot go on: the client is told to subscribe again, or to connect again when the
    /// server had begun it.
    fn end_subscription(&mut self, cx: &mut Cx<'_>, channel: LocalChannel, why: Unsubscribe, or: Disconnect) {
        let Some(subscription) = self.subscriptions.get(channel) else {
            return;
        };
        if subscription.traits.has(Traits::SERVER_SIDE) {
            return self.end(cx, or);
        }
        let name = cx.hub.name(channel).clone();
        if let Some(subscription) = self.subscriptions.remove(channel) {
            self.drop_subscription(cx, subscription);
        }
        self.push_unsubscribe(cx, name.as_str(), &why);
    }

    /// Ends a subscription that is out of the table already.
    pub(super) fn drop_subscription(&mut self, cx: &mut Cx<'_>, subscription: Subscription) {
        self.end_polled(cx, &subscription);
        let effects = &mut *cx.effects;
        let mut tell = |channel, op| effects.push(Effect::Op { channel, op, tag: 0 });
        self.leaver().end(cx.hub, cx.metrics, cx.config, subscription, &mut tell);
    }

    pub(super) fn push_unsubscribe(&mut self, cx: &mut Cx<'_>, channel: &str, unsubscribe: &Unsubscribe) {
        cx.metrics.server_unsubscribe(unsubscribe.code);
        let told = client::Unsubscribe { code: unsubscribe.code, reason: (&*unsubscribe.reason).into() };
        self.push(cx, Push { channel: channel.into(), unsubscribe: Some(told), ..Push::default() });
    }

    /// A position check was answered: what was delivered before the answer is all that the home had published then.
    pub(super) fn on_position(&mut self, cx: &mut Cx<'_>, tag: u32, channel: LocalChannel, answer: &Answer) {
        let Some(subscription) = self.subscriptions.get_mut(channel).filter(|found| found.check_tag == tag) else {
            return;
        };
        subscription.check_tag = 0;
        let Answer::Position(top) = answer else { return };
        if cx.hub.position(channel) == *top {
            subscription.checked_at_s = seconds(cx);
        } else {
            self.on_insufficient_state(cx, channel);
        }
    }

    fn ping(&mut self, cx: &mut Cx<'_>) {
        let now_ms = cx.now.mono_ms;
        if self.native_ping {
            self.timers.ping_at = now_ms + native_ping_interval_ms(cx.config);
            return cx.effects.push(Effect::Ping);
        }
        let ping = match self.protocol {
            Protocol::Json => PING_JSON,
            Protocol::Protobuf => PING_PROTOBUF,
        };
        cx.out.encoded(ping);
        cx.metrics.sent(TRANSPORT, Frame::ServerPing, 1, ping.len() as u64);
        self.awaits_pong = true;
        self.pinged_us = cx.now.mono_us as u32;
        self.timers.ping_at = deadline(now_ms, cx.config.client.ping_interval_ms);
        self.timers.pong_at = deadline(now_ms, cx.config.client.pong_timeout_ms);
    }

    fn check_lifetime(&mut self, cx: &mut Cx<'_>) {
        if self.expire_at == 0 {
            return;
        }
        if self.expire_at > cx.now.unix_s() {
            // The wall clock went back.
            return self.arm_lifetime(cx);
        }
        self.end(cx, Disconnect::EXPIRED);
    }

    /// Visits subscriptions, from the last one on: those that end on the way are replaced by visited ones.
    fn keep_up(&mut self, cx: &mut Cx<'_>) {
        if self.upkeep_left == 0 {
            self.upkeep_left = self.subscriptions.len() as u32;
        }
        self.upkeep_left = self.upkeep_left.min(self.subscriptions.len() as u32);
        for _ in 0..self.upkeep_left.min(VISITS) {
            self.upkeep_left -= 1;
            if let Some(subscription) = self.subscriptions.at(self.upkeep_left as usize) {
                let channel = subscription.channel;
                self.visit(cx, channel);
            }
            if self.phase == Phase::Ended {
                return;
            }
        }
        let now_ms = cx.now.mono_ms;
        self.timers.housekeeping_at = match self.upkeep_left {
            0 => deadline(now_ms, cx.config.client.presence_update_interval_ms),
            _ => now_ms,
        };
    }

    fn visit(&mut self, cx: &mut Cx<'_>, channel: LocalChannel) {
        let Some(subscription) = self.subscriptions.get(channel) else {
            return;
        };
        if subscription.traits.has(Traits::PRESENCE) {
            let op = Op::PresenceUpdate { info: self.info_in(Some(channel)), ttl_ms: PRESENCE_TTL_MS };
            cx.effects.push(Effect::Op { channel: cx.hub.name(channel).clone(), op, tag: 0 });
        }
        let grace_s = (cx.config.client.expired_sub_close_delay_ms / 1000) as i64;
        if subscription.traits.has(Traits::KEEPS_KEYS) {
            self.keep_keys(cx, channel);
        }
        let expire_at = subscription.expire_at();
        if expire_at > 0 && cx.now.unix_s() > expire_at.saturating_add(grace_s) {
            let (why, or) = (Unsubscribe::EXPIRED, Disconnect::SUBSCRIPTION_EXPIRED);
            return self.end_subscription(cx, channel, why, or);
        }
        if subscription.traits.has(Traits::POLL) {
            return self.expire_keys(cx, channel);
        }
        let delay_s = cx.config.client.channel_position_check_delay_ms / 1000;
        let is_due = cx.config.client.channel_position_check_delay_ms > 0
            && u64::from(seconds(cx).wrapping_sub(subscription.checked_at_s)) > delay_s;
        if subscription.traits.has(Traits::POSITIONED) && subscription.check_tag == 0 && is_due {
            let name = cx.hub.name(channel).clone();
            let op = match subscription.traits.has(Traits::MAP) {
                false => Op::Position { meta_ttl_s: subscription.meta_ttl_s },
                true => match rules::options(&cx.config.channel, name.as_str()).and_then(|options| options.map) {
                    Some(options) => Op::Map(Box::new(MapOp::Position { options })),
                    None => return,
                },
            };
            let tag = self.ask(cx, name, op);
            if let Some(subscription) = self.subscriptions.get_mut(channel) {
                subscription.check_tag = tag;
            }
            self.background.get_or_insert_default().checks.insert(tag, channel);
        }
    }
}

/// Somewhere in the second half of the interval, so that connections that opened together do not act together.
pub(super) fn spread(interval_ms: u64, rng: &mut StdRng) -> u64 {
    let half_ms = interval_ms / 2;
    if half_ms == 0 { interval_ms } else { half_ms + rng.random_range(0..half_ms) }
}

/// Whole seconds of the monotonic clock; wraps after 136 years.
fn seconds(cx: &Cx<'_>) -> u32 {
    (cx.now.mono_ms / 1000) as u32
}
