//! A tags filter and tags, each in a line of JSON: whatever decodes must be refused or compiled, and what is compiled
//! must match tags, and say of `not` the opposite.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spindle::channel::filter::Filter;
use spindle::protocol::client::{FilterNode, Publication};
use spindle::protocol::{json, proto};

fuzz_target!(|input: &[u8]| {
    let (first, second) = match input.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (input, &b""[..]),
    };
    let tags =
        json::decode_whole::<Publication<'_>>(second).map_or_else(|_| Vec::new(), |publication| publication.tags);
    let tags: Vec<(Box<str>, Box<str>)> = tags.iter().map(|(key, value)| ((**key).into(), (**value).into())).collect();
    for node in [json::decode_whole::<FilterNode<'_>>(first), proto::decode::<FilterNode<'_>>(first)] {
        let Ok(node) = node else { continue };
        let Ok(filter) = Filter::compile(&node) else { continue };
        let opposite = FilterNode { op: "not".into(), nodes: vec![node], ..FilterNode::default() };
        let opposite = Filter::compile(&opposite).expect("the opposite of a filter is one");
        for tags in [&tags[..], &[]] {
            assert_ne!(filter.matches(tags), opposite.matches(tags));
        }
    }
});
