//! NATS as broker: what homes tell goes to NATS, what it tells comes back. It keeps nothing.
//!
//! There are two connections ([`post`]): one for channels, and one for what nodes tell each other, so that this does
//! not wait behind messages of channels that nobody takes.

mod dial;
mod post;
pub mod wire;

use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use tokio::time::Instant;

use super::broker::events::{Asker, Events, Relayed};
use super::link::{Door, Opened};
use crate::broker::nats::{Nats as Format, Raw, Unfit};
use crate::channel::broker_op::{BrokerReply, KeyVersion};
use crate::channel::name::ChannelName;
use crate::channel::op::PublishOp;
use crate::channel::publication::{ClientInfo, Position};
use crate::config::snapshot::NatsBroker;
use crate::protocol::error::Error;
use dial::Dial;
use post::Post;

/// Memory for messages that is kept; a large message has its own.
const MAX_KEPT: usize = 256 << 10;

/// Nobody waits.
const NOBODY: Asker = Asker::Nobody;

/// NATS, found and ready to be spoken with.
pub struct Nats {
    dial: Arc<Dial>,
    format: Format,
    channels: Opened<Dial>,
    control: Opened<Dial>,
}

impl std::fmt::Debug for Nats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nats").field("dial", &self.dial).finish_non_exhaustive()
    }
}

impl Nats {
    /// Finds a server, so that what is written wrong shows at the start.
    ///
    /// # Errors
    /// Why none can be used.
    pub async fn find(options: &NatsBroker) -> Result<Self, String> {
        let dial = Arc::new(Dial::new(options)?);
        let wrong = |reason| format!("broker.nats: {reason}");
        let channels = dial.clone().open().await.map_err(wrong)?;
        let control = dial.clone().open().await.map_err(wrong)?;
        let raw = options.raw.as_ref().map(|raw| Raw::new(&raw.prefix, raw.replacements.iter().cloned()));
        Ok(Self { dial, format: Format::new(&options.prefix, raw, options.wildcards), channels, control })
    }
}

/// Carries what is told, in both directions.
#[derive(Debug)]
pub struct Courier {
    format: Arc<Format>,
    channels: Post,
    control: Post,
    /// Where subjects and messages are written.
    subject: String,
    message: Vec<u8>,
    write_timeout: Duration,
}

impl Courier {
    /// The courier of the node with this id.
    pub fn new(nats: Nats, node: &str) -> Self {
        let Nats { dial, format, channels, control } = nats;
        let format = Arc::new(format);
        let fixed = vec![format.control(), format.node(node)];
        Self {
            write_timeout: dial.write_timeout(),
            channels: Post::new(dial.clone(), channels, format.clone(), Vec::new()),
            control: Post::new(dial, control, format.clone(), fixed),
            format,
            subject: String::new(),
            message: Vec::new(),
        }
    }

    /// The shortest time that anything may take.
    pub fn shortest_timeout(&self) -> Duration {
        self.write_timeout
    }

    /// Whether a channel may be published to.
    ///
    /// # Errors
    /// The reply that says that it may not.
    pub fn can_publish(&mut self, channel: &str) -> Result<(), BrokerReply> {
        self.format.publishing(channel, &mut self.subject).map_err(refusal)
    }

    /// Publishes; NATS keeps nothing, so there is no place and no suppression (upstream: natsbroker `Publish`).
    pub fn publish(&mut self, channel: &ChannelName, op: &PublishOp, asker: Asker, events: &mut Events) {
        if let Err(refusal) = self.can_publish(channel.as_str()) {
            return events.reply(asker, refusal);
        }
        self.send(asker, events, |format, out| {
            format.publication(channel.as_str(), &op.publication, op.delta, None, out);
            true
        });
    }

