//! `map_*` against a real home: one map after the other, request by request.

use std::collections::VecDeque;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::World;
use crate::api::{ApiEffect, Request, Started, start};
use crate::base::ids::{ConnId, ShardId};
use crate::channel::home::Homes;
use crate::channel::op::{Delivery, ReplyTo};

/// A node with one home. The epochs of its maps are shown as `E`, times as `T`.
struct Node {
    world: World,
    homes: Homes,
    epochs: Vec<String>,
}

impl Node {
    fn new() -> Self {
        Self { world: World::new(), homes: Homes::new(StdRng::seed_from_u64(1)), epochs: Vec::new() }
    }

    fn call(&mut self, method: &str, body: &str) -> String {
        let body = self.epochs.last().map_or_else(|| body.to_owned(), |epoch| body.replace("<E>", epoch));
        let mut effects = Vec::new();
        let request = Request { method, error_mode: None, body: body.as_bytes() };
        let started = start(&mut self.world.cx(&mut effects), request);
        let response = match started {
            Started::Done(response) => response,
            Started::Pending(mut call) => {
                let mut effects = VecDeque::from(effects);
                loop {
                    let Some(ApiEffect::Op { channel, op, tag }) = effects.pop_front() else {
                        panic!("{method} {body}: no answer")
                    };
                    let slot = ConnId { slot: 0, generation: 0 };
                    let mut answers = Vec::new();
                    let reply = ReplyTo::Call { call: slot, tag };
                    self.homes.handle(ShardId(0), &channel, op, reply, self.world.now, &mut |_, delivery| {
                        if let Delivery::Answer(_, answer) = delivery {
                            answers.push(answer);
                        }
                    });
                    let answer = answers.pop().expect("an answer");
                    let mut more = Vec::new();
                    if let Some(response) = call.on_answer(&mut self.world.cx(&mut more), tag, answer) {
                        break response;
                    }
                    effects.extend(more);
                }
            }
        };
        assert_eq!(response.status, 200, "{method} {body}");
        self.plain(&String::from_utf8(response.body).unwrap())
    }

    /// The text with known values replaced; an epoch that is seen for the first time counts from then on.
    fn plain(&mut self, text: &str) -> String {
        let mut text = text.replace(&self.world.now.unix_ms.to_string(), "T");
        if let Some((_, rest)) = text.split_once(r#""epoch":""#) {
            let epoch = rest[..8].to_owned();
            if !self.epochs.contains(&epoch) {
                self.epochs.push(epoch);
            }
        }
        if let Some(epoch) = self.epochs.last() {
            text = text.replace(epoch.as_str(), "E");
        }
        text
    }
}

/// Rows of method, body and the text of the response, asked one after the other.
fn check(rows: &[(&str, &str, &str)]) {
    let mut node = Node::new();
    for (method, body, text) in rows {
        assert_eq!(node.call(method, body), *text, "{method} {body}");
    }
}

const E102: &str = r#"{"error":{"code":102,"message":"unknown channel"}}"#;
const E107: &str = r#"{"error":{"code":107,"message":"bad request"}}"#;
const E112: &str = r#"{"error":{"code":112,"message":"unrecoverable position"}}"#;
const EMPTY: &str = r#"{"result":{}}"#;

