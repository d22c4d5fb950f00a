//! Whether a tags filter makes sense (upstream: centrifuge internal/filter `Validate`).

use crate::protocol::client::FilterNode;

/// Whether every node has what it needs and nothing that contradicts it. The depth is bounded by the decoder.
pub(super) fn is_valid(node: &FilterNode<'_>) -> bool {
    match &*node.op {
        "" => is_valid_leaf(node),
        "and" | "or" => !node.nodes.is_empty() && node.nodes.iter().all(is_valid),
        "not" => node.nodes.len() == 1 && node.nodes.iter().all(is_valid),
        _ => false,
    }
}

fn is_valid_leaf(leaf: &FilterNode<'_>) -> bool {
    let (has_key, has_value, has_values) = (!leaf.key.is_empty(), !leaf.val.is_empty(), !leaf.vals.is_empty());
    match &*leaf.cmp {
        "eq" | "neq" | "sw" | "ew" | "ct" | "gt" | "gte" | "lt" | "lte" => has_key && has_value && !has_values,
        "in" | "nin" => has_key && has_values && !has_value,
        "ex" | "nex" => !has_value && !has_values,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(node: FilterNode<'_>, expected: bool) {
        assert_eq!(is_valid(&node), expected, "{node:?}");
    }

    fn leaf(key: &'static str, cmp: &'static str, val: &'static str, vals: &[&'static str]) -> FilterNode<'static> {
        FilterNode {
            key: key.into(),
            cmp: cmp.into(),
            val: val.into(),
            vals: vals.iter().map(|val| (*val).into()).collect(),
            ..FilterNode::default()
        }
    }

    fn node(op: &'static str, nodes: Vec<FilterNode<'static>>) -> FilterNode<'static> {
        FilterNode { op: op.into(), nodes, ..FilterNode::default() }
    }

    #[test]
    fn leaves_need_what_their_comparison_needs() {
        check(leaf("a", "eq", "1", &[]), true);
        check(leaf("a", "gt", "no number", &[]), true);
        check(leaf("a", "in", "", &["1"]), true);
        check(leaf("a", "ex", "", &[]), true);
        check(leaf("", "nex", "", &[]), true);
        check(leaf("a", "", "1", &[]), false);
        check(leaf("a", "like", "1", &[]), false);
        check(leaf("", "eq", "1", &[]), false);
        check(leaf("a", "eq", "", &[]), false);
        check(leaf("a", "eq", "1", &["1"]), false);
        check(leaf("a", "nin", "", &[]), false);
        check(leaf("a", "in", "1", &["1"]), false);
        check(leaf("a", "ex", "1", &[]), false);
    }

    #[test]
    fn inner_nodes_need_children() {
        let good = || leaf("a", "eq", "1", &[]);
        check(node("and", vec![good(), node("not", vec![good()])]), true);
        check(node("or", vec![]), false);
        check(node("not", vec![good(), good()]), false);
        check(node("xor", vec![good()]), false);
        check(node("and", vec![good(), leaf("a", "eq", "", &[])]), false);
    }
}
