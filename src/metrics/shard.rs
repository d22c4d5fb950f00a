//! The metrics of one shard: plain numbers with one owner, which is why counting is cheap. Readers ask the
//! shard for a copy.

use super::expiry::Expiry;
use super::histogram::{API_NS, BROADCAST_NS, COMMAND_NS, Histogram, LAG_NS, RECOVERED, SURVEY_NS};
use super::labels::{Action, Api, Command, Frame, Message, Suppressed, Transport};
use super::polls::Polls;
use super::redis::Redis;
use super::requests::Requests;
use super::sum::{Counters, Gauge, Sum};
use super::window::Window;
use crate::base::ids::ShardId;
use crate::base::time::Now;
use crate::channel::broker_op::Realm;

/// A turn longer than this is a stall: whoever waits for the shard notices.
const STALL_NS: u64 = 10_000_000;

/// The code under which a body that could not be decoded is counted in [`Shard::api_errors`].
pub const UNMARSHAL: u32 = u32::MAX;
/// The code for a result that could not be encoded.
pub const MARSHAL: u32 = u32::MAX - 1;

/// Durations as a histogram and as a summary.
#[derive(Clone, Debug)]
pub struct Durations {
    /// Since the start.
    pub histogram: Histogram,
    /// Lately.
    pub window: Window,
}

impl Durations {
    fn new(bounds_ns: &'static [u64]) -> Self {
        Self { histogram: Histogram::new(bounds_ns), window: Window::default() }
    }

    fn observe(&mut self, now: Now, ns: u64) {
        self.histogram.observe(ns);
        self.window.observe(now.mono_ms, ns);
    }
}

impl Sum for Durations {
    fn add(&mut self, other: &Self) {
        self.histogram.add(&other.histogram);
        self.window.add(&other.window);
    }
}

/// Messages and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages.
    pub messages: u64,
    /// Their bytes, without framing.
    pub bytes: u64,
}

impl Sum for Traffic {
    fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}

/// Messages by transport and content.
pub type TrafficTable = [[Traffic; Frame::COUNT]; Transport::COUNT];

/// Which name and version a client gave with its connect command. The texts are not labels unless they are
/// registered, so that clients cannot multiply series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientLabels {
    /// It gave a name.
    pub named: bool,
    /// It gave a version.
    pub versioned: bool,
}

impl ClientLabels {
    /// Every combination, in order of its number.
    pub(super) const ALL: [ClientLabels; 4] = [
        ClientLabels { named: false, versioned: false },
        ClientLabels { named: false, versioned: true },
        ClientLabels { named: true, versioned: false },
        ClientLabels { named: true, versioned: true },
    ];

    fn number(self) -> usize {
        usize::from(self.named) * 2 + usize::from(self.versioned)
    }
}

