//! Keys of shared-poll channels, published at one node and told at another. Each node asks the backend for itself.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::OnceLock;

use serde_json::{Value, json};
use spindle::auth::track::{Tracked, sign};

use crate::support::http;
use crate::support::server::Server;
use crate::talker::Talker;

const SECRET: &str = "secret";

/// What versions count in, of one channel.
const EPOCH: &str = "of any kind, and any length";

/// Adds to the configuration of a node what [`check`] needs.
pub fn add_to(config: &mut Value) {
    let endpoint = format!("http://{}/polled", backend());
    config["shared_poll"] = json!({"hmac_secret_key": SECRET});
    config["channel"]["proxy"] = json!({"shared_poll_refresh": {"endpoint": endpoint}});
    let namespace = json!({
        "name": "polled", "subscription_type": "shared_poll",
        "allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true,
        "shared_poll": {
            "proxy_name": "default", "mode": "versioned", "publish_enabled": true, "refresh_interval": "300s",
        },
    });
    config["channel"]["namespaces"].as_array_mut().expect("namespaces").push(namespace);
}

/// A backend that knows one key of all channels: `known`, in version 7.
fn backend() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || serve(stream));
            }
        });
        address
    })
}

fn serve(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    while let Some(head) = http::read_head(&mut reader) {
        let length = http::header(&head, "content-length").map_or(0, |length| length.parse().expect("a number"));
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let asked: Value = serde_json::from_slice(&body).expect("a question in JSON");
        let is_known = asked["items"].as_array().into_iter().flatten().any(|item| item["key"] == "known");
        let items = if is_known { json!([{"key": "known", "version": 7, "data": "polled"}]) } else { json!([]) };
        let epoch = if asked["channel"] == "polled:epochs" { EPOCH } else { "" };
        let answer = json!({"result": {"items": items, "epoch": epoch}}).to_string();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len());
        if stream.write_all((head + &answer).as_bytes()).is_err() {
            return;
        }
    }
}

fn subscribe(client: &mut Talker, channel: &str) {
    let reply = client.ask(json!({"subscribe": {"channel": channel, "type": 4}}));
    assert_eq!(reply["subscribe"]["type"], 4, "{reply}");
}

pub fn track(client: &mut Talker, channel: &str, keys: &[&str]) -> Value {
    let signature = sign(SECRET, (0, 0), Tracked { user: "", channel, keys: &keys.join("\0") });
    let items: Vec<_> = keys.iter().map(|key| json!({"key": key})).collect();
    let track = json!([{"signature": signature, "items": items}]);
    client.ask(json!({"sub_refresh": {"channel": channel, "type": 1, "track": track}}))
}

fn publish(node: &Server, channel: &str, key: &str, version: u64, epoch: &str) {
    let request = json!({"channel": channel, "key": key, "version": version, "data": version, "epoch": epoch});
    assert_eq!(node.api("shared_poll_publish", request), json!({}));
}

/// The next version of a key that is pushed.
fn pushed(client: &mut Talker) -> (String, u64, Value) {
    let pushed = client.pushed("pub");
    let key = pushed["key"].as_str().expect("a key").to_owned();
    (key, pushed["version"].as_u64().expect("a version"), pushed["data"].clone())
}

fn told(key: &str, version: u64) -> (String, u64, Value) {
    (key.to_owned(), version, version.into())
}

/// Keys that are tracked at both nodes, published at each.
pub fn check(one: &Server, other: &Server) {
    let mut clients = [Talker::connect(one), Talker::connect(other)];
    for client in &mut clients {
        subscribe(client, "polled:1");
        assert_eq!(track(client, "polled:1", &["a", "b"])["sub_refresh"], json!({}));
    }
    publish(one, "polled:1", "a", 5, "");
    publish(other, "polled:1", "a", 4, "");
    publish(other, "polled:1", "c", 1, "");
    publish(other, "polled:1", "b", 1, "");
    publish(one, "polled:1", "a", 6, "");
    for client in &mut clients {
        // Two nodes published, so keys come in any order; versions of one do not.
        let mut came: Vec<_> = (0..3).map(|_| pushed(client)).collect();
        came.sort_by_key(|(key, ..)| key.clone());
        assert_eq!(came, [told("a", 5), told("a", 6), told("b", 1)]);
    }
    // What the backend knows is told by each node to its own clients, and is the base of what is published.
    for client in &mut clients {
        track(client, "polled:1", &["known"]);
        assert_eq!(pushed(client), ("known".to_owned(), 7, json!("polled")));
    }
    publish(other, "polled:1", "known", 7, "");
    publish(other, "polled:1", "known", 8, "");
    for client in &mut clients {
        assert_eq!(pushed(client), told("known", 8));
    }
    // Whoever tracks no more is not told, others are.
    let [first, second] = &mut clients;
    first.ask(json!({"sub_refresh": {"channel": "polled:1", "type": 2, "untrack": ["a"]}}));
    publish(other, "polled:1", "a", 9, "");
    publish(other, "polled:1", "b", 9, "");
    assert_eq!(pushed(first), told("b", 9));
    assert_eq!([pushed(second), pushed(second)], [told("a", 9), told("b", 9)]);
}

/// The epoch that a publisher names goes along, so that versions of backend and publisher count in the same one.
/// Centrifugo loses it on the way, and ends all subscriptions.
pub fn check_epochs(one: &Server, other: &Server) {
    let channel = "polled:epochs";
    let mut client = Talker::connect(other);
    subscribe(&mut client, channel);
    track(&mut client, channel, &["a"]);
    assert_eq!(client.pushed("unsubscribe")["code"], 2500);
    subscribe(&mut client, channel);
    track(&mut client, channel, &["a"]);
    publish(one, channel, "a", 3, EPOCH);
    let came = client.pushed("pub");
    assert_eq!((&came["version"], &came["epoch"]), (&json!(3), &json!(EPOCH)));
    publish(one, channel, "a", 1, "another one");
    assert_eq!(client.pushed("unsubscribe")["code"], 2500);
}
