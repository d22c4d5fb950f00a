//! The laws of the house, read off the sources: who may import whom, where `unsafe` may stand, how long a file may be.
//!
//! `ARCHITECTURE.md` names the rooms; this test is what makes those names binding. A breach fails the build with
//! the file and the law it breaks.

mod checks;
mod graph;
mod source;
mod test_code;

use std::path::Path;

use source::Source;

/// Every law over every source, in a stable order.
fn breaches(sources: &[Source]) -> Vec<String> {
    let tests = test_code::files(sources);
    let of_file = |source: &Source| checks::of_file(source, tests.contains(&source.name));
    let mut found: Vec<String> = sources.iter().flat_map(of_file).collect();
    found.extend(graph::cycle(sources));
    found.sort();
    found.dedup();
    found
}

fn read_all(dir: &Path, root: &Path, into: &mut Vec<Source>) {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    for entry in entries {
        let path = entry.expect("a readable directory").path();
        if path.is_dir() {
            read_all(&path, root, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let name = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
            into.push(Source::new(&name, &text));
        }
    }
}

#[test]
fn the_house_keeps_its_laws() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    read_all(&root, &root, &mut sources);
    assert!(sources.len() > 10, "only {} sources found under {}", sources.len(), root.display());
    let found = breaches(&sources);
    assert!(found.is_empty(), "{} breaches:\n  {}", found.len(), found.join("\n  "));
}

/// The checker over made-up files: each expected text must occur in exactly one breach, and no other breach may occur.
#[track_caller]
fn check(files: &[(&str, &str)], expected: &[&str]) {
    let sources: Vec<Source> = files.iter().map(|(name, text)| Source::new(name, text)).collect();
    let found = breaches(&sources);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for text in expected {
        assert_eq!(found.iter().filter(|f| f.contains(text)).count(), 1, "{text:?} in {found:#?}");
    }
}

#[test]
fn lawful_files_pass() {
    check(&[("base/ids.rs", "use std::sync::Arc;"), ("session/mod.rs", "use crate::base::ids;")], &[]);
    check(&[("net/accept.rs", "use glommio::Task; fn f() { unsafe { g() } }"), ("main.rs", "fn main() {}")], &[]);
    check(&[("shard/turn.rs", "use crate::{engine::Engine, net::{Socket, tls}};")], &[]);
    check(&[("control/redis.rs", "use tokio::net::TcpStream; use crate::{config, mesh};")], &[]);
    check(&[("cli/serve.rs", "use crate::control; use crate::shard; use tokio::runtime;")], &[]);
}

#[test]
fn imports_against_the_order() {
    check(
        &[("base/ids.rs", "use crate::channel::name;")],
        &["base/ids.rs: base imports nothing of ours, yet: channel"],
    );
    check(&[("session/mod.rs", "use crate::net;")], &["session/mod.rs: session is pure and must not import net"]);
    check(&[("api/a.rs", "fn f() { crate::cli::run() }")], &["api is pure and must not import cli"]);
    check(&[("engine/a.rs", "use crate::{base, shard::{x}};")], &["engine is pure and must not import shard"]);
    check(&[("sim/a.rs", "pub use crate::control::X;")], &["sim is pure and must not import control"]);
    check(&[("control/a.rs", "use crate::session::Session;")], &["control must not import session"]);
    check(&[("control/a.rs", "use crate::engine;")], &["control must not import engine"]);
    check(&[("net/a.rs", "use crate::cli;")], &["net must not import cli"]);
    check(&[("net/a.rs", "use crate::control;")], &["net must not import control"]);
}

#[test]
fn imports_by_way_of_super() {
    check(&[("session/mod.rs", "use super::net;")], &["must not import net"]);
    check(&[("session/a.rs", "use super::super::net;")], &["must not import net"]);
    check(&[("session/a.rs", "mod net {} use super::net;")], &[]);
    check(&[("session/mod.rs", "mod tests { use super::net; use super::super::shard; }")], &["must not import shard"]);
    check(&[("channel/home/mod.rs", "use super::net; use super::super::net;")], &["must not import net"]);
}

#[test]
fn foreign_runtimes() {
    check(&[("session/a.rs", "use glommio::Task;")], &["session must not use glommio"]);
    check(&[("control/a.rs", "use glommio::Task;")], &["control must not use glommio"]);
    check(&[("cli/a.rs", "glommio::spawn_local(f);")], &["cli must not use glommio"]);
    check(&[("net/a.rs", "use tokio::net;")], &["net must not use tokio"]);
    check(&[("shard/a.rs", "use tokio as t;")], &["shard must not use tokio"]);
    check(&[("engine/a.rs", "tokio::spawn(f);")], &["engine must not use tokio"]);
}

