//! The laws that can be told from one file alone.

use crate::graph;
use crate::source::Source;
use crate::test_code;

/// No I/O, clock, threads or async; time and randomness are parameters. In reading order.
const PURE: &[&str] = &[
    "base",
    "protocol",
    "config",
    "channel",
    "broker",
    "transport",
    "auth",
    "fanout",
    "session",
    "mesh",
    "api",
    "cluster",
    "metrics",
    "errand",
    "engine",
    "sim",
];

/// All rooms.
pub const ROOMS: &[&str] = &[
    "base",
    "protocol",
    "config",
    "channel",
    "broker",
    "transport",
    "auth",
    "fanout",
    "session",
    "mesh",
    "api",
    "cluster",
    "metrics",
    "errand",
    "engine",
    "sim",
    "net",
    "shard",
    "control",
    "cli",
];

/// Rooms that must not be imported, by room. Pure rooms have their own list.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("net", &["control", "cli"]),
    ("shard", &["control", "cli"]),
    ("control", &["session", "shard", "net", "engine", "cli"]),
];

const FORBIDDEN_TO_PURE: &[&str] = &["net", "shard", "control", "cli"];

/// Foreign crates that only some rooms may touch.
const CONFINED: &[(&str, &[&str])] =
    &[("glommio", &["net", "shard"]), ("tokio", &["control", "cli"]), ("reqwest", &["control"])];

/// Paths of the standard library that a pure room must not use, as the last words of the path.
const IMPURE: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "thread::spawn",
    "thread::sleep",
    "thread::park",
    "thread::Builder",
    "fs::read",
    "fs::read_to_string",
    "fs::read_dir",
    "fs::write",
    "fs::File",
    "File::open",
    "File::create",
    "env::var",
    "env::vars",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "async",
    "await",
];

const LONGEST_FILE: usize = 1000;

/// All breaches of one file; `is_test` = the whole file is a test module.
pub fn of_file(source: &Source, is_test: bool) -> Vec<String> {
    let mut found = Vec::new();
    let name = &source.name;
    if source.lines > LONGEST_FILE {
        found.push(format!("{name}: {} lines, more than {LONGEST_FILE}", source.lines));
    }
    for (i, token) in source.tokens.iter().enumerate() {
        let line = token.line;
        match token.text.as_str() {
            "unsafe" if source.room() != Some("net") => found.push(format!("{name}:{line}: unsafe outside net")),
            word @ ("todo" | "unimplemented") if source.is(i + 1, "!") => found.push(format!("{name}:{line}: {word}!")),
            _ => {}
        }
    }
    let Some(room) = source.room() else { return found };
    if !ROOMS.contains(&room) {
        found.push(format!("{name}: no room is called {room}"));
        return found;
    }
    found.extend(imports(source, room));
    if PURE.contains(&room) && !is_test {
        found.extend(impurities(source).map(|what| format!("{name}: {room} is pure: {what}")));
    }
    found
}

fn imports(source: &Source, room: &str) -> Vec<String> {
    let name = &source.name;
    let mut found = Vec::new();
    for other in graph::mentions(source) {
        if other == room {
            continue;
        }
        if room == "base" {
            found.push(format!("{name}: base imports nothing of ours, yet: {other}"));
        } else if PURE.contains(&room) && FORBIDDEN_TO_PURE.contains(&other.as_str()) {
            found.push(format!("{name}: {room} is pure and must not import {other}"));
        } else if FORBIDDEN.iter().any(|(r, others)| *r == room && others.contains(&other.as_str())) {
            found.push(format!("{name}: {room} must not import {other}"));
        }
    }
    for (foreign, rooms) in CONFINED {
        if !rooms.contains(&room) && source.tokens.iter().any(|t| t.text == *foreign) {
            found.push(format!("{name}: {room} must not use {foreign}"));
        }
    }
    found
}

/// What a pure room's code (its tests aside) uses of the outside world.
fn impurities(source: &Source) -> impl Iterator<Item = &'static str> + '_ {
    let tests = test_code::inline(source);
    IMPURE.iter().copied().filter(move |path| {
        let words: Vec<&str> = path.split("::").collect();
        (0..source.tokens.len()).any(|at| !tests.iter().any(|t| t.contains(&at)) && stands_at(source, at, &words))
    })
}

fn stands_at(source: &Source, at: usize, words: &[&str]) -> bool {
    source.is(at, words[0])
        && words.get(1).is_none_or(|second| source.is_path_separator(at + 1) && source.is(at + 3, second))
}
