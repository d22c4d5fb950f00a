//! Names of keys and of PUB/SUB channels (upstream: centrifuge broker_redis.go, presence_redis.go, map_broker_redis.go).

use std::fmt::{self, Display, Write};
use std::num::NonZeroU32;

use super::hash::spread;

/// How channels are written into names, which decides where Redis keeps them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// One Redis, or several that know nothing of each other: `a`.
    Plain,
    /// Redis Cluster: `{a}`. All keys of a channel are in one slot, and so is its PUB/SUB channel, because scripts
    /// publish.
    Cluster,
    /// Redis Cluster with sharded PUB/SUB: `{3}.a`. As many slots are in use as there are partitions, so that a node
    /// needs no more PUB/SUB connections than that.
    Partitioned(NonZeroU32),
}

/// Makes names.
#[derive(Clone, Debug)]
pub struct Names {
    prefix: Box<str>,
    layout: Layout,
    /// History is in lists, which have their own names.
    lists: bool,
}

/// A name, written only where it is needed: into a command.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    prefix: &'a str,
    /// Between prefix and channel, marks of separation included.
    kind: &'static str,
    tag: Tag,
    channel: &'a str,
    /// Behind the channel, with a mark of separation before it, when there is one.
    tail: Option<&'a str>,
}

#[derive(Clone, Copy, Debug)]
enum Tag {
    None,
    Whole,
    Partition(u32),
}

impl Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.prefix)?;
        f.write_str(self.kind)?;
        match self.tag {
            Tag::None => f.write_str(self.channel)?,
            Tag::Whole => write!(f, "{{{}}}", self.channel)?,
            Tag::Partition(number) => write!(f, "{{{number}}}.{}", self.channel)?,
        }
        match self.tail {
            Some(tail) => write!(f, ".{tail}"),
            None => Ok(()),
        }
    }
}

impl Names {
    /// Names below a prefix (`engine.redis.prefix`).
    pub fn new(prefix: &str, layout: Layout, lists: bool) -> Self {
        Self { prefix: prefix.into(), layout, lists }
    }

    /// Whether publishing takes `SPUBLISH`, and subscribing `SSUBSCRIBE`.
    pub fn is_partitioned(&self) -> bool {
        self.partitions().is_some()
    }

    /// How many partitions there are, with sharded PUB/SUB.
    pub fn partitions(&self) -> Option<NonZeroU32> {
        match self.layout {
            Layout::Partitioned(count) => Some(count),
            Layout::Plain | Layout::Cluster => None,
        }
    }