#[test]
fn pure_rooms_touch_nothing_outside() {
    check(&[("session/a.rs", "let t = std::time::Instant::now();")], &["session is pure: Instant::now"]);
    check(&[("base/time.rs", "let t = SystemTime::now();")], &["base is pure: SystemTime::now"]);
    check(&[("mesh/a.rs", "std::thread::spawn(f);")], &["mesh is pure: thread::spawn"]);
    check(&[("config/a.rs", "let x = std::fs::read(p);")], &["config is pure: fs::read"]);
    check(&[("api/a.rs", "async fn f() {}")], &["api is pure: async"]);
    check(&[("api/a.rs", "TcpStream::connect(x)")], &["api is pure: TcpStream"]);
    check(&[("net/a.rs", "async fn f() { Instant::now(); }")], &[]);
    // Tests inside a pure room may use threads: that is how a lock-free structure is tried out.
    check(&[("mesh/a.rs", "#[cfg(test)] mod tests { fn f() { thread::spawn(g); } }")], &[]);
    check(
        &[
            ("mesh/mod.rs", "#[cfg(test)] mod tests;"),
            ("mesh/tests.rs", "fn f() { thread::spawn(g); }"),
            ("mesh/port.rs", "#[cfg(all(test, not(model_check)))]\n#[path = \"port_tests.rs\"]\nmod tests;"),
            ("mesh/port_tests.rs", "fn f() { thread::spawn(g); }"),
        ],
        &[],
    );
    check(&[("mesh/tests.rs", "fn f() { thread::spawn(g); }")], &["mesh/tests.rs: mesh is pure: thread::spawn"]);
    check(
        &[("mesh/mod.rs", "#[cfg(not(test))] mod real;"), ("mesh/real.rs", "fn f() { thread::spawn(g); }")],
        &["mesh/real.rs: mesh is pure: thread::spawn"],
    );
    check(&[("mesh/a.rs", "#[cfg(test)] mod tests { } fn f() { thread::sleep(g); }")], &["thread::sleep"]);
}

#[test]
fn cycles_are_printed() {
    check(
        &[("channel/a.rs", "use crate::config::X;"), ("config/b.rs", "use crate::channel::Y;")],
        &["cycle: channel -> config -> channel (channel/a.rs, config/b.rs)"],
    );
    check(
        &[
            ("api/a.rs", "use crate::auth;"),
            ("auth/a.rs", "use crate::fanout;"),
            ("fanout/a.rs", "use crate::api;"),
            ("session/a.rs", "use crate::{api, auth, fanout};"),
        ],
        &["cycle: api -> auth -> fanout -> api"],
    );
    // A room that mentions itself is no cycle.
    check(&[("channel/a.rs", "use crate::channel::name;")], &[]);
}

#[test]
fn unsafe_only_in_net() {
    check(&[("mesh/a.rs", "fn f() { unsafe { g() } }")], &["mesh/a.rs:1: unsafe outside net"]);
    check(&[("lib.rs", "\n\nunsafe fn f() {}")], &["lib.rs:3: unsafe outside net"]);
    check(&[("mesh/a.rs", "#![forbid(unsafe_code)] // unsafe\n/* unsafe */ const X: &str = \"unsafe\";")], &[]);
}

#[test]
fn unfinished_and_long_files() {
    check(&[("api/a.rs", "fn f() { todo!() }")], &["api/a.rs:1: todo!"]);
    check(&[("net/a.rs", "fn f() { unimplemented!(\"x\") }")], &["net/a.rs:1: unimplemented!"]);
    check(&[("api/a.rs", "let todo = 1; // todo!()")], &[]);
    check(&[("api/a.rs", &"\n".repeat(1000))], &[]);
    check(&[("api/a.rs", &"\n".repeat(1001))], &["api/a.rs: 1001 lines, more than 1000"]);
}

#[test]
fn every_folder_is_a_known_room() {
    check(&[("helpers/a.rs", "")], &["helpers/a.rs: no room is called helpers"]);
    check(&[("helpers.rs", "")], &["helpers.rs: no room is called helpers"]);
}

#[test]
fn literals_and_comments_are_no_code() {
    check(&[("api/a.rs", "// use crate::net;\n/* /* nested */ use crate::net; */ //! use crate::net")], &[]);
    check(&[("api/a.rs", r####"const A: &str = "\" use crate::net"; const B: &str = r#"" use crate::net"#;"####)], &[]);
    check(
        &[(
            "api/a.rs",
            "fn f<'a>(x: &'a u8) -> char { '\\'' } const B: &[u8] = b\"crate::net\"; const C: char = '\"';",
        )],
        &[],
    );
    check(&[("api/a.rs", "const C: char = '\"'; use crate::net;")], &["must not import net"]);
    check(&[("api/a.rs", "fn f<'a>() {} use crate::net;")], &["must not import net"]);
}
