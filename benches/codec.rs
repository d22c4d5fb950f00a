//! The codecs on what travels most: commands in, replies and pushes out. Shows allocations next to times.
//!
//! `cargo bench --bench codec`

use divan::counter::BytesCount;
use divan::{AllocProfiler, Bencher, black_box};
use spindle::protocol::client::{
    ClientInfo, Command, HistoryResult, Publication, PublishRequest, PublishResult, Push, Reply, SubscribeRequest,
};
use spindle::protocol::commands::Commands;
use spindle::protocol::reply::encode_reply;
use spindle::protocol::{Protocol, json, proto};

#[global_allocator]
static ALLOCATIONS: AllocProfiler<mimalloc::MiMalloc> = AllocProfiler::new(mimalloc::MiMalloc);

const PROTOCOLS: [Protocol; 2] = [Protocol::Json, Protocol::Protobuf];

/// JSON as applications send it, of about so many bytes.
fn payload(bytes: usize) -> String {
    let item =
        r#"{"id":"6f1c2d","user":"Åsa","text":"The quick brown fox jumps over the lazy dog","n":12345.5,"ok":true}"#;
    let mut json = String::from(r#"{"items":["#);
    while json.len() + item.len() < bytes {
        json.push_str(item);
        json.push(',');
    }
    json.push_str(r#"null]}"#);
    json
}

/// The frame that holds the command.
fn frame(protocol: Protocol, command: &Command<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    match protocol {
        Protocol::Json => json::encode(command, json::write::Style::Client, &mut out).expect("valid payloads"),
        Protocol::Protobuf => proto::encode_delimited(command, &mut out),
    }
    out
}

fn decode(bencher: Bencher<'_, '_>, protocol: Protocol, command: &Command<'_>) {
    let frame = frame(protocol, command);
    bencher.counter(BytesCount::from(frame.len())).bench_local(|| {
        let mut commands = Commands::new(protocol, black_box(&frame));
        assert!(black_box(commands.next()).is_some_and(|command| command.is_ok()));
    });
}

fn encode(bencher: Bencher<'_, '_>, protocol: Protocol, reply: &Reply<'_>) {
    let mut out = Vec::with_capacity(1 << 20);
    encode_reply(protocol, reply, &mut out).expect("valid payloads");
    bencher.counter(BytesCount::from(out.len())).bench_local(|| {
        out.clear();
        encode_reply(protocol, black_box(reply), &mut out).expect("valid payloads");
    });
}

fn publication(data: &str) -> Publication<'_> {
    let info = ClientInfo {
        user: "user-42".into(),
        client: "6b0c3f0e-5a57-4a5e-9d7b-0d6f0a5f3c11".into(),
        ..Default::default()
    };
    Publication {
        data: data.into(),
        info: Some(info),
        offset: 123_456,
        ..Default::default()
    }
}

#[divan::bench(args = PROTOCOLS)]
fn decode_publish(bencher: Bencher<'_, '_>, protocol: Protocol) {
    let publish = PublishRequest {
        channel: "chat:index".into(),
        data: r#"{"input":"hello, world"}"#.into(),
        ..Default::default()
    };
    decode(
        bencher,
        protocol,
        &Command {
            id: 17,
            publish: Some(publish),
            ..Default::default()
        },
    );
}

#[divan::bench(args = PROTOCOLS)]
fn decode_publish_4k(bencher: Bencher<'_, '_>, protocol: Protocol) {
    let data = payload(4096);
    let publish = PublishRequest {
        channel: "chat:index".into(),
        data: data.as_str().into(),
        ..Default::default()
    };
    decode(
        bencher,
        protocol,
        &Command {
            id: 17,
            publish: Some(publish),
            ..Default::default()
        },
    );
}

#[divan::bench(args = PROTOCOLS)]
fn decode_subscribe(bencher: Bencher<'_, '_>, protocol: Protocol) {
    let subscribe = SubscribeRequest {
        channel: "chat:index".into(),
        recover: true,
        epoch: "aBcDeFgH".into(),
        offset: 4711,
        recoverable: true,
        ..Default::default()
    };
    decode(
        bencher,
        protocol,
        &Command {
            id: 17,
            subscribe: Some(Box::new(subscribe)),
            ..Default::default()
        },
    );
}

#[divan::bench(args = PROTOCOLS)]
fn decode_pong(bencher: Bencher<'_, '_>, protocol: Protocol) {
    decode(bencher, protocol, &Command::default());
}

#[divan::bench(args = PROTOCOLS)]
fn encode_push(bencher: Bencher<'_, '_>, protocol: Protocol) {
    let push = Push {
        channel: "chat:index".into(),
        r#pub: Some(publication(r#"{"input":"hello, world"}"#)),
        ..Default::default()
    };
    encode(
        bencher,
        protocol,
        &Reply {
            push: Some(push),
            ..Default::default()
        },
    );
}

#[divan::bench(args = PROTOCOLS)]
fn encode_push_4k(bencher: Bencher<'_, '_>, protocol: Protocol) {
    let data = payload(4096);
    let push = Push {
        channel: "chat:index".into(),
        r#pub: Some(publication(&data)),
        ..Default::default()
    };
    encode(
        bencher,
        protocol,
        &Reply {
            push: Some(push),
            ..Default::default()
        },
    );
}

#[divan::bench(args = PROTOCOLS)]
fn encode_publish_result(bencher: Bencher<'_, '_>, protocol: Protocol) {
    encode(
        bencher,
        protocol,
        &Reply {
            id: 17,
            publish: Some(PublishResult {}),
            ..Default::default()
        },
    );
}

#[divan::bench(args = PROTOCOLS)]
fn encode_history_of_50(bencher: Bencher<'_, '_>, protocol: Protocol) {
    let data = payload(200);
    let publications = (0..50).map(|_| publication(&data)).collect();
    let history = HistoryResult {
        publications,
        epoch: "aBcDeFgH".into(),
        offset: 123_456,
    };
    encode(
        bencher,
        protocol,
        &Reply {
            id: 17,
            history: Some(Box::new(history)),
            ..Default::default()
        },
    );
}

/// Decides `SIMD_FROM` in `protocol::json::valid`: the scanner alone, on payloads of several sizes.
mod validate {
    use super::*;

    const SIZES: [usize; 6] = [128, 512, 1024, 2048, 8192, 65_536];

    #[divan::bench(args = SIZES)]
    fn scanner(bencher: Bencher<'_, '_>, size: usize) {
        let json = payload(size);
        bencher.counter(BytesCount::from(json.len())).bench_local(|| {
            let mut scan = json::scan::Scanner::new(black_box(json.as_bytes()));
            assert!(scan.skip().is_ok());
        });
    }

    #[divan::bench(args = SIZES)]
    fn simd(bencher: Bencher<'_, '_>, size: usize) {
        let json = payload(size);
        let mut copy = Vec::new();
        let mut buffers = simd_json::Buffers::new(size);
        let mut tape = simd_json::Tape::null();
        bencher.counter(BytesCount::from(json.len())).bench_local(move || {
            copy.clear();
            copy.extend_from_slice(black_box(json.as_bytes()));
            let mut used = std::mem::replace(&mut tape, simd_json::Tape(Vec::new())).reset();
            assert!(simd_json::fill_tape(&mut copy, &mut buffers, &mut used).is_ok());
            tape = used.reset();
        });
    }

    #[divan::bench(args = SIZES)]
    fn as_used(bencher: Bencher<'_, '_>, size: usize) {
        let json = payload(size);
        bencher
            .counter(BytesCount::from(json.len()))
            .bench_local(|| assert!(json::is_valid(black_box(json.as_bytes()))));
    }
}

fn main() {
    divan::main();
}
