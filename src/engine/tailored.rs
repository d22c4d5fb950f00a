//! Publications to channels with members that want delta or have a filter. Channels without them never come here.

use super::Engine;
use super::deliveries::Wanted;
use crate::base::ids::ConnId;
use crate::channel::name::ChannelName;
use crate::channel::publication::Publication;
use crate::fanout::delta::DeltaVariants;
use crate::fanout::hub::LocalChannel;
use crate::fanout::tailor::Form;
use crate::fanout::variant::Variants;
use crate::metrics::labels::Transport;
use crate::protocol::disconnect::Disconnect;

impl Engine {
    /// As [`Engine::fan_out`], with a form for each member. Encodes once for each protocol and form.
    pub(super) fn fan_out_tailored(
        &mut self,
        local: LocalChannel,
        channel: &ChannelName,
        publication: &Publication,
        previous: Option<&Publication>,
        wanted: Wanted,
    ) -> u64 {
        let Self { hub, conns, pool, builder, dirty, overfull, .. } = self;
        let limit = self.config.client.queue_max_size;
        let mut variants = Variants::publication(channel, publication);
        let mut deltas = DeltaVariants::new(channel, publication, previous);
        let mut refused: Vec<ConnId> = Vec::new();
        let (mut delivered, mut bytes) = (0, 0);
        let filtered = hub.tailor(
            local,
            publication,
            |flags| wanted.by(flags),
            |member, form| {
                // Members of a connection that ended go in their own time.
                let Some(conn) = conns.get_mut(member.conn).filter(|conn| conn.is_open()) else { return };
                let frame = match form {
                    Form::Plain => variants.frame(member.flags(), builder),
                    Form::Whole | Form::Patch => deltas.frame(member.flags().protocol(), form, builder),
                };
                match frame {
                    Ok(frame) => {
                        delivered += 1;
                        bytes += frame.message_len() as u64;
                        *overfull += Self::push_to(conn, member.conn, frame, pool, dirty, limit);
                    }
                    Err(_) => refused.push(member.conn),
                }
            },
        );
        self.metrics.sent(Transport::WebSocket, wanted.frame(), delivered, bytes);
        self.metrics.filtered(filtered);
        for id in refused {
            self.end(id, Disconnect::INAPPROPRIATE_PROTOCOL);
        }
        delivered
    }
}
