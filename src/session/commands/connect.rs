//! `connect`: from the token to the reply (upstream: centrifuge client.go `connectCmd`).
//!
//! On the way it may have to wait: for the presence of the user's personal channel, for the number of the user's
//! connections, and for the homes of the server-side subscriptions.

use std::sync::Arc;

use super::connect_plan::{Plan, authenticate, complete, personal_channel};
use crate::channel::convert::IdText;
use crate::channel::name::ChannelName;
use crate::channel::op::{Answer, Op, Subscribed};
use crate::channel::publication::ClientInfo;
use crate::protocol::client::{ConnectRequest, ConnectResult, Reply};
use crate::protocol::disconnect::Disconnect;
use crate::protocol::error::Error;
use crate::session::server_side::MAX_TTL_S;
use crate::session::state::{Outcome, Pending, Phase, Refusal, Session};
use crate::session::subscribing::{Subscribing, failure};
use crate::session::{Cx, Effect};

/// What the reply to connect calls the server.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " OSS");

/// A connect that waits.
#[derive(Debug)]
pub(in crate::session) struct Connecting {
    id: u32,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// For the presence of the user's personal channel. What comes of connect stands already, but the user's other
    /// connections end even if it fails.
    Presence(Box<str>, Result<Plan, Refusal>),
    /// For the number of the user's connections.
    Count(Plan),
    /// For the homes of server-side subscriptions.
    Subscriptions(Vec<Slot>),
}

/// A server-side subscription that the reply will name.
#[derive(Debug)]
struct Slot {
    name: ChannelName,
    subscribing: Subscribing,
    /// Once there, the subscription is live.
    answer: Option<Box<Subscribed>>,
}

impl Connecting {
    /// Whether a subscription is live already.
    pub(in crate::session) fn has_live(&self) -> bool {
        matches!(&self.stage, Stage::Subscriptions(slots) if slots.iter().any(|slot| slot.answer.is_some()))
    }

    /// Takes back what is under way. Live subscriptions are the session's.
    pub(in crate::session) fn abandon(self, session: &Session, cx: &mut Cx<'_>) {
        if let Stage::Subscriptions(slots) = self.stage {
            for slot in slots {
                if slot.answer.is_none() {
                    slot.subscribing.abandon(session, cx);
                }
            }
        }
    }
}

impl Session {
    pub(super) fn connect(&mut self, cx: &mut Cx<'_>, id: u32, request: ConnectRequest<'_>) -> Outcome {
        if self.phase != Phase::Fresh {
            return Err(Disconnect::BAD_REQUEST.into());
        }
        let (credentials, grants) = authenticate(cx, &request.token)?;
        let personal = &cx.config.client.personal_channel;
        let is_single = personal.as_ref().is_some_and(|personal| personal.single_connection);
        let user = credentials.as_ref().filter(|_| is_single).map(|credentials| credentials.user.clone());
        let plan = complete(cx, credentials, grants, self.user_header.take(), &request);
        let Some((user, channel)) = user.and_then(|user| Some((user.clone(), personal_channel(cx.config, &user)?)))
        else {
            return self.check_limits(cx, id, plan?);
        };
        let pending = Pending::Connect(Box::new(Connecting { id, stage: Stage::Presence(user, plan) }));
        self.wait_for(cx, ChannelName::new(&channel), Op::PresenceStats, pending);
        Ok(())
    }

    /// Whether an answer is one that connect waits for.
    pub(in crate::session) fn is_answer_to_connect(&self, tag: u32) -> bool {
        let Pending::Connect(connecting) = &self.pending else {
            return false;
        };
        match &connecting.stage {
            Stage::Presence(..) => tag == self.pending_tag,
            Stage::Count(_) => false,
            Stage::Subscriptions(slots) => slot_of(slots, tag).is_some(),
        }
    }

    /// Id of the connect that waits.
    pub(in crate::session) fn connect_id(&self) -> u32 {
        match &self.pending {
            Pending::Connect(connecting) => connecting.id,
            _ => 0,
        }
    }

    pub(in crate::session) fn on_connect_answer(&mut self, cx: &mut Cx<'_>, tag: u32, answer: Answer) -> Outcome {
        let Some(connecting) = self.take_connecting() else {
            return Ok(());
        };
        match connecting.stage {
            Stage::Presence(user, plan) => {
                let Answer::PresenceStats { clients, .. } = answer else {
                    return Err(Disconnect::SERVER_ERROR.into());
                };
                if clients >= 1 {
                    cx.effects.push(Effect::DisconnectOthers { user, disconnect: Disconnect::CONNECTION_LIMIT });
                }
                self.check_limits(cx, connecting.id, plan?)
            }
            Stage::Subscriptions(mut slots) => {
                let outcome = self.fill_slot(cx, &mut slots, tag, answer);
                if outcome.is_ok() && slots.iter().all(|slot| slot.answer.is_some()) {
                    return self.reply_to_connect(cx, connecting.id, &slots);
                }
                self.await_subscriptions(connecting.id, slots);
                outcome
            }
            stage @ Stage::Count(_) => {
                self.pending = Pending::Connect(Box::new(Connecting { stage, ..*connecting }));
                Ok(())
            }
        }
    }

