//! A call of the server API against a whole shard: a line that names the method (nothing = the legacy route, `!` in
//! front = errors as HTTP statuses), behind it the body. It must be answered, in one of the documented ways, and leave
//! no call behind.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use spindle::api::{Node, Request, Response};
use spindle::auth::Verifiers;
use spindle::base::ids::ShardId;
use spindle::base::time::Now;
use spindle::config::env::Env;
use spindle::config::load::{Sources, load};
use spindle::config::prepare::{Host, prepare};
use spindle::config::snapshot::Snapshot;
use spindle::engine::{Engine, Parts};
use spindle::mesh::{Limits, mesh};
use spindle::protocol::api::{BatchResponse, PublishResponse};
use spindle::protocol::json::decode_whole;

/// Channels of every kind. Names such as `a` have no namespace.
const CONFIG: &str = r#"{"http_api": {"insecure": true}, "channel": {"without_namespace": {"presence": true},
    "namespaces": [
        {"name": "hi", "history_size": 5, "history_ttl": "60s"},
        {"name": "js", "publication_data_format": "json_object"},
        {"name": "bi", "publication_data_format": "binary", "history_size": 5, "history_ttl": "60s"},
        {"name": "kv", "subscription_type": "map", "map": {"mode": "recoverable", "key_ttl": "60s"}},
        {"name": "ep", "subscription_type": "map", "map": {"mode": "ephemeral", "key_ttl": "60s"}}
    ]}}"#;

static PARTS: LazyLock<(Arc<Snapshot>, Arc<Verifiers>)> = LazyLock::new(|| {
    let env = Env::new();
    let loaded = load(Sources { file: Some(("a.json", CONFIG)), env: &env, flags: &[] }).expect("it loads");
    let config = prepare(&loaded.options, &Host { name: "fuzz", resolve: &|_| None }, false).expect("it prepares");
    let verifiers = Verifiers::new(&config).expect("no keys");
    (Arc::new(config), Arc::new(verifiers))
});

/// Error codes of the server API.
const CODES: [u32; 7] = [100, 102, 104, 107, 108, 112, 113];

fn check(method: &str, is_transport: bool, response: &Response) {
    let text = String::from_utf8_lossy(&response.body);
    match (response.status, response.content_type) {
        (200, "application/json") => {
            // A legacy body of blanks alone holds no command, and its response nothing.
            for line in response.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let reply = decode_whole::<PublishResponse<'_>>(line).expect("JSON");
                let replies =
                    decode_whole::<BatchResponse<'_>>(line).map_or_else(|_| Vec::new(), |batch| batch.replies);
                let errors = reply.error.into_iter().chain(replies.into_iter().filter_map(|reply| reply.error));
                for error in errors {
                    assert!(CODES.contains(&error.code) && !error.message.is_empty(), "{method}: {text}");
                }
            }
        }
        (404 | 400 | 416 | 409 | 500, "application/json") => {
            assert!(is_transport, "{method}: {text}");
            let error = decode_whole::<spindle::protocol::api::Error<'_>>(&response.body).expect("an error");
            assert!(CODES.contains(&error.code), "{method}: {text}");
        }
        (400, _) => assert_eq!(text, "Bad Request\n", "{method}"),
        (404, _) => assert_eq!(text, "404 page not found\n", "{method}"),
        (500, _) => assert_eq!(text, "Internal Server Error\n", "{method}"),
        (status, _) => panic!("{method}: {status} {text}"),
    }
}

fuzz_target!(|input: &[u8]| {
    let (config, verifiers) = &*PARTS;
    let mut engine = Engine::new(Parts {
        id: ShardId(0),
        port: mesh(1, Limits::default()).remove(0),
        desk: spindle::mesh::desk(1).0,
        line: None,
        shards: 1,
        config: config.clone(),
        verifiers: verifiers.clone(),
        node: Arc::new(Node { uid: "n".into(), version: "0".into() }),
        seed: [7; 32],
        now: Now { mono_ms: 1, mono_us: 1000, unix_ms: 1_700_000_000_000 },
    });
    // Several calls, apart by a line of three dashes: the later ones find what the earlier ones left.
    for call in String::from_utf8_lossy(input).split("\n---\n").take(4) {
        let (line, body) = call.split_once('\n').unwrap_or(("", call));
        let method = line.trim_start_matches('!');
        let error_mode = line.starts_with('!').then_some("transport");
        let id = engine.call(Request { method, error_mode, body: body.as_bytes() }).expect("room for a call");
        let response = (0..1000).find_map(|_| {
            engine.work();
            engine.flush_mesh(|_| {});
            engine.take_response(id)
        });
        check(method, error_mode.is_some(), &response.expect("an answer"));
    }
    assert_eq!(engine.audit().calls, 0);
});
