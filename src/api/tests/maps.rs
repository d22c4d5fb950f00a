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
        self.call_amid(method, body, |_, _| ())
    }

    /// The same, while something happens before each page but the first; their numbers count from 1.
    fn call_amid(&mut self, method: &str, body: &str, mut amid: impl FnMut(&mut Self, usize)) -> String {
        let mut pages = 0;
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
                    if call.is_writing() {
                        pages += 1;
                        amid(self, pages);
                        assert!(call.write(&mut self.world.cx(&mut more), &mut 100).is_none());
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
        for epoch in &self.epochs {
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
        // The first reader of a map begins it and is not refused; the next one is.
        (
            "map_read_stream",
            r#"{"channel":"kv:a","limit":1,"since_offset":1,"since_epoch":"other"}"#,
            r#"{"result":{"epoch":"E"}}"#,
        ),
        ("map_read_stream", r#"{"channel":"kv:a","limit":1,"since_offset":1,"since_epoch":"other"}"#, E112),
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

/// The numbers of keys or data in a response, and what stands behind them.
fn shown(text: &str) -> (Vec<u32>, &str) {
    let numbers = text.split(r#""data":"#).skip(1);
    let number = |text: &str| text.split([',', '}']).next().and_then(|number| number.parse().ok()).expect("a number");
    (numbers.map(number).collect(), text.rsplit_once(']').map_or(text, |(_, end)| end))
}

impl Node {
    /// Sets so many keys, or publishes so often, with ascending numbers.
    fn fill(&mut self, method: &str, channel: &str, numbers: std::ops::Range<u32>) {
        for number in numbers {
            self.call(method, &format!(r#"{{"channel":"{channel}","key":"{number:05}","data":{number}}}"#));
        }
    }
}

const READS: [(&str, &str); 3] = [("map_read_state", "kv:a"), ("map_read_stream", "kv:a"), ("history", "long:a")];

/// A node with 700 keys, and as many publications.
fn filled() -> Node {
    let mut node = Node::new();
    node.world.config = super::config(
        r#"{"channel": {"namespaces": [
            {"name": "long", "history_size": 800, "history_ttl": "300s"},
            {"name": "kv", "subscription_type": "map", "map": {"mode": "recoverable", "key_ttl": "60s",
                "stream_size": 800, "stream_ttl": "300s", "meta_ttl": "600s"}}
        ]}}"#,
    );
    node.fill("map_publish", "kv:a", 1..701);
    node.fill("publish", "long:a", 1..701);
    node
}

#[test]
fn long_reads_go_page_by_page() {
    let mut node = filled();
    for (method, channel) in READS {
        // At once, as far as one page goes: 256 entries.
        let one = node.call(method, &format!(r#"{{"channel":"{channel}","limit":256}}"#));
        assert_eq!(shown(&one).0, (1..257).collect::<Vec<_>>(), "{method}");
        for (limit, last, least) in [(-1, 700, 4), (i32::MAX, 700, 4), (257, 257, 1), (699, 699, 4), (700, 700, 4)] {
            let mut pages = 0;
            let body = format!(r#"{{"channel":"{channel}","limit":{limit}}}"#);
            let text = node.call_amid(method, &body, |_, page| pages = page);
            let (numbers, end) = shown(&text);
            assert_eq!(numbers, (1..last + 1).collect::<Vec<_>>(), "{method} {limit}");
            assert!(pages >= least && pages <= 5, "{method} {limit}: {pages} more pages");
            let cursor = if method == "map_read_state" && last < 700 {
                format!(r#","cursor":"{last:05}""#)
            } else {
                String::new()
            };
            let expected = match method {
                "history" => r#","epoch":"E","offset":700}}"#.to_owned(),
                _ => format!(r#","offset":700,"epoch":"E"{cursor}}}}}"#),
            };
            assert_eq!(end, expected, "{method} {limit}");
        }
    }
    for (method, channel) in [READS[1], READS[2]] {
        for (body, numbers) in [
            (r#""reverse":true"#, (1..701).rev().collect::<Vec<_>>()),
            (r#""reverse":true,"since":{"offset":650},"since_offset":650"#, (1..650).rev().collect()),
            (r#""since":{"offset":10},"since_offset":10"#, (11..701).collect()),
            (r#""since":{"offset":700},"since_offset":700"#, Vec::new()),
        ] {
            let text = node.call(method, &format!(r#"{{"channel":"{channel}","limit":-1,{body}}}"#));
            assert_eq!(shown(&text).0, numbers, "{method} {body}");
        }
    }
}

/// A round trip for each page: one alone for what a turn can write.
#[test]
fn long_histories_at_a_broker_go_page_by_page_too() {
    let mut node = filled();
    node.world.streams_are_far = true;
    for (limit, has_pages) in [(257, false), (1024, false), (1025, true), (-1, true)] {
        let mut pages = 0;
        let text =
            node.call_amid("history", &format!(r#"{{"channel":"long:a","limit":{limit}}}"#), |_, page| pages = page);
        let last = if limit == 257 { 257 } else { 700 };
        assert_eq!(shown(&text).0, (1..last + 1).collect::<Vec<_>>(), "{limit}");
        assert_eq!(pages > 0, has_pages, "{limit}");
    }
}

#[test]
fn what_changes_amid_a_long_read_lies_behind_its_position() {
    for (method, channel) in READS {
        let mut node = filled();
        let publish = if method == "history" { "publish" } else { "map_publish" };
        let body = format!(r#"{{"channel":"{channel}","limit":-1}}"#);
        let text = node.call_amid(method, &body, |node, page| {
            node.fill(publish, channel, page as u32 * 9000..page as u32 * 9000 + 1)
        });
        let (numbers, end) = shown(&text);
        let state = method == "map_read_state";
        assert_eq!(numbers[..700], (1..701).collect::<Vec<_>>(), "{method}");
        // Keys that are behind the cursor are read as they are then.
        assert_eq!(numbers.len() > 700, state, "{method}");
        assert!(end.contains(r#""offset":700"#), "{method} {end}");
    }
}

#[test]
fn a_long_read_begins_anew_where_the_rest_is_gone() {
    // Entries go before they are read: so many that the stream holds none of the old ones.
    for (method, channel) in [READS[1], READS[2]] {
        let publish = if method == "history" { "publish" } else { "map_publish" };
        let mut node = filled();
        let body = format!(r#"{{"channel":"{channel}","limit":-1}}"#);
        let text = node.call_amid(method, &body, |node, page| {
            if page == 2 {
                node.fill(publish, channel, 701..1501);
            }
        });
        assert_eq!(shown(&text).0, (701..1501).collect::<Vec<_>>(), "{method}");
        // From a place that is not kept any more, the map's stream cannot be read, and a history from its first.
        let mut node = filled();
        let body = format!(r#"{{"channel":"{channel}","limit":-1,"since":{{"offset":1}},"since_offset":1}}"#);
        let text = node.call_amid(method, &body, |node, page| {
            if page == 2 {
                node.fill(publish, channel, 701..1501);
            }
        });
        match method {
            "history" => assert_eq!(shown(&text).0, (701..1501).collect::<Vec<_>>()),
            _ => assert_eq!(text, E112),
        }
    }
    // Another map takes the place of the first one.
    for (method, channel) in [READS[0], READS[1]] {
        let mut node = filled();
        let body = format!(r#"{{"channel":"{channel}","limit":-1}}"#);
        let text = node.call_amid(method, &body, |node, page| {
            if page == 2 {
                node.call("map_clear", r#"{"channel":"kv:a"}"#);
                node.fill("map_publish", "kv:a", 1..4);
            }
        });
        assert_eq!(shown(&text), (vec![1, 2, 3], r#","offset":3,"epoch":"E"}}"#), "{method}");
        // Not for ever.
        let mut node = filled();
        let text = node.call_amid(method, &body, |node, _| {
            node.call("map_clear", r#"{"channel":"kv:a"}"#);
            node.fill("map_publish", "kv:a", 1..301);
        });
        assert_eq!(text, r#"{"error":{"code":100,"message":"internal server error"}}"#, "{method}");
    }
}

#[test]
fn nothing_of_a_batch_comes_between_the_pages_of_a_read() {
    let mut node = filled();
    let text = node.call(
        "batch",
        r#"{"commands":[
            {"map_publish":{"channel":"kv:a","key":"00000","data":0}},
            {"map_read_state":{"channel":"kv:a","limit":-1}},
            {"map_publish":{"channel":"kv:a","key":"99999","data":99999}},
            {"map_stats":{"channel":"kv:a"}}]}"#,
    );
    assert_eq!(shown(&text).0, (0..701).collect::<Vec<_>>());
    assert!(text.ends_with(r#"{"map_stats":{"num_keys":702}}]}"#), "{text}");
}
