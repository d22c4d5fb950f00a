//! Presence at a broker of channels that live here: whoever subscribes and is seen by others is present first, and
//! then let in to the channel.

use crate::base::ids::{ClientId, ShardId};
use crate::channel::broker_op::{BrokerOp, BrokerReply, Ticket};
use crate::channel::dispatch::respond;
use crate::channel::name::ChannelName;
use crate::channel::op::{Answer, Op, ReplyTo, SubscribeOp};
use crate::protocol::error::Error;

use super::task::{self, Task};
use super::{Brokered, Out, presence_op};

/// A subscriber that is to be let in, without its presence.
#[derive(Debug)]
pub struct Admission {
    /// Who asked.
    pub from: ShardId,
    /// And waits there.
    pub reply: ReplyTo,
    /// The channel.
    pub channel: ChannelName,
    /// What was asked for.
    pub op: Box<SubscribeOp>,
    /// Who it is.
    pub client: ClientId,
}

impl Brokered {
    /// Takes what is to be asked about presence out of a request for a home that is here; gives back what is left of
    /// it. Whoever is to be present comes later: see [`Brokered::take_admitted`].
    pub fn pass(
        &mut self,
        from: ShardId,
        channel: &ChannelName,
        op: Op,
        reply: ReplyTo,
        out: &mut Out<'_>,
    ) -> Option<Op> {
        match op {
            Op::Subscribe(mut op) => {
                let Some((info, _)) = op.presence.take() else { return Some(Op::Subscribe(op)) };
                let admission = Admission { from, reply, channel: channel.clone(), op, client: info.client };
                match self.tasks.insert(Task::Admit(Box::new(admission))) {
                    Ok(key) => {
                        self.admitting.insert((channel.clone(), info.client), Ticket(key));
                        self.request(channel, BrokerOp::AddPresence(info), Some(Ticket(key)));
                    }
                    Err(_) => respond(from, reply, Answer::Failed(Error::INTERNAL), out),
                }
                None
            }
            Op::Unsubscribe { last, presence, leave } => {
                let client = presence.as_ref().or(leave.as_ref()).map(|info| info.client);
                let was_coming = client.is_some_and(|client| self.turn_away(channel, client, out));
                if let Some(info) = presence {
                    self.request(channel, BrokerOp::RemovePresence(info), None);
                }
                Some(Op::Unsubscribe { last, presence: None, leave: leave.filter(|_| !was_coming) })
            }
            Op::PresenceUpdate { .. } | Op::Presence | Op::PresenceStats => {
                self.ask(channel, presence_op(op), Task::Plain { from, reply }, out);
                None
            }
            op => Some(op),
        }
    }

    /// The next subscriber that is present, and is to be let in now.
    pub fn take_admitted(&mut self) -> Option<Admission> {
        self.admitted.pop_front()
    }

    /// A subscriber is present, or not.
    pub(super) fn admit(&mut self, admission: Admission, reply: BrokerReply, out: &mut Out<'_>) {
        self.admitting.remove(&(admission.channel.clone(), admission.client));
        match task::failure(reply) {
            None => self.admitted.push_back(admission),
            Some(error) => respond(admission.from, admission.reply, Answer::Failed(error), out),
        }
    }

    /// A client leaves. Whether it was on its way in; then it does not come in any more.
    fn turn_away(&mut self, channel: &ChannelName, client: ClientId, out: &mut Out<'_>) -> bool {
        let Some(ticket) = self.admitting.remove(&(channel.clone(), client)) else { return false };
        if let Some(Task::Admit(admission)) = self.tasks.remove(ticket.0) {
            respond(admission.from, admission.reply, Answer::Failed(Error::INTERNAL), out);
        }
        true
    }
}