macro_rules! shard {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $new:expr,)*) => {
        /// The metrics of one shard, or the sum of several.
        #[derive(Clone, Debug)]
        pub struct Shard {
            id: ShardId,
            $($(#[$doc])* pub(super) $field: $type,)*
        }

        impl Shard {
            /// Nothing counted yet.
            pub fn new(id: ShardId) -> Self {
                Self { id, $($field: $new,)* }
            }
        }

        impl Sum for Shard {
            fn add(&mut self, other: &Self) {
                $(self.$field.add(&other.$field);)*
            }
        }
    };
}

shard! {
    /// Clients connected.
    connections: Gauge = Gauge(0),
    /// Connections accepted, by transport and [`ClientLabels`].
    accepted: [[u64; 4]; Transport::COUNT] = [[0; 4]; Transport::COUNT],
    /// Those of them that are still open.
    inflight: [[Gauge; 4]; Transport::COUNT] = [[Gauge(0); 4]; Transport::COUNT],
    /// Subscriptions made, by whether the client gave a name.
    subscribed: [u64; 2] = [0; 2],
    /// Those of them that still stand.
    subscriptions: [Gauge; 2] = [Gauge(0); 2],
    /// By [`Action`].
    actions: [u64; Action::COUNT] = [0; Action::COUNT],
    /// By [`Message`].
    messages_sent: [u64; Message::COUNT] = [0; Message::COUNT],
    /// By [`Message`].
    messages_received: [u64; Message::COUNT] = [0; Message::COUNT],
    /// Requests that changed nothing, by what they were and why.
    suppressed: Counters<(Suppressed, &'static str)> = Counters::default(),
    /// By [`Command`].
    commands: [Durations; Command::COUNT] = std::array::from_fn(|_| Durations::new(COMMAND_NS)),
    /// Errors in replies, by command and code.
    reply_errors: Counters<(Command, u32)> = Counters::default(),
    /// Subscriptions the server ended, by code.
    server_unsubscribes: Counters<u32> = Counters::default(),
    /// Connections the server ended, by code.
    server_disconnects: Counters<u32> = Counters::default(),
    /// Close frames sent, by transport and code.
    closes: Counters<(Transport, u32)> = Counters::default(),
    /// Recoveries, by whether they were complete and by whether they brought publications.
    recoveries: [[u64; 2]; 2] = [[0; 2]; 2],
    /// Publications that tags filters kept from subscribers.
    filtered: u64 = 0,
    /// Publications that complete recoveries brought; counted only where it is asked for.
    recovered: Histogram = Histogram::of_numbers(RECOVERED),
    /// HTTP requests; counted only where it is asked for.
    requests: Requests = Requests::default(),
    /// Connections refused for the node's limit.
    connection_limit: u64 = 0,
    /// By [`Transport`].
    ping_pong: [Histogram; Transport::COUNT] = std::array::from_fn(|_| Histogram::new(COMMAND_NS)),
    /// To clients.
    sent: TrafficTable = [[Traffic::default(); Frame::COUNT]; Transport::COUNT],
    /// From clients.
    received: TrafficTable = [[Traffic::default(); Frame::COUNT]; Transport::COUNT],
    /// Time from a publication until it was offered to the sockets of all its subscribers on the shard.
    latency: Durations = Durations::new(BROADCAST_NS),
    /// Time from a publication to its arrival on the shard.
    lag: Histogram = Histogram::new(LAG_NS),
    /// By [`Api`].
    api: [Durations; Api::COUNT] = std::array::from_fn(|_| Durations::new(API_NS)),
    /// Failed methods, by method and code ([`UNMARSHAL`]: the body).
    api_errors: Counters<(Api, u32)> = Counters::default(),
    /// Surveys of the channels.
    surveys: Durations = Durations::new(SURVEY_NS),
    /// Publications handed to a subscriber.
    deliveries: u64 = 0,
    /// Publications that the shard's channels took.
    publications: u64 = 0,
    /// Turns of the shard's loop.
    turns: u64 = 0,
    /// Nanoseconds of the turns that took longer than 10 ms.
    stall_ns: u64 = 0,
    /// Batches taken from other shards.
    inbox_batches: u64 = 0,
    /// Bytes owed to clients; known when it is asked for.
    outbox_bytes: Gauge = Gauge(0),
    /// Shared-poll channels.
    polls: Polls = Polls::default(),
    /// Listening to Redis.
    redis: Redis = Redis::default(),
    /// The same for maps.
    map_redis: Redis = Redis::default(),
    /// Keys of maps that expire there.
    expiry: Expiry = Expiry::default(),
    /// Channels at home on the shard with subscribers; known when it is asked for.
    channels: Gauge = Gauge(0),
}

impl Shard {
    /// Whose metrics these are.
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// A copy of what is needed to see later what grew: without the quantiles, which take most of the memory.
    pub(super) fn without_windows(&self) -> Self {
        let mut copy = self.clone();
        let single = [&mut copy.surveys, &mut copy.latency];
        let all = copy.commands.iter_mut().chain(&mut copy.api).chain(single);
        all.for_each(|durations| durations.window = Window::default());
        copy
    }

    /// A client connected.
    pub fn connected(&mut self, transport: Transport, labels: ClientLabels) {
        self.connections.0 += 1;
        self.accepted[transport as usize][labels.number()] += 1;
        self.inflight[transport as usize][labels.number()].0 += 1;
        self.action(Action::AddClient);
    }

    /// A client that had connected is gone.
    pub fn disconnected(&mut self, transport: Transport, labels: ClientLabels) {
        self.connections.0 -= 1;
        self.inflight[transport as usize][labels.number()].0 -= 1;
        self.action(Action::RemoveClient);
    }

    /// A subscription began.
    pub fn subscribed(&mut self, labels: ClientLabels) {
        self.subscribed[usize::from(labels.named)] += 1;
        self.subscriptions[usize::from(labels.named)].0 += 1;
        self.action(Action::AddSubscription);
    }

    /// A subscription ended.
    pub fn unsubscribed(&mut self, labels: ClientLabels) {
        self.subscriptions[usize::from(labels.named)].0 -= 1;
        self.action(Action::RemoveSubscription);
    }

    /// The node did something.
    #[inline]
    pub fn action(&mut self, action: Action) {
        self.actions[action as usize] += 1;
    }

    /// A message was given to a channel, or sent to another shard.
    #[inline]
    pub fn message_sent(&mut self, message: Message) {
        self.messages_sent[message as usize] += 1;
    }

    /// A request changed nothing.
    pub fn suppressed(&mut self, request: Suppressed, reason: &'static str) {
        self.suppressed.count((request, reason));
    }

    /// A message came from a channel, or from another shard.
    #[inline]
    pub fn message_received(&mut self, message: Message) {
        self.messages_received[message as usize] += 1;
    }

    /// A command was answered after this time.
    #[inline]
    pub fn command(&mut self, now: Now, command: Command, ns: u64) {
        self.commands[command as usize].observe(now, ns);
    }

    /// A command was answered with an error.
    pub fn reply_error(&mut self, command: Command, code: u32) {
        self.reply_errors.count((command, code));
    }

    /// The server ended a subscription.
    pub fn server_unsubscribe(&mut self, code: u32) {
        self.server_unsubscribes.count(code);
    }

    /// The server ended a connection.
    pub fn server_disconnect(&mut self, code: u32) {
        self.server_disconnects.count(code);
    }

    /// A close frame was sent.
    pub fn close_sent(&mut self, transport: Transport, code: u16) {
        self.closes.count((transport, u32::from(code)));
    }

    /// A subscription asked for recovery.
    pub fn recovery(&mut self, recovered: bool, has_publications: bool) {
        self.recoveries[usize::from(recovered)][usize::from(has_publications)] += 1;
    }

    /// So many subscribers did not get a publication because of their tags filter.
    pub fn filtered(&mut self, subscribers: u64) {
        self.filtered += subscribers;
    }

    /// A complete recovery brought so many publications.
    pub fn recovered(&mut self, publications: u64) {
        self.recovered.observe(publications);
    }

    /// A HTTP request to one of the node's own paths was answered.
    pub fn http_request(&mut self, path: &str, method: &str, status: u16) {
        self.requests.count(path, method, status);
    }

    /// A connection was refused because the node has too many.
    pub fn connection_refused(&mut self) {
        self.connection_limit += 1;
    }

    /// A client answered a ping after this time.
    pub fn pong(&mut self, transport: Transport, ns: u64) {
        self.ping_pong[transport as usize].observe(ns);
    }

    /// Messages of one kind were sent to clients, so many bytes in all.
    #[inline]
    pub fn sent(&mut self, transport: Transport, frame: Frame, messages: u64, bytes: u64) {
        self.sent[transport as usize][frame as usize].add(&Traffic { messages, bytes });
    }

    /// A message came from a client.
    #[inline]
    pub fn received(&mut self, transport: Transport, frame: Frame, bytes: u64) {
        self.received[transport as usize][frame as usize].add(&Traffic { messages: 1, bytes });
    }

    /// A publication was handed to so many subscribers of the shard, so long after it was made (wall clock).
    #[inline]
    pub fn broadcast(&mut self, subscribers: u64, lag_ms: u64) {
        self.deliveries += subscribers;
        self.lag.observe(lag_ms.saturating_mul(1_000_000));
    }

    /// A publication was offered to the sockets of all its subscribers on the shard, so long after it was made.
    #[inline]
    pub fn delivery(&mut self, now: Now, us: u64) {
        self.latency.observe(now, us.saturating_mul(1000));
    }

    /// A channel of the shard took a publication.
    #[inline]
    pub fn published(&mut self) {
        self.publications += 1;
    }

    /// A method of the server API was answered after this time.
    pub fn api(&mut self, now: Now, method: Api, ns: u64) {
        self.api[method as usize].observe(now, ns);
    }

    /// A method of the server API failed.
    pub fn api_error(&mut self, method: Api, code: u32) {
        self.api_errors.count((method, code));
    }

    /// All shards have answered what channels they have.
    pub fn survey(&mut self, now: Now, ns: u64) {
        self.surveys.observe(now, ns);
        self.action(Action::Survey);
    }

    /// A turn of the shard's loop took this time.
    #[inline]
    pub fn turn(&mut self, ns: u64) {
        self.turns += 1;
        if ns > STALL_NS {
            self.stall_ns += ns;
        }
    }

    /// Batches were taken from the inbox.
    #[inline]
    pub fn inbox(&mut self, batches: u64) {
        self.inbox_batches += batches;
    }

    /// So many bytes are owed to clients at this moment.
    pub fn outbox(&mut self, bytes: usize) {
        self.outbox_bytes.0 = bytes as i64;
    }

    /// So many channels at home on the shard have subscribers at this moment.
    pub fn channels(&mut self, channels: usize) {
        self.channels.0 = channels as i64;
    }

    /// What is counted of listening to Redis.
    pub fn redis(&mut self, realm: Realm) -> &mut Redis {
        match realm {
            Realm::Streams => &mut self.redis,
            Realm::Maps => &mut self.map_redis,
        }
    }

    /// What is counted of keys of maps that expire there.
    pub fn expiry(&mut self) -> &mut Expiry {
        &mut self.expiry
    }

    /// What is counted of shared-poll channels.
    pub fn polls(&mut self) -> &mut Polls {
        &mut self.polls
    }

    /// Subscriptions of the shard's clients.
    pub(super) fn subscriptions(&self) -> i64 {
        self.subscriptions.iter().map(|open| open.0).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_add_up() {
        let now = Now::default();
        let mut one = Shard::new(ShardId(0));
        one.connected(Transport::WebSocket, ClientLabels::default());
        one.command(now, Command::Connect, 1000);
        one.reply_error(Command::Rpc, 108);
        let mut two = Shard::new(ShardId(1));
        two.connected(Transport::WebSocket, ClientLabels { named: true, versioned: true });
        two.reply_error(Command::Rpc, 108);

        let mut all = one.clone();
        all.add(&two);
        assert_eq!(all.connections, Gauge(2));
        assert_eq!(all.accepted[0], [1, 0, 0, 1]);
        assert_eq!(all.reply_errors.iter().collect::<Vec<_>>(), [((Command::Rpc, 108), 2)]);
        assert_eq!(all.commands[Command::Connect as usize].histogram.count(), 1);
    }

    #[test]
    fn only_long_turns_are_stalls() {
        let mut shard = Shard::new(ShardId(0));
        shard.turn(STALL_NS);
        shard.turn(STALL_NS + 1);
        assert_eq!((shard.turns, shard.stall_ns), (2, STALL_NS + 1));
    }

    #[test]
    fn labels_of_clients_stand_at_their_number() {
        for (number, labels) in ClientLabels::ALL.into_iter().enumerate() {
            assert_eq!(labels.number(), number);
        }
    }
}
