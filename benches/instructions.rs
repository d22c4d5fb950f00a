//! One operation, so often: for counting instructions, which are the same in every run where times are not.
//!
//! `just instructions` runs each under callgrind, twice, and divides what the difference costs.

use std::hint::black_box;

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use spindle::auth::{Basis, Budget, Evidence, KeyCache, Verifiers, token};
use spindle::base::ids::ShardId;
use spindle::base::time::Now;
use spindle::channel::home::Homes;
use spindle::channel::name::ChannelName;
use spindle::channel::op::{HistoryOptions, Op, PublishOp, ReplyTo, SubscribeOp};
use spindle::channel::publication::Publication;
use spindle::protocol::client::{self, Push, Reply};
use spindle::protocol::commands::Commands;
use spindle::protocol::raw::Raw;
use spindle::protocol::reply::encode_reply;
use spindle::protocol::{Protocol, json, proto};
use spindle::sim::cluster::{Cluster, connect_frame, open_config, publish_frame, subscribe_frame, token_config};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DATA: &[u8] = br#"{"text":"one message of some sixty bytes, as chats send them"}"#;
const BODY: &[u8] = br#"{"channel":"news","data":{"text":"one message of some sixty bytes, as chats send them"}}"#;
const UNIX_S: i64 = 1_700_000_000;
const NOW: Now = Now { mono_ms: 1, mono_us: 1000, unix_ms: UNIX_S as u64 * 1000 };

type Operation = Box<dyn FnMut()>;
type Setup = fn() -> Operation;

const OPERATIONS: [(&str, Setup); 14] = [
    ("decode_publish_json", || decode_publish(Protocol::Json)),
    ("decode_publish_protobuf", || decode_publish(Protocol::Protobuf)),
    ("encode_push_json", || encode_push(Protocol::Json)),
    ("encode_push_protobuf", || encode_push(Protocol::Protobuf)),
    ("home_publish", || home_publish(HistoryOptions::default())),
    ("home_publish_history", || home_publish(HistoryOptions { size: 100, ttl_s: 300, meta_ttl_s: 3600 })),
    ("api_publish_to_0", || publish(0)),
    ("api_publish_to_1", || publish(1)),
    ("api_publish_to_1001", || publish(1001)),
    ("echo_json", || echo(Protocol::Json)),
    ("echo_protobuf", || echo(Protocol::Protobuf)),
    ("connect_subscribe_json", || connect_and_subscribe(Protocol::Json)),
    ("connect_subscribe_protobuf", || connect_and_subscribe(Protocol::Protobuf)),
    ("verify_hs256", verify),
];

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let name = args.next().unwrap_or_default();
    let times: usize = args.next().and_then(|times| times.parse().ok()).unwrap_or(100);
    match OPERATIONS.iter().find(|(known, _)| *known == name) {
        Some((_, setup)) => {
            let mut operation = setup();
            (0..times).for_each(|_| operation());
        }
        None => OPERATIONS.iter().for_each(|(name, _)| println!("{name}")),
    }
}

fn decode_publish(protocol: Protocol) -> Operation {
    let request = client::PublishRequest { channel: "news".into(), data: Raw::from(DATA), ..Default::default() };
    let command = client::Command { id: 7, publish: Some(request), ..Default::default() };
    let mut message = Vec::new();
    match protocol {
        Protocol::Json => json::encode(&command, json::write::Style::Client, &mut message).expect("valid payloads"),
        Protocol::Protobuf => proto::encode_delimited(&command, &mut message),
    }
    Box::new(move || {
        let mut commands = Commands::new(protocol, black_box(&message));
        black_box(commands.next()).expect("a command").expect("a good one");
    })
}

fn encode_push(protocol: Protocol) -> Operation {
    let mut out = Vec::with_capacity(4096);
    Box::new(move || {
        out.clear();
        let publication = client::Publication { data: Raw::from(DATA), offset: 7, ..Default::default() };
        let push = Push { channel: "news".into(), r#pub: Some(publication), ..Default::default() };
        let reply = Reply { push: Some(push), ..Default::default() };
        encode_reply(protocol, black_box(&reply), &mut out).expect("valid payloads");
    })
}

fn home_publish(history: HistoryOptions) -> Operation {
    let mut homes = Homes::new(StdRng::seed_from_u64(1));
    let name = ChannelName::new("news");
    let subscribe = SubscribeOp { position: false, recover: None, meta_ttl_s: 0, presence: None, join: None };
    homes.handle(ShardId(0), &name, Op::Subscribe(Box::new(subscribe)), ReplyTo::None, NOW, &mut |_, _| ());
    Box::new(move || {
        let op = PublishOp {
            publication: Publication::bare(Bytes::from_static(DATA)),
            history,
            delta: false,
            idempotency_key: None,
            version_epoch: Box::default(),
        };
        homes.handle(ShardId(0), &name, Op::Publish(Box::new(op)), ReplyTo::None, NOW, &mut |_, delivery| {
            black_box(delivery);
        });
    })
}

fn publish(subscribers: usize) -> Operation {
    let mut cluster = Cluster::new(1, open_config());
    for _ in 0..subscribers {
        let client = cluster.connect(0, Protocol::Json);
        cluster.subscribe(client, "news");
    }
    Box::new(move || {
        cluster.call(0, "publish", BODY);
        cluster.settle();
    })
}

fn echo(protocol: Protocol) -> Operation {
    let mut cluster = Cluster::new(1, open_config());
    let client = cluster.connect(0, protocol);
    cluster.subscribe(client, "news");
    let frame = publish_frame(protocol, "news", DATA);
    let mut bytes = frame.clone();
    Box::new(move || {
        bytes.copy_from_slice(&frame);
        cluster.send(client, &mut bytes);
        cluster.settle();
    })
}

fn connect_and_subscribe(protocol: Protocol) -> Operation {
    let config = token_config();
    let token = token::connection(&config.client.token, "user42", 3600, UNIX_S).expect("there is a secret");
    let mut cluster = Cluster::new(1, config);
    let (connect, subscribe) = (connect_frame(protocol, &token), subscribe_frame(protocol, "own"));
    Box::new(move || {
        let client = cluster.open(0, protocol);
        for frame in [&connect, &subscribe] {
            cluster.send(client, &mut frame.clone());
            cluster.settle();
        }
        cluster.close(client);
        cluster.settle();
    })
}

fn verify() -> Operation {
    let config = token_config();
    let verifiers = Verifiers::new(&config).expect("keys in order");
    let token = token::connection(&config.client.token, "user42", 3600, UNIX_S).expect("there is a secret");
    Box::new(move || {
        black_box(verifiers.verify_connection(
            black_box(&token),
            Basis {
                now: NOW,
                keys: &KeyCache::default(),
                evidence: &Evidence::default(),
                budget: &Budget::unlimited(),
            },
        ))
        .expect("a good token");
    })
}