    pub(in crate::session) fn on_connections_counted(&mut self, cx: &mut Cx<'_>, count: usize) -> Outcome {
        let Some(connecting) = self.take_connecting() else {
            return Ok(());
        };
        let Stage::Count(plan) = connecting.stage else {
            self.pending = Pending::Connect(connecting);
            return Ok(());
        };
        if count >= cx.config.client.user_connection_limit {
            return Err(Disconnect::CONNECTION_LIMIT.into());
        }
        self.establish(cx, connecting.id, plan)
    }

    fn check_limits(&mut self, cx: &mut Cx<'_>, id: u32, plan: Plan) -> Outcome {
        let user = &plan.credentials.user;
        if cx.config.client.user_connection_limit == 0 || user.is_empty() {
            return self.establish(cx, id, plan);
        }
        cx.effects.push(Effect::CountConnections { user: user.clone() });
        self.pending = Pending::Connect(Box::new(Connecting { id, stage: Stage::Count(plan) }));
        Ok(())
    }

    /// The client is who it says. The reply waits for the server-side subscriptions, if there are any.
    fn establish(&mut self, cx: &mut Cx<'_>, id: u32, plan: Plan) -> Outcome {
        let Plan { credentials, subscriptions } = plan;
        let unix_s = cx.now.unix_s();
        self.expire_at = credentials.expire_at.min(unix_s + MAX_TTL_S);
        if self.expire_at > 0 && self.expire_at < unix_s {
            return Err(Error::EXPIRED.into());
        }
        self.phase = Phase::Authenticated;
        cx.effects.push(Effect::Connected { user: credentials.user.clone() });
        self.identity = Some(Arc::new(ClientInfo {
            user: credentials.user,
            client: self.client,
            conn_info: credentials.info,
            chan_info: bytes::Bytes::new(),
        }));
        let mut slots = Vec::with_capacity(subscriptions.len());
        for planned in subscriptions {
            let name = ChannelName::new(&planned.channel);
            let subscribing = Subscribing::begin(self, cx, name.clone(), planned.grant, planned.wish);
            slots.push(Slot { name, subscribing, answer: None });
        }
        if slots.is_empty() {
            return self.reply_to_connect(cx, id, &slots);
        }
        self.await_subscriptions(id, slots);
        Ok(())
    }

    fn fill_slot(&mut self, cx: &mut Cx<'_>, slots: &mut [Slot], tag: u32, answer: Answer) -> Outcome {
        let Some(slot) = slot_of(slots, tag).and_then(|at| slots.get_mut(at)) else {
            return Ok(());
        };
        match answer {
            Answer::Subscribed(subscribed) => {
                slot.subscribing.admit(self, cx, &subscribed);
                slot.answer = Some(subscribed);
                Ok(())
            }
            answer => Err(failure(answer)),
        }
    }

    fn reply_to_connect(&mut self, cx: &mut Cx<'_>, id: u32, slots: &[Slot]) -> Outcome {
        let (client, unix_s) = (&cx.config.client, cx.now.unix_s());
        let subs = slots.iter().filter_map(|slot| {
            let result = slot.subscribing.result(slot.answer.as_deref()?, unix_s);
            Some((slot.name.as_str().into(), result))
        });
        let mut text: IdText = [0; 36];
        let result = ConnectResult {
            client: (&*self.client.write(&mut text)).into(),
            version: VERSION.into(),
            expires: self.expire_at > 0,
            ttl: if self.expire_at > 0 { (self.expire_at - unix_s) as u32 } else { 0 },
            subs: subs.collect(),
            ping: if self.native_ping { 0 } else { (client.ping_interval_ms / 1000) as u32 },
            pong: !self.native_ping && client.pong_timeout_ms > 0,
            time: if client.connect_include_server_time { cx.now.unix_ms as i64 } else { 0 },
            ..ConnectResult::default()
        };
        if !slots.is_empty() {
            cx.out.put_first();
        }
        self.send(cx, &Reply { id, connect: Some(Box::new(result)), ..Reply::default() });
        self.start_timers(cx);
        Ok(())
    }

    fn await_subscriptions(&mut self, id: u32, slots: Vec<Slot>) {
        self.pending = Pending::Connect(Box::new(Connecting { id, stage: Stage::Subscriptions(slots) }));
    }

    fn take_connecting(&mut self) -> Option<Box<Connecting>> {
        match std::mem::replace(&mut self.pending, Pending::None) {
            Pending::Connect(connecting) => Some(connecting),
            other => {
                self.pending = other;
                None
            }
        }
    }
}

/// The requests were made one after another, so their tags go up.
fn slot_of(slots: &[Slot], tag: u32) -> Option<usize> {
    slots.binary_search_by_key(&tag, |slot| slot.subscribing.tag).ok()
}
