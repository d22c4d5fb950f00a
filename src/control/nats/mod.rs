//! NATS as broker: what homes tell goes to NATS, what it tells comes back. It keeps nothing.
//!
//! There are two connections ([`post`]): one for channels, and one for what nodes tell each other, so that this does
//! not wait behind messages of channels that nobody takes. They need not lead to the same servers.

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
use crate::config::snapshot::{Nats as Options, NatsBroker};
use crate::protocol::error::Error;
use dial::Dial;
use post::Post;

/// Memory for messages that is kept; a large message has its own.
const MAX_KEPT: usize = 256 << 10;

/// Nobody waits.
const NOBODY: Asker = Asker::Nobody;

/// A connection to NATS that was opened.
struct Found {
    dial: Arc<Dial>,
    opened: Opened<Dial>,
}

impl Found {
    /// Finds a server, so that what is written wrong shows at the start.
    async fn find(options: &Options) -> Result<Self, String> {
        let dial = Arc::new(Dial::new(options)?);
        let opened = dial.clone().open().await.map_err(|reason| format!("{}: {reason}", options.option))?;
        Ok(Self { dial, opened })
    }

    fn post(self, format: Arc<Format>, fixed: Vec<String>) -> Post {
        Post::new(self.dial, self.opened, format, fixed)
    }
}

/// Carries what is told in channels, in both directions.
#[derive(Debug)]
pub struct Courier {
    format: Arc<Format>,
    channels: Post,
    /// Where subjects and messages are written.
    subject: String,
    message: Vec<u8>,
    write_timeout: Duration,
}

/// Carries what nodes tell each other.
#[derive(Debug)]
pub struct Messenger {
    format: Arc<Format>,
    control: Post,
    write_timeout: Duration,
}

impl Messenger {
    /// The messenger of the node with this id.
    ///
    /// # Errors
    /// Why no server can be used.
    pub async fn find(options: &Options, node: &str) -> Result<Self, String> {
        let found = Found::find(options).await?;
        let format = Arc::new(Format::new(&options.prefix, None, false));
        let fixed = vec![format.control(), format.node(node)];
        let write_timeout = found.dial.write_timeout();
        Ok(Self { control: found.post(format.clone(), fixed), format, write_timeout })
    }

    /// The shortest time that anything may take.
    pub fn shortest_timeout(&self) -> Duration {
        self.write_timeout
    }

    /// Tells another node something, or all of them.
    pub fn tell(&mut self, to: Option<&str>, message: &[u8], asker: Asker, events: &mut Events) {
        let subject = to.map_or_else(|| self.format.control(), |uid| self.format.node(uid));
        self.control.publish(&subject, message, asker, events);
    }

    /// Sends, and takes what came. True when it must be called again soon.
    pub fn turn(&mut self, cx: &mut Context<'_>, now: Instant, events: &mut Events) -> bool {
        self.control.turn(cx, now, false, events)
    }

    /// Whether everything that was asked is answered.
    pub fn is_idle(&self) -> bool {
        self.control.is_idle()
    }

    /// Gives up what takes too long. To be called now and then; the task must take a turn afterwards.
    pub fn tick(&mut self, now: Instant, events: &mut Events) {
        self.control.tick(now, events);
    }
}

impl Courier {
    /// The courier of a node.
    ///
    /// # Errors
    /// Why no server can be used.
    pub async fn find(options: &NatsBroker) -> Result<Self, String> {
        let found = Found::find(&options.nats).await?;
        let raw = options.raw.as_ref().map(|raw| Raw::new(&raw.prefix, raw.replacements.iter().cloned()));
        let format = Arc::new(Format::new(&options.nats.prefix, raw, options.wildcards));
        Ok(Self {
            write_timeout: found.dial.write_timeout(),
            channels: found.post(format.clone(), Vec::new()),
            format,
            subject: String::new(),
            message: Vec::new(),
        })
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

    /// Sends, and takes what came; no messages of channels while it is `paused`. True when it must be called again
    /// soon.
    pub fn turn(&mut self, cx: &mut Context<'_>, now: Instant, paused: bool, events: &mut Events) -> bool {
        self.channels.turn(cx, now, paused, events)
    }

    /// Whether everything that was asked is answered.
    pub fn is_idle(&self) -> bool {
        self.channels.is_idle()
    }

    /// Gives up what takes too long. To be called now and then; the task must take a turn afterwards.
    pub fn tick(&mut self, now: Instant, events: &mut Events) {
        self.channels.tick(now, events);
    }
}

fn refusal(unfit: Unfit) -> BrokerReply {
    match unfit {
        Unfit::Wildcards => BrokerReply::Refused(Error::BAD_REQUEST),
        Unfit::Malformed => BrokerReply::Failed,
    }
}
