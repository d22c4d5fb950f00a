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
    Publication { data: data.into(), info: Some(info), offset: 123_456, ..Default::default() }
}

#[divan::bench(args = PROTOCOLS)]
fn decode_publish(bencher: Bencher<'_, '_>, protocol: Protocol) {
    let publish = PublishRequest {
        channel: "chat:index".into(),
        data: r#"{"input":"hello, world"}"#.into(),
        ..Default::default()
    };
    decode(bencher, protocol, &Command { id: 17, publish: Some(publish), ..Default::default() });
}

#[divan::bench(args = PROTOCOLS)]
fn decode_publish_4k(bencher: Bencher<'_, '_>, protocol: Protocol) {
    let data = payload(4096);
    let publish = PublishRequest { channel: "chat:index".into(), data: data.as_str().into(), ..Default::default() };
    decode(bencher, protocol, &Command { id: 17, publish: Some(publish), ..Default::default() });
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
    decode(bencher, protocol, &Command { id: 17, subscribe: Some(Box::new(subscribe)), ..Default::default() });
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
    encode(bencher, protocol, &Reply { push: Some(push), ..Default::default() });
}

#[divan::bench(args = PROTOCOLS)]
fn encode_push_4k(bencher: Bencher<'_, '_>, protocol: Protocol) {
    let data = payload(4096);
    let push = Push { channel: "chat:index".into(), r#pub: Some(publication(&data)), ..Default::default() };
    encode(bencher, protocol, &Reply { push: Some(push), ..Default::default() });
}

#[divan::bench(args = PROTOCOLS)]
fn encode_publish_result(bencher: Bencher<'_, '_>, protocol: Protocol) {
    encode(bencher, protocol, &Reply { id: 17, publish: Some(PublishResult {}), ..Default::default() });
}

#[divan::bench(args = PROTOCOLS)]
fn encode_history_of_50(bencher: Bencher<'_, '_>, protocol: Protocol) {
    let data = payload(200);
    let publications = (0..50).map(|_| publication(&data)).collect();
    let history = HistoryResult { publications, epoch: "aBcDeFgH".into(), offset: 123_456 };
    encode(bencher, protocol, &Reply { id: 17, history: Some(Box::new(history)), ..Default::default() });
}

/// What decides when `protocol::json::valid` asks simd-json: it and the scanner on payloads of several kinds and sizes.
mod validate {
    use super::*;

    /// `(kind, bytes)`
    const CASES: [(&str, usize); 16] = [
        ("plain", 128),
        ("plain", 1024),
        ("plain", 16_384),
        ("indented", 1024),
        ("indented", 16_384),
        ("escapes", 1024),
        ("escapes", 16_384),
        ("numbers", 1024),
        ("numbers", 16_384),
        ("tokens", 1024),
        ("tokens", 16_384),
        ("blanks", 1024),
        ("blanks", 16_384),
        ("text", 1024),
        ("text", 16_384),
        ("text", 65_536),
    ];

    fn json(kind: &str, bytes: usize) -> String {
        let list = |item: &str| {
            let mut json = String::from("[");
            while json.len() < bytes {
                json.push_str(item);
                json.push(',');
            }
            json + "0]"
        };
        match kind {
            "plain" => payload(bytes),
            "indented" => {
                let value: serde_json::Value = serde_json::from_str(&payload(bytes / 3 * 2)).expect("valid");
                serde_json::to_string_pretty(&value).expect("valid")
            }
            "escapes" => serde_json::to_string(&payload(bytes / 5 * 4)).expect("valid"),
            "tokens" => list(r#"{"a":1,"b":[2,{}]},[],true,"#.trim_end_matches(',')),
            "blanks" => list(&format!("\n{0}{{\n{0}  \"a\": 1\n{0}}}", " ".repeat(24))),
            "numbers" => list("[52.520008,13.404954],1733.25,-42"),
            _ => format!("\"{}\"", "Съешь ещё этих мягких французских булок. ".repeat(bytes / 76)),
        }
    }

    #[divan::bench(args = CASES)]
    fn scanner(bencher: Bencher<'_, '_>, (kind, bytes): (&str, usize)) {
        let json = json(kind, bytes);
        bencher.counter(BytesCount::from(json.len())).bench_local(|| {
            let mut scan = json::scan::Scanner::new(black_box(json.as_bytes()));
            assert!(scan.skip().is_ok());
        });
    }

    #[divan::bench(args = CASES)]
    fn simd(bencher: Bencher<'_, '_>, (kind, bytes): (&str, usize)) {
        let json = json(kind, bytes);
        let mut copy = Vec::new();
        let mut buffers = simd_json::Buffers::new(bytes);
        let mut tape = simd_json::Tape::null();
        bencher.counter(BytesCount::from(json.len())).bench_local(move || {
            copy.clear();
            copy.extend_from_slice(black_box(json.as_bytes()));
            let mut used = std::mem::replace(&mut tape, simd_json::Tape(Vec::new())).reset();
            assert!(simd_json::fill_tape(&mut copy, &mut buffers, &mut used).is_ok());
            tape = used.reset();
        });
    }

    #[divan::bench(args = CASES)]
    fn as_used(bencher: Bencher<'_, '_>, (kind, bytes): (&str, usize)) {
        let json = json(kind, bytes);
        bencher
            .counter(BytesCount::from(json.len()))
            .bench_local(|| assert!(json::is_valid(black_box(json.as_bytes()))));
    }
}

fn main() {
    divan::main();
}