    /// The command that publishes.
    pub fn publish_command(&self) -> &'static str {
        if self.is_partitioned() { "SPUBLISH" } else { "PUBLISH" }
    }

    /// Whether history is kept in lists.
    pub fn uses_lists(&self) -> bool {
        self.lists
    }

    /// The partition of a channel; 0 without partitions.
    pub fn partition(&self, channel: &str) -> u32 {
        match self.layout {
            Layout::Partitioned(count) => spread(channel, count.get()),
            Layout::Plain | Layout::Cluster => 0,
        }
    }

    fn name<'a>(&'a self, kind: &'static str, channel: &'a str, tail: Option<&'a str>) -> Name<'a> {
        let tag = match self.layout {
            Layout::Plain => Tag::None,
            Layout::Cluster => Tag::Whole,
            Layout::Partitioned(_) => Tag::Partition(self.partition(channel)),
        };
        Name { prefix: &self.prefix, kind, tag, channel, tail }
    }

    /// PUB/SUB channel with what happens in a channel.
    pub fn messages<'a>(&'a self, channel: &'a str) -> Name<'a> {
        self.name(CLIENT, channel, None)
    }

    /// The channel whose messages come on a PUB/SUB channel.
    pub fn channel_of<'n>(&self, name: &'n str) -> Option<&'n str> {
        let rest = name.strip_prefix(&*self.prefix)?.strip_prefix(CLIENT)?;
        match self.layout {
            Layout::Plain => Some(rest),
            Layout::Cluster => rest.strip_prefix('{')?.strip_suffix('}'),
            Layout::Partitioned(_) => Some(rest.strip_prefix('{')?.split_once('.')?.1),
        }
        .filter(|channel| !channel.is_empty())
    }

    /// Publications of a channel.
    pub fn history<'a>(&'a self, channel: &'a str) -> Name<'a> {
        self.name(if self.lists { ".list." } else { ".stream." }, channel, None)
    }

    /// Offset, epoch and version of a channel.
    pub fn history_meta<'a>(&'a self, channel: &'a str) -> Name<'a> {
        self.name(if self.lists { ".list.meta." } else { ".stream.meta." }, channel, None)
    }

    /// Where a publication with an idempotency key stands. Streams and maps of one name share them.
    pub fn result<'a>(&'a self, channel: &'a str, idempotency_key: &'a str) -> Name<'a> {
        self.name(".result.", channel, Some(idempotency_key))
    }

    /// Presence names know nothing of partitions.
    fn presence<'a>(&'a self, kind: &'static str, channel: &'a str) -> Name<'a> {
        let tag = if self.layout == Layout::Plain { Tag::None } else { Tag::Whole };
        Name { prefix: &self.prefix, kind, tag, channel, tail: None }
    }

    /// Hash from client to info.
    pub fn presence_data<'a>(&'a self, channel: &'a str) -> Name<'a> {
        self.presence(".presence.data.", channel)
    }

    /// Sorted set of clients by the second in which they expire.
    pub fn presence_expire<'a>(&'a self, channel: &'a str) -> Name<'a> {
        self.presence(".presence.expire.", channel)
    }

    /// Hash from user to number of clients.
    pub fn presence_user_clients<'a>(&'a self, channel: &'a str) -> Name<'a> {
        self.presence(".presence.user.clients.", channel)
    }

    /// Sorted set of users by the second in which they expire.
    pub fn presence_user_expire<'a>(&'a self, channel: &'a str) -> Name<'a> {
        self.presence(".presence.user.expire.", channel)
    }

    /// Changes of a map.
    pub fn map_stream<'a>(&'a self, channel: &'a str) -> Name<'a> {
        self.name(":stream:", channel, None)
    }

    /// Offset and epoch of a map.
    pub fn map_meta<'a>(&'a self, channel: &'a str) -> Name<'a> {
        self.name(":meta:", channel, None)
    }

    /// Hash from key to state.
    pub fn map_state<'a>(&'a self, channel: &'a str) -> Name<'a> {
        self.name(":state:", channel, None)
    }

    /// Sorted set of keys by score; only Centrifugo's paid edition fills it.
    pub fn map_order<'a>(&'a self, channel: &'a str) -> Name<'a> {
        self.name(":state:order:", channel, None)
    }

    /// Sorted set of keys by the millisecond in which they expire.
    pub fn map_expire<'a>(&'a self, channel: &'a str) -> Name<'a> {
        self.name(":state:expire:", channel, None)
    }

    /// Epoch and versions of a map's state.
    pub fn map_state_meta<'a>(&'a self, channel: &'a str) -> Name<'a> {
        self.name(":state:meta:", channel, None)
    }

    /// Sorted set of the partition's maps by the millisecond in which their first key expires.
    pub fn map_cleanup(&self, partition: u32) -> Cleanup<'_> {
        Cleanup { prefix: &self.prefix, partition: self.is_partitioned().then_some(partition) }
    }

    /// PUB/SUB channel for all nodes.
    pub fn control(&self) -> String {
        format!("{}.control", self.prefix)
    }

    /// PUB/SUB channel for one node.
    pub fn node(&self, uid: &str) -> String {
        format!("{}.node.{uid}", self.prefix)
    }

    /// PUB/SUB channel that a connection for messages subscribes to first, so that it is in PUB/SUB mode, and on the
    /// right member of a Cluster, before there is a channel to subscribe to.
    pub fn connection(&self, partition: u32, number: u32) -> String {
        let mut name = format!("{}.shard.{number}", self.prefix);
        if self.is_partitioned() {
            let _ = write!(name, ".{{{partition}}}");
        }
        name
    }
}

const CLIENT: &str = ".client.";