#[test]
fn what_is_asked_is_checked() {
    for method in ["map_publish", "map_remove"] {
        check(&[
            (method, r#"{"channel":"kv:a"}"#, E107),
            (method, r#"{"key":"k"}"#, E107),
            (method, r#"{"channel":"nowhere:a","key":"k"}"#, E102),
            (method, r#"{"channel":"open:a","key":"k"}"#, E107),
        ]);
    }
    for method in ["map_read_state", "map_read_stream", "map_stats", "map_clear"] {
        check(&[
            (method, r#"{}"#, E107),
            (method, r#"{"channel":"nowhere:a"}"#, E102),
            (method, r#"{"channel":"poll:a"}"#, E107),
        ]);
    }
    check(&[
        ("shared_poll_publish", r#"{"channel":"pollp:a","key":"k","version":1,"data":{},"epoch":"e"}"#, EMPTY),
        ("shared_poll_publish", r#"{"channel":"pollp:a","key":"k","version":1,"b64data":"*"}"#, E107),
        ("map_publish", r#"{"channel":"kv:a","key":"k","b64data":"*"}"#, E107),
        ("map_publish", r#"{"channel":"kv:a","key":"k","key_mode":"always"}"#, E107),
    ]);
}

#[test]
fn keys_are_set_read_and_removed() {
    let one = r#"{"key":"a","data":1,"tags":{"t":"x"},"offset":1,"time":T}"#;
    let two = r#"{"key":"b","data":{"n":2},"offset":2,"time":T}"#;
    let gone = r#"{"key":"a","tags":{"t":"x"},"offset":3,"removed":true,"time":T}"#;
    check(&[
        ("map_stats", r#"{"channel":"kv:a"}"#, EMPTY),
        (
            "map_publish",
            r#"{"channel":"kv:a","key":"a","data":1,"tags":{"t":"x"}}"#,
            r#"{"result":{"offset":1,"epoch":"E"}}"#,
        ),
        ("map_publish", r#"{"channel":"kv:a","key":"b","data":{"n":2}}"#, r#"{"result":{"offset":2,"epoch":"E"}}"#),
        ("map_stats", r#"{"channel":"kv:a"}"#, r#"{"result":{"num_keys":2}}"#),
        (
            "map_read_state",
            r#"{"channel":"kv:a","limit":10}"#,
            &format!(r#"{{"result":{{"entries":[{one},{two}],"offset":2,"epoch":"E"}}}}"#),
        ),
        (
            "map_read_state",
            r#"{"channel":"kv:a","limit":1}"#,
            &format!(r#"{{"result":{{"entries":[{one}],"offset":2,"epoch":"E","cursor":"a"}}}}"#),
        ),
        (
            "map_read_state",
            r#"{"channel":"kv:a","limit":1,"cursor":"a"}"#,
            &format!(r#"{{"result":{{"entries":[{two}],"offset":2,"epoch":"E"}}}}"#),
        ),
        (
            "map_read_state",
            r#"{"channel":"kv:a","key":"b"}"#,
            &format!(r#"{{"result":{{"entries":[{two}],"offset":2,"epoch":"E"}}}}"#),
        ),
        ("map_read_state", r#"{"channel":"kv:a","limit":10,"revision_offset":1,"revision_epoch":"other"}"#, E112),
        ("map_remove", r#"{"channel":"kv:a","key":"a"}"#, r#"{"result":{"offset":3,"epoch":"E"}}"#),
        (
            "map_remove",
            r#"{"channel":"kv:a","key":"a"}"#,
            r#"{"result":{"offset":3,"epoch":"E","suppressed":true,"suppress_reason":"key_not_found"}}"#,
        ),
        (
            "map_read_stream",
            r#"{"channel":"kv:a","limit":10,"since_offset":1,"since_epoch":"<E>"}"#,
            &format!(r#"{{"result":{{"entries":[{two},{gone}],"offset":3,"epoch":"E"}}}}"#),
        ),
        (
            "map_read_stream",
            r#"{"channel":"kv:a","limit":1,"reverse":true}"#,
            &format!(r#"{{"result":{{"entries":[{gone}],"offset":3,"epoch":"E"}}}}"#),
        ),
        ("map_read_stream", r#"{"channel":"kv:a","limit":1,"since_offset":1,"since_epoch":"other"}"#, E112),
        ("map_clear", r#"{"channel":"kv:a"}"#, EMPTY),
        ("map_stats", r#"{"channel":"kv:a"}"#, EMPTY),
    ]);
}

#[test]
fn publications_are_suppressed_for_a_reason() {
    let suppressed = |offset: u64, why: &str| {
        format!(r#"{{"result":{{"offset":{offset},"epoch":"E","suppressed":true,"suppress_reason":"{why}"}}}}"#)
    };
    check(&[
        (
            "map_publish",
            r#"{"channel":"kv:a","key":"k","data":1,"version":5,"idempotency_key":"i"}"#,
            r#"{"result":{"offset":1,"epoch":"E"}}"#,
        ),
        (
            "map_publish",
            r#"{"channel":"kv:a","key":"k","data":2,"version":6,"idempotency_key":"i"}"#,
            &suppressed(1, "idempotency"),
        ),
        ("map_publish", r#"{"channel":"kv:a","key":"k","data":2,"version":5}"#, &suppressed(1, "version")),
        ("map_publish", r#"{"channel":"kv:a","key":"k","data":2,"key_mode":"if_new"}"#, &suppressed(1, "key_exists")),
        (
            "map_publish",
            r#"{"channel":"kv:a","key":"z","data":2,"key_mode":"if_exists"}"#,
            &suppressed(1, "key_not_found"),
        ),
        (
            "map_publish",
            r#"{"channel":"kv:a","key":"k","data":2,"version":6,"key_mode":"if_exists"}"#,
            r#"{"result":{"offset":2,"epoch":"E"}}"#,
        ),
    ]);
}
