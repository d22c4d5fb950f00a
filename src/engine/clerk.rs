//! The first shard's second job: to speak with other nodes for all shards ([`crate::cluster`]).

use std::collections::HashMap;

use bytes::Bytes;

use super::{Ask, ControlFrame, Engine};
use crate::api::{self, ControlAnswer, Response};
use crate::base::ids::{ConnId, ShardId};
use crate::base::slab::Slab;
use crate::channel::broker_op::{BrokerRequest, Realm, Ticket, Trouble};
use crate::cluster::{Cluster, Effect};
use crate::metrics::labels::Message;

/// The shard that speaks with other nodes.
pub(super) const CLERK: ShardId = ShardId(0);

/// Messages whose outcome somebody waits for, at most.
const MAX_TOLD: u32 = 1 << 16;

/// Channels of other nodes that are read in one turn.
pub(super) const READ_BUDGET: usize = 1024;

/// See the module.
pub(super) struct Clerk {
    pub(super) cluster: Cluster<Ask>,
    /// Who waits until a message is told.
    told: Slab<Ask>,
    /// What calls of its own are for.
    calls: HashMap<ConnId, Purpose>,
    /// The last interval whose metrics were told; none yet.
    interval: Option<u64>,
}

/// What a call is for that nobody outside made.
enum Purpose {
    /// To tell nodes about this one: the one named, or all.
    Report(Option<Box<str>>),
    /// To answer the question of a node.
    List { to: Box<str>, id: u64 },
}

impl Clerk {
    pub(super) fn new(uid: &str) -> Self {
        Self { cluster: Cluster::new(uid), told: Slab::new(MAX_TOLD), calls: HashMap::new(), interval: None }
    }
}

impl Engine {
    /// Tells or asks other nodes, through the shard that speaks with them.
    pub(super) fn ask_nodes(&mut self, ask: Ask) {
        if self.id != CLERK {
            return self.send_control(CLERK, ControlFrame::Nodes(ask));
        }
        if let Some(clerk) = &mut self.clerk {
            clerk.cluster.ask(&ask.control.clone(), ask, self.now);
            self.run_clerk();
        }
    }

    /// A message of another node.
    pub(super) fn on_message_of_node(&mut self, message: &Bytes) {
        self.metrics.message_received(Message::Control);
        let Some(clerk) = &mut self.clerk else { return };
        if let Err(error) = clerk.cluster.receive(message, self.now) {
            tracing::error!(error, "error decoding control command");
            self.metrics.redis(Realm::Streams).trouble(Trouble::HandleControlMessage);
        }
    }

    /// A message was told to other nodes, or could not be.
    pub(super) fn on_told(&mut self, ticket: Ticket, is_told: bool) {
        let Some(ask) = self.clerk.as_mut().and_then(|clerk| clerk.told.remove(ticket.0)) else { return };
        let answer = if is_told { ControlAnswer::Sessions(0) } else { ControlAnswer::Failed };
        self.reply(&ask, answer);
    }

    /// Does what is to be done about other nodes. Few things at a time: what is long are calls (lists of channels of this
    /// node), or read in pieces (those of others). True when it did anything, or has more to do.
    pub(super) fn run_clerk(&mut self) -> bool {
        let Some(clerk) = &mut self.clerk else { return false };
        if clerk.cluster.next_ms() <= self.now.mono_ms {
            clerk.cluster.tick(self.now);
        }
        let mut is_busy = clerk.cluster.read(READ_BUDGET);
        // Calls of its own may end at once, with further effects.
        while let Some(effect) = self.clerk.as_mut().and_then(|clerk| clerk.cluster.next_effect()) {
            self.do_for_nodes(effect);
            is_busy = true;
        }
        is_busy
    }

    fn do_for_nodes(&mut self, effect: Effect<Ask>) {
        match effect {
            Effect::Tell { to, message, question } => {
                self.metrics.message_sent(Message::Control);
                let (Some(broker), Some(clerk)) = (&mut self.broker, &mut self.clerk) else { return };
                let ticket = match question.map(|ask| clerk.told.insert(ask)) {
                    None => None,
                    Some(Ok(key)) => Some(Ticket(key)),
                    Some(Err(ask)) => return self.reply(&ask, ControlAnswer::Failed),
                };
                broker.tell(BrokerRequest::Tell { to, message, ticket });
            }
            Effect::Act(control) => {
                let ask = Ask::of_nobody(control);
                for shard in self.other_shards() {
                    self.send_control(shard, ControlFrame::Ask(ask.clone()));
                }
                self.on_control_frame(ControlFrame::Ask(ask));
            }
            Effect::Count { to } => {
                let interval = self.interval.number(self.now);
                let Some(clerk) = &mut self.clerk else { return };
                let has_metrics = clerk.interval.replace(interval) != Some(interval);
                self.begin_own_call(Purpose::Report(to), |cx| api::report(cx, has_metrics));
            }
            Effect::List { to, id, pattern } => {
                self.begin_own_call(Purpose::List { to, id }, |cx| api::list(cx, pattern));
            }
            Effect::Answer(ask, answer) => self.reply(&ask, answer),
        }
    }

    fn begin_own_call(&mut self, purpose: Purpose, start: impl FnOnce(&mut api::ApiCx<'_>) -> api::Started) {
        let Some(id) = self.new_call() else { return };
        if let Some(clerk) = &mut self.clerk {
            clerk.calls.insert(id, purpose);
        }
        self.begin_call(id, start);
    }

    /// Takes the response of a call of its own; gives others back.
    pub(super) fn finish_own_call(&mut self, id: ConnId, response: Response) -> Option<Response> {
        let Some(clerk) = &mut self.clerk else { return Some(response) };
        let Some(purpose) = clerk.calls.remove(&id) else { return Some(response) };
        match purpose {
            Purpose::Report(to) => clerk.cluster.report(to, &response.body),
            Purpose::List { to, id } => clerk.cluster.list(to, id, &response.body),
        }
        self.calls.remove(id);
        None
    }
}
