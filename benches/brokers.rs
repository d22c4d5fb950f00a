//! What the way to a broker and back costs: CPU of this process for one publication that comes back to its home, by how
//! many are under way; and how long 100,000 channels take to be subscribed to again. Needs `redis-server` and
//! `nats-server`.
//!
//!     cargo bench --bench brokers

#[allow(dead_code, reason = "tests do more with it")]
#[path = "../tests/support/nats.rs"]
mod nats;
#[allow(dead_code, reason = "tests do more with it")]
#[path = "../tests/support/redis.rs"]
mod redis;

use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use spindle::base::ids::ConnId;
use spindle::channel::broker_op::{BrokerEvent, BrokerOp, BrokerRequest, Realm, Ticket};
use spindle::channel::name::ChannelName;
use spindle::channel::op::{HistoryOptions, PublishOp};
use spindle::channel::publication::Publication;
use spindle::config::load::{Sources, load};
use spindle::config::prepare::{Host, prepare};
use spindle::control::broker::Broker;
use spindle::control::plane::Bell;
use spindle::mesh::{Line, line};

/// A failure bound, not a pace.
const PATIENCE: Duration = Duration::from_secs(60);

const PUBLICATIONS: usize = 200_000;

const CHANNELS: u32 = 100_000;

struct Shard {
    line: Line<BrokerRequest, BrokerEvent>,
    rung: mpsc::Receiver<()>,
    bell: Bell,
}

impl Shard {
    fn ask(&mut self, requests: impl Iterator<Item = (ChannelName, BrokerOp)>) {
        let ticket = Some(Ticket(ConnId { slot: 0, generation: 0 }));
        self.line.send(requests.map(|(channel, op)| BrokerRequest::Channel { channel, op, ticket }).collect());
        self.bell.ring();
    }

    /// What came; waits for something.
    fn take(&mut self) -> Vec<BrokerEvent> {
        loop {
            if let Some(events) = self.line.take() {
                return events;
            }
            if self.line.prepare_to_sleep() {
                self.rung.recv_timeout(PATIENCE).expect("something comes");
                self.line.awake();
            }
        }
    }

    /// Waits for so many events that this counts.
    fn count(&mut self, wanted: usize, counts: impl Fn(&BrokerEvent) -> bool) {
        let mut found = 0;
        while found < wanted {
            found += self.take().iter().filter(|event| counts(event)).count();
        }
    }
}

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn publish(size: u32) -> BrokerOp {
    BrokerOp::Publish(Box::new(PublishOp {
        publication: Publication::bare(Bytes::from_static(b"{\"text\":\"hello, this is about as long as chat is\"}")),
        history: HistoryOptions { size, ttl_s: 60, meta_ttl_s: 600 },
        delta: false,
        idempotency_key: None,
        version_epoch: "".into(),
    }))
}

/// A shard before the broker of these options.
fn shard(runtime: &tokio::runtime::Runtime, options: &str) -> Shard {
    let loaded =
        load(Sources { file: Some(("a.json", options)), env: &Default::default(), flags: &[] }).expect("options");
    let snapshot = prepare(&loaded.options, &Host { name: "bench", resolve: &|_| None }, false).expect("options");
    let found = runtime.block_on(Broker::find(&snapshot, "bench"));
    let driver = found.expect("it is there").expect("not in memory");
    let ((line, far_end), (rings, rung), bell) = (line(), mpsc::channel(), Bell::default());
    let ring = move |_| {
        // Whoever waited may have ended.
        let _ = rings.send(());
    };
    runtime.spawn(driver.serve(vec![far_end], bell.clone(), std::sync::Arc::new(|_: &str| None), ring));
    Shard { line, rung, bell }
}

fn publications(shard: &mut Shard, names: &[ChannelName], what: &str, size: u32, publications: usize) {
    for under_way in [1, 8, 64, 512] {
        let (began, used) = (Instant::now(), cpu());
        let (mut asked, mut answered, mut heard) = (0, 0, 0);
        while heard < publications || answered < publications {
            let more = (under_way - (asked - answered.min(heard))).min(publications - asked);
            if more > 0 {
                shard.ask((asked..asked + more).map(|number| (names[number % names.len()].clone(), publish(size))));
                asked += more;
            }
            for event in shard.take() {
                match event {
                    BrokerEvent::Reply(..) => answered += 1,
                    BrokerEvent::Publication(..) => heard += 1,
                    other => panic!("{other:?}"),
                }
            }
        }
        let (took, used) = (began.elapsed(), cpu() - used);
        let each = |time: Duration| time.as_secs_f64() * 1e6 / publications as f64;
        println!(
            "{what}, {under_way:3} under way: {:6.2} µs CPU, {:6.2} µs a publication, {:7.0} a second",
            each(used),
            each(took),
            1e6 / each(took)
        );
    }
}

/// Many channels are subscribed to, and again when the connection breaks.
fn subscriptions(shard: &mut Shard, broker: &str, channels: u32, others: usize, end: impl FnOnce()) {
    let many: Vec<_> = (0..channels).map(|number| ChannelName::new(&format!("many:{number}"))).collect();
    let (began, used) = (Instant::now(), cpu());
    shard.ask(many.iter().map(|name| (name.clone(), BrokerOp::Subscribe(Realm::Streams))));
    shard.count(many.len(), |event| matches!(event, BrokerEvent::Reply(..)));
    println!("{broker}: {channels} channels subscribed to in {:?}, {:?} CPU", began.elapsed(), cpu() - used);
    let (began, used) = (Instant::now(), cpu());
    end();
    shard.count(many.len() + others, |event| matches!(event, BrokerEvent::Resumed(_)));
    println!("{broker}: {channels} channels subscribed to again in {:?}, {:?} CPU", began.elapsed(), cpu() - used);
}

fn main() {
    // `cargo test` runs benches to see that they do.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let (count, channels) = if is_bench { (PUBLICATIONS, CHANNELS) } else { (1_000, 1_000) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
    let names: Vec<_> = (0..64).map(|number| ChannelName::new(&format!("bench:{number}"))).collect();
    let begin = |options: &str| {
        let mut shard = shard(&runtime, options);
        shard.ask(names.iter().map(|name| (name.clone(), BrokerOp::Subscribe(Realm::Streams))));
        shard.count(names.len(), |event| matches!(event, BrokerEvent::Reply(..)));
        shard
    };

    let mut nats = nats::Nats::start();
    let options = format!(r#"{{"broker":{{"enabled":true,"type":"nats","nats":{{"url":"{}"}}}}}}"#, nats.url());
    let mut shard = begin(&options);
    publications(&mut shard, &names, "NATS", 0, count);
    subscriptions(&mut shard, "NATS", channels, names.len(), || {
        nats.kill();
        nats.restart();
    });

    let redis = redis::Redis::start();
    let address = format!("unix://{}", redis.socket().display());
    let mut shard = begin(&format!(r#"{{"engine":{{"type":"redis","redis":{{"address":"{address}"}}}}}}"#));
    publications(&mut shard, &names, "Redis without history", 0, count);
    publications(&mut shard, &names, "Redis with history", 100, count);
    subscriptions(&mut shard, "Redis", channels, names.len(), || {
        redis.connect().send(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    });
}
