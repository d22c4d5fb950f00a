//! Which room mentions which, and whether the way leads back.

use std::collections::BTreeMap;

use crate::checks::ROOMS;
use crate::source::Source;

/// The rooms that a file mentions by a path from the crate's root, itself included.
pub fn mentions(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    // Inline modules that are open, by the brace depth they began at: each takes one more `super`.
    let mut modules: Vec<usize> = Vec::new();
    let mut braces = 0;
    let mut i = 0;
    while i < source.tokens.len() {
        match source.tokens[i].text.as_str() {
            "{" => {
                braces += 1;
                if i >= 2 && source.is(i - 2, "mod") {
                    modules.push(braces);
                }
            }
            "}" => {
                if modules.last() == Some(&braces) {
                    modules.pop();
                }
                braces = braces.saturating_sub(1);
            }
            "crate" if source.is_path_separator(i + 1) => first_words(source, i + 3, &mut found),
            "super" => {
                let mut climbed = 1;
                while source.is_path_separator(i + 1) && source.is(i + 3, "super") {
                    (i, climbed) = (i + 3, climbed + 1);
                }
                if climbed >= source.depth() + modules.len() && source.is_path_separator(i + 1) {
                    first_words(source, i + 3, &mut found);
                }
            }
            _ => {}
        }
        i += 1;
    }
    found.retain(|word| ROOMS.contains(&word.as_str()));
    found
}

/// The word at `at`, or the first word of each path in the braces at `at`.
fn first_words(source: &Source, at: usize, into: &mut Vec<String>) {
    if !source.is(at, "{") {
        into.extend(source.tokens.get(at).map(|t| t.text.clone()));
        return;
    }
    let mut depth = 0;
    for i in at..source.tokens.len() {
        match source.tokens[i].text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            word if depth == 1 && (source.is(i - 1, "{") || source.is(i - 1, ",")) => into.push(word.to_owned()),
            _ => {}
        }
        if depth == 0 {
            return;
        }
    }
}

/// The first cycle among the rooms, with a file for each step.
pub fn cycle(sources: &[Source]) -> Option<String> {
    let mut edges: BTreeMap<String, BTreeMap<String, &str>> = BTreeMap::new();
    for source in sources {
        let Some(room) = source.room() else { continue };
        for other in mentions(source) {
            if other != room {
                edges.entry(room.to_owned()).or_default().entry(other).or_insert(&source.name);
            }
        }
    }
    let way = edges.keys().filter_map(|start| shortest_way_back(&edges, start)).min_by_key(Vec::len)?;
    let files: Vec<&str> = way.windows(2).map(|step| edges[step[0]][step[1]]).collect();
    Some(format!("cycle: {} ({})", way.join(" -> "), files.join(", ")))
}

/// Breadth first, so that what is printed is the smallest knot.
fn shortest_way_back<'e>(edges: &'e BTreeMap<String, BTreeMap<String, &str>>, start: &'e str) -> Option<Vec<&'e str>> {
    let mut ways: Vec<Vec<&str>> = vec![vec![start]];
    let mut seen: Vec<&str> = Vec::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            let here = way[way.len() - 1];
            for next in edges.get(here).into_iter().flat_map(|e| e.keys()) {
                let mut way = way.clone();
                way.push(next);
                if next == start {
                    return Some(way);
                }
                if !seen.contains(&next.as_str()) {
                    seen.push(next);
                    longer.push(way);
                }
            }
        }
        ways = longer;
    }
    None
}
