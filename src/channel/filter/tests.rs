use proptest::prelude::*;

use super::*;

fn leaf(key: &str, cmp: &str, val: &str, vals: &[&str]) -> FilterNode<'static> {
    FilterNode {
        key: key.to_owned().into(),
        cmp: cmp.to_owned().into(),
        val: val.to_owned().into(),
        vals: vals.iter().map(|val| (*val).to_owned().into()).collect(),
        ..FilterNode::default()
    }
}

fn node(op: &str, nodes: Vec<FilterNode<'static>>) -> FilterNode<'static> {
    FilterNode { op: op.to_owned().into(), nodes, ..FilterNode::default() }
}

fn tags(pairs: &[(&str, &str)]) -> Vec<(Box<str>, Box<str>)> {
    pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

#[track_caller]
fn check_valid(node: FilterNode<'_>, expected: bool) {
    assert_eq!(Filter::compile(&node).is_ok(), expected, "{node:?}");
}

#[test]
fn leaves_need_what_their_comparison_needs() {
    check_valid(leaf("a", "eq", "1", &[]), true);
    check_valid(leaf("a", "gt", "no number", &[]), true);
    check_valid(leaf("a", "in", "", &["1"]), true);
    check_valid(leaf("a", "ex", "", &[]), true);
    check_valid(leaf("", "nex", "", &[]), true);
    check_valid(leaf("a", "", "1", &[]), false);
    check_valid(leaf("a", "like", "1", &[]), false);
    check_valid(leaf("", "eq", "1", &[]), false);
    check_valid(leaf("", "gt", "x", &[]), false);
    check_valid(leaf("a", "eq", "", &[]), false);
    check_valid(leaf("a", "lt", "", &[]), false);
    check_valid(leaf("a", "eq", "1", &["1"]), false);
    check_valid(leaf("a", "nin", "", &[]), false);
    check_valid(leaf("", "in", "", &["1"]), false);
    check_valid(leaf("a", "in", "1", &["1"]), false);
    check_valid(leaf("a", "ex", "1", &[]), false);
    check_valid(leaf("a", "nex", "", &["1"]), false);
}

#[test]
fn inner_nodes_need_children() {
    let good = || leaf("a", "eq", "1", &[]);
    check_valid(node("and", vec![good(), node("not", vec![good()])]), true);
    check_valid(node("or", vec![]), false);
    check_valid(node("not", vec![]), false);
    check_valid(node("not", vec![good(), good()]), false);
    check_valid(node("xor", vec![good()]), false);
    check_valid(node("and", vec![good(), leaf("a", "eq", "", &[])]), false);
}

#[track_caller]
fn check(node: FilterNode<'_>, pairs: &[(&str, &str)], expected: bool) {
    let filter = Filter::compile(&node).expect("a valid filter");
    assert_eq!(filter.matches(&tags(pairs)), expected, "{node:?} on {pairs:?}");
}

#[test]
fn comparisons() {
    let one = &[("a", "abmm"), ("n", "10.0")][..];
    for (key, cmp, val, expected) in [
        ("a", "eq", "abmm", true),
        ("a", "eq", "ab", false),
        ("b", "eq", "abmm", false),
        ("a", "neq", "abmm", false),
        ("b", "neq", "abmm", true),
        ("a", "sw", "ab", true),
        ("a", "sw", "mm", false),
        ("a", "ew", "mm", true),
        ("a", "ct", "bm", true),
        ("b", "ct", "bm", false),
        ("n", "gt", "9.5", true),
        ("n", "gt", "10", false),
        ("n", "gte", "10", true),
        ("n", "lt", "10", false),
        ("n", "lte", "010", true),
        ("n", "lt", "9", false),
        ("a", "lt", "9", false),
        ("b", "lt", "9", false),
        ("n", "gt", "x", false),
        ("n", "lte", "x", false),
    ] {
        check(leaf(key, cmp, val, &[]), one, expected);
    }
    check(leaf("a", "ex", "", &[]), one, true);
    check(leaf("b", "ex", "", &[]), one, false);
    check(leaf("b", "nex", "", &[]), one, true);
    check(leaf("a", "in", "", &["x", "abmm"]), one, true);
    check(leaf("a", "nin", "", &["x", "abmm"]), one, false);
    check(leaf("b", "in", "", &["x"]), one, false);
    check(leaf("b", "nin", "", &["x"]), one, true);
    // What is missing counts as the empty text in lists, and nowhere else.
    check(leaf("b", "in", "", &[""]), one, true);
}

#[test]
fn a_filter_is_small_and_equal_ones_are_equal() {
    let make = || {
        let one = leaf("ticker", "in", "", &["AAPL", "MSFT"]);
        Filter::compile(&node("and", vec![one, node("not", vec![leaf("price", "lt", "100", &[])])])).unwrap()
    };
    assert_eq!(make(), make());
    assert!(make().bytes() <= 180, "{}", make().bytes());
    assert!(size_of::<Node>() <= 20);
}

/// The filter as upstream reads it: a walk over the message itself.
fn naive(node: &FilterNode<'_>, tags: &std::collections::BTreeMap<String, String>) -> bool {
    let tag = tags.get(&*node.key);
    let number = |text: &str| text.parse::<i64>().ok();
    match &*node.op {
        "and" => node.nodes.iter().all(|child| naive(child, tags)),
        "or" => node.nodes.iter().any(|child| naive(child, tags)),
        "not" => !naive(&node.nodes[0], tags),
        _ => match &*node.cmp {
            "eq" => tag.is_some_and(|tag| **tag == *node.val),
            "neq" => tag.is_none_or(|tag| **tag != *node.val),
            "in" => node.vals.iter().any(|val| **val == **tag.unwrap_or(&String::new())),
            "nin" => !node.vals.iter().any(|val| **val == **tag.unwrap_or(&String::new())),
            "ex" => tag.is_some(),
            "nex" => tag.is_none(),
            "sw" => tag.is_some_and(|tag| tag.starts_with(&*node.val)),
            "ew" => tag.is_some_and(|tag| tag.ends_with(&*node.val)),
            "ct" => tag.is_some_and(|tag| tag.contains(&*node.val)),
            cmp => match (tag.and_then(|tag| number(tag)), number(&node.val)) {
                (Some(tag), Some(val)) => match cmp {
                    "gt" => tag > val,
                    "gte" => tag >= val,
                    "lt" => tag < val,
                    _ => tag <= val,
                },
                _ => false,
            },
        },
    }
}

/// Few keys and values, so that filters and tags meet.
const WORDS: [&str; 7] = ["a", "b", "ab", "1", "2", "-3", "10"];

fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&WORDS[..])
}