    /// Publishes a version of a key; not in raw mode.
    pub fn publish_key(&mut self, key: &ChannelName, version: &KeyVersion, asker: Asker, events: &mut Events) {
        if self.format.is_raw() {
            return events.reply(asker, BrokerReply::Refused(Error::NOT_AVAILABLE));
        }
        if let Err(refusal) = self.can_publish(key.as_str()) {
            return events.reply(asker, refusal);
        }
        self.send(asker, events, |format, out| format.key_version(key.as_str(), version, out));
    }

    /// Tells of a publication that was kept elsewhere. Whether that works changes nothing for the publisher: who
    /// misses it reads it there. In raw mode there is no way to tell its place, so it is not told (upstream:
    /// redisnatsbroker `Publish`).
    pub fn relay(&mut self, relayed: &Relayed, place: Position, events: &mut Events) {
        let Relayed { channel, op } = relayed;
        if self.format.is_raw() || self.can_publish(channel.as_str()).is_err() {
            return;
        }
        self.send(NOBODY, events, |format, out| {
            format.publication(channel.as_str(), &op.publication, op.delta, Some(place), out);
            true
        });
    }

    /// Tells of a client that joined; not in raw mode.
    pub fn join(&mut self, channel: &ChannelName, info: &ClientInfo, events: &mut Events) {
        if self.format.subscribing(channel.as_str(), &mut self.subject).is_ok() {
            self.send(NOBODY, events, |format, out| format.join(channel.as_str(), info, out));
        }
    }

    /// Tells of a client that left; not in raw mode.
    pub fn leave(&mut self, channel: &ChannelName, info: &ClientInfo, events: &mut Events) {
        if self.format.subscribing(channel.as_str(), &mut self.subject).is_ok() {
            self.send(NOBODY, events, |format, out| format.leave(channel.as_str(), info, out));
        }
    }

    /// Sends a message on the subject that was written last, if there is one.
    fn send(&mut self, asker: Asker, events: &mut Events, write: impl FnOnce(&Format, &mut Vec<u8>) -> bool) {
        self.message.clear();
        if write(&self.format, &mut self.message) {
            self.channels.publish(&self.subject, &self.message, asker, events);
        }
        if self.message.capacity() > MAX_KEPT {
            self.message = Vec::new();
        }
    }

    /// Has messages of a channel brought to its home.
    pub fn subscribe(&mut self, channel: ChannelName, asker: Asker, events: &mut Events) {
        match self.format.subscribing(channel.as_str(), &mut self.subject) {
            Ok(()) => self.channels.subscribe(channel, &self.subject, asker, events),
            Err(unfit) => events.reply(asker, refusal(unfit)),
        }
    }

    /// No more messages of a channel.
    pub fn unsubscribe(&mut self, channel: &ChannelName) {
        self.channels.unsubscribe(channel);
    }

    /// Tells another node something, or all of them.
    pub fn tell(&mut self, to: Option<&str>, message: &[u8], asker: Asker, events: &mut Events) {
        let subject = to.map_or_else(|| self.format.control(), |uid| self.format.node(uid));
        self.control.publish(&subject, message, asker, events);
    }

    /// Sends, and takes what came; no messages of channels while it is `paused`. True when it must be called again
    /// soon.
    pub fn turn(&mut self, cx: &mut Context<'_>, now: Instant, paused: bool, events: &mut Events) -> bool {
        let more = self.control.turn(cx, now, false, events);
        self.channels.turn(cx, now, paused, events) || more
    }

    /// Whether everything that was asked is answered.
    pub fn is_idle(&self) -> bool {
        self.channels.is_idle() && self.control.is_idle()
    }

    /// Gives up what takes too long. To be called now and then; the task must take a turn afterwards.
    pub fn tick(&mut self, now: Instant, events: &mut Events) {
        self.channels.tick(now, events);
        self.control.tick(now, events);
    }
}

fn refusal(unfit: Unfit) -> BrokerReply {
    match unfit {
        Unfit::Wildcards => BrokerReply::Refused(Error::BAD_REQUEST),
        Unfit::Malformed => BrokerReply::Failed,
    }
}