/// Name of the sorted set that says which maps have keys that expire.
#[derive(Clone, Copy, Debug)]
pub struct Cleanup<'a> {
    prefix: &'a str,
    partition: Option<u32>,
}

impl Display for Cleanup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:cleanup:channels", self.prefix)?;
        match self.partition {
            Some(number) => write!(f, ":{{{number}}}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(layout: Layout) -> Names {
        Names::new("cf", layout, false)
    }

    fn partitioned() -> Layout {
        Layout::Partitioned(NonZeroU32::new(16).unwrap())
    }

    #[track_caller]
    fn check(name: impl Display, expected: &str) {
        assert_eq!(name.to_string(), expected);
    }

    #[test]
    fn plain() {
        let names = names(Layout::Plain);
        check(names.messages("a:b"), "cf.client.a:b");
        check(names.history("a"), "cf.stream.a");
        check(names.history_meta("a"), "cf.stream.meta.a");
        check(names.result("a", "key"), "cf.result.a.key");
        check(names.presence_data("a"), "cf.presence.data.a");
        check(names.presence_expire("a"), "cf.presence.expire.a");
        check(names.presence_user_clients("a"), "cf.presence.user.clients.a");
        check(names.presence_user_expire("a"), "cf.presence.user.expire.a");
        check(names.map_stream("a"), "cf:stream:a");
        check(names.map_meta("a"), "cf:meta:a");
        check(names.map_state("a"), "cf:state:a");
        check(names.map_order("a"), "cf:state:order:a");
        check(names.map_expire("a"), "cf:state:expire:a");
        check(names.map_state_meta("a"), "cf:state:meta:a");
        check(names.map_cleanup(0), "cf:cleanup:channels");
        check(names.control(), "cf.control");
        check(names.node("1-2"), "cf.node.1-2");
        check(names.connection(0, 3), "cf.shard.3");
    }

    #[test]
    fn lists() {
        let names = Names::new("cf", Layout::Plain, true);
        check(names.history("a"), "cf.list.a");
        check(names.history_meta("a"), "cf.list.meta.a");
    }

    #[test]
    fn cluster() {
        let names = names(Layout::Cluster);
        check(names.messages("a"), "cf.client.{a}");
        check(names.history("a"), "cf.stream.{a}");
        check(names.history_meta("a"), "cf.stream.meta.{a}");
        check(names.result("a", "key"), "cf.result.{a}.key");
        check(names.presence_data("a"), "cf.presence.data.{a}");
        check(names.connection(0, 3), "cf.shard.3");
    }

    #[test]
    fn partitions() {
        let names = names(partitioned());
        let number = spread("a", 16);
        check(names.messages("a"), &format!("cf.client.{{{number}}}.a"));
        check(names.history("a"), &format!("cf.stream.{{{number}}}.a"));
        check(names.result("a", "key"), &format!("cf.result.{{{number}}}.a.key"));
        check(names.presence_data("a"), "cf.presence.data.{a}");
        check(names.map_state("a"), &format!("cf:state:{{{number}}}.a"));
        check(names.map_cleanup(number), &format!("cf:cleanup:channels:{{{number}}}"));
        check(names.connection(number, 3), &format!("cf.shard.3.{{{number}}}"));
    }

    #[test]
    fn a_channel_comes_back_from_its_name() {
        for layout in [Layout::Plain, Layout::Cluster, partitioned()] {
            let names = names(layout);
            for channel in ["a", "a.b", "{a}", "a}", "cf.client.a", "é\u{0}"] {
                assert_eq!(names.channel_of(&names.messages(channel).to_string()), Some(channel), "{layout:?}");
            }
            for other in ["", "cf.control", "cf.client.", "cg.client.a", "cf.client.{}", "cf.client.{1}."] {
                assert!(layout == Layout::Plain || names.channel_of(other).is_none(), "{other} {layout:?}");
            }
            assert_eq!(names.channel_of("cf.client."), None);
        }
        assert_eq!(names(Layout::Cluster).channel_of("cf.client.a"), None);
        assert_eq!(names(partitioned()).channel_of("cf.client.a"), None);
    }
}
