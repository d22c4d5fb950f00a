//! What is counted of listening to Redis (upstream: centrifuge metrics.go, subsystems `broker` and `map_broker`).

use super::family::{Family, Kind};
use super::sum::{Gauge, Sum};
use crate::channel::broker_op::{Realm, Trouble};

/// Names of the families.
const STREAMS: [&str; 3] = [
    "centrifugo_broker_redis_pub_sub_dropped_messages",
    "centrifugo_broker_redis_pub_sub_errors",
    "centrifugo_broker_redis_pub_sub_buffered_messages",
];

/// The same for maps.
const MAPS: [&str; 3] = [
    "centrifugo_map_broker_redis_pub_sub_dropped_messages",
    "centrifugo_map_broker_redis_pub_sub_errors",
    "centrifugo_map_broker_redis_pub_sub_buffered_messages",
];

/// The counts of a shard, or of several.
#[derive(Clone, Debug, Default)]
pub struct Redis {
    /// Shards whose channels, or maps, live there.
    shards: Gauge,
    /// By [`Trouble`].
    troubles: [u64; Trouble::ALL.len()],
    /// Events that wait for the shard; known when it is asked for.
    waiting: Gauge,
}

impl Sum for Redis {
    fn add(&mut self, other: &Self) {
        self.shards.add(&other.shards);
        self.troubles.add(&other.troubles);
        self.waiting.add(&other.waiting);
    }
}

impl Redis {
    /// Something went wrong.
    pub fn trouble(&mut self, trouble: Trouble) {
        self.troubles[trouble as usize] += 1;
    }

    /// Channels, or maps, live in Redis, and so many events wait for the shard.
    pub fn waits(&mut self, events: usize) {
        (self.shards, self.waiting) = (Gauge(1), Gauge(events as i64));
    }

    /// The families; the first is shown from the start, as in the reference.
    ///
    /// Nothing is ever dropped here: while a shard does not get on, messages stay in Redis. There is one processor,
    /// and what nodes tell each other waits in line with everything else.
    pub(super) fn families(&self, realm: Realm) -> [Family; 3] {
        let ([dropped, errors, buffered], kinds) = match realm {
            Realm::Streams => (STREAMS, &["client", "control"][..]),
            Realm::Maps => (MAPS, &["client"][..]),
        };
        let mut dropped = Family::new(
            Kind::Counter,
            dropped,
            &["broker_name", "channel_type"],
            "Messages lost between Redis and the node.",
        );
        let mut errors =
            Family::new(Kind::Counter, errors, &["broker_name", "error"], "Failures of listening to Redis.");
        let mut buffered = Family::new(
            Kind::Gauge,
            buffered,
            &["broker_name", "channel_type", "pub_sub_processor"],
            "Messages of Redis that wait for a shard.",
        );
        for kind in kinds {
            dropped.number(["", kind], 0.0);
        }
        for (trouble, count) in Trouble::ALL.into_iter().zip(self.troubles).filter(|(_, count)| *count > 0) {
            errors.number(["", trouble.name()], count as f64);
        }
        if self.shards.0 > 0 {
            for kind in kinds {
                let waiting = if *kind == "client" { self.waiting.0 as f64 } else { 0.0 };
                buffered.number(["", kind, "0"], waiting);
            }
        }
        [dropped, errors, buffered]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_added_up() {
        let (mut one, mut other) = (Redis::default(), Redis::default());
        one.trouble(Trouble::Connection);
        one.waits(2);
        other.trouble(Trouble::Connection);
        other.trouble(Trouble::HandleClientMessage);
        other.waits(3);
        one.add(&other);
        let [dropped, errors, buffered] = one.families(Realm::Streams);
        let rows = |family: &Family| format!("{:?}", family.series);
        assert_eq!(dropped.series.len(), 2);
        assert!(rows(&errors).contains("\"connection\"") && rows(&errors).contains("Number(2.0)"), "{}", rows(&errors));
        assert!(rows(&errors).contains("\"handle_client_message\""), "{}", rows(&errors));
        assert!(rows(&buffered).contains("Number(5.0)"), "{}", rows(&buffered));
        let [dropped, _, buffered] = one.families(Realm::Maps);
        assert_eq!((dropped.series.len(), buffered.series.len()), (1, 1));
        assert_eq!(buffered.name, "centrifugo_map_broker_redis_pub_sub_buffered_messages");
        let [_, errors, buffered] = Redis::default().families(Realm::Streams);
        assert!(errors.series.is_empty() && buffered.series.is_empty());
    }

    #[test]
    fn each_trouble_is_at_its_number() {
        for (number, trouble) in Trouble::ALL.into_iter().enumerate() {
            assert_eq!(trouble as usize, number, "{}", trouble.name());
        }
    }
}
