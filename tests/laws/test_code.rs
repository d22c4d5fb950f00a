//! Which code is test code: modules behind `#[cfg(test)]`, inline or in files of their own.

use std::collections::HashSet;
use std::ops::Range;

use crate::source::Source;

enum TestModule {
    /// The tokens from its attribute to its closing brace.
    Inline(Range<usize>),
    /// Where its file may be, below `src/`.
    Files(Vec<String>),
}

/// Token ranges of a file's inline test modules.
pub fn inline(source: &Source) -> Vec<Range<usize>> {
    let ranges = modules(source).filter_map(|module| match module {
        TestModule::Inline(tokens) => Some(tokens),
        TestModule::Files(_) => None,
    });
    ranges.collect()
}

/// Names of the files that are test modules as a whole.
pub fn files(sources: &[Source]) -> HashSet<String> {
    let names = sources.iter().flat_map(modules).filter_map(|module| match module {
        TestModule::Inline(_) => None,
        TestModule::Files(names) => Some(names),
    });
    names.flatten().collect()
}

fn modules(source: &Source) -> impl Iterator<Item = TestModule> + '_ {
    (0..source.tokens.len()).filter_map(|at| module_at(source, at))
}

/// The test module whose `cfg` attribute begins at `start`.
fn module_at(source: &Source, start: usize) -> Option<TestModule> {
    let mut at = end_of_attribute(source, start)?;
    let is_test = source.is(start + 2, "cfg")
        && (start..at).any(|i| source.is(i, "test") && !(source.is(i - 1, "(") && source.is(i - 2, "not")));
    if !is_test {
        return None;
    }
    let mut path = None;
    while let Some(end) = end_of_attribute(source, at) {
        if source.is(at + 2, "path") {
            path = Some(source.tokens[at + 4].text.trim_matches('"'));
        }
        at = end;
    }
    while !source.is(at, "mod") {
        // `pub`, `pub(crate)`; anything else is no module.
        if !["pub", "(", "crate", "super", ")"].iter().any(|word| source.is(at, word)) {
            return None;
        }
        at += 1;
    }
    if source.is(at + 2, "{") {
        return Some(TestModule::Inline(start..end_of_braces(source, at + 2)));
    }
    let name = &source.tokens.get(at + 1)?.text;
    let folder = source.name.rsplit_once('/').map_or("", |(folder, _)| folder);
    let stem = source.name.trim_end_matches(".rs");
    let own = if source.name.ends_with("mod.rs") { folder } else { stem };
    Some(TestModule::Files(match path {
        Some(path) => vec![format!("{folder}/{path}")],
        None => vec![format!("{own}/{name}.rs"), format!("{own}/{name}/mod.rs")],
    }))
}

/// Behind the `]` of the attribute that begins at `start`.
fn end_of_attribute(source: &Source, start: usize) -> Option<usize> {
    if !(source.is(start, "#") && source.is(start + 1, "[")) {
        return None;
    }
    (start..source.tokens.len()).find(|at| source.is(*at, "]")).map(|at| at + 1)
}

fn end_of_braces(source: &Source, start: usize) -> usize {
    let mut depth = 0;
    for at in start..source.tokens.len() {
        match source.tokens[at].text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    source.tokens.len()
}