fn any_leaf() -> impl Strategy<Value = FilterNode<'static>> {
    const VALUED: [&str; 9] = ["eq", "neq", "sw", "ew", "ct", "gt", "gte", "lt", "lte"];
    prop_oneof![
        (word(), prop::sample::select(&VALUED[..]), word()).prop_map(|(key, cmp, val)| leaf(key, cmp, val, &[])),
        (word(), any::<bool>(), prop::collection::vec(word(), 1..4)).prop_map(|(key, is_in, vals)| leaf(
            key,
            if is_in { "in" } else { "nin" },
            "",
            &vals
        )),
        (word(), any::<bool>()).prop_map(|(key, exists)| leaf(key, if exists { "ex" } else { "nex" }, "", &[])),
    ]
}

fn any_filter() -> impl Strategy<Value = FilterNode<'static>> {
    any_leaf().prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            (any::<bool>(), prop::collection::vec(inner.clone(), 1..5))
                .prop_map(|(all, nodes)| node(if all { "and" } else { "or" }, nodes)),
            inner.prop_map(|child| node("not", vec![child])),
        ]
    })
}

proptest! {
    #[test]
    fn as_a_naive_walk_over_the_message(
        filter in any_filter(),
        pairs in prop::collection::btree_map(word(), word(), 0..4),
    ) {
        let listed: Vec<_> = pairs.iter().map(|(key, value)| (*key, *value)).collect();
        let map = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let compiled = Filter::compile(&filter).unwrap();
        prop_assert_eq!(compiled.matches(&tags(&listed)), naive(&filter, &map));
    }
}
