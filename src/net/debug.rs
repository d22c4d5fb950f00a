//! What can be said of the process from inside, under the paths of Go's `net/http/pprof`. Profiles of a program without
//! a runtime are taken from outside, and this says how.

use std::fmt::Write;

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};

use super::heap;
use super::http::Reply;
use super::reply::{HTML, TEXT, error, reply};

/// A path, what it shows, and what to do instead where it shows nothing.
const ENTRIES: &[(&str, &str, Option<&str>)] = &[
    ("allocs", "What the allocator holds; the same as heap", None),
    (
        "block",
        "Where threads wait for each other",
        Some("Shards share no locks. For waits of the whole process: perf trace -s -p {pid}"),
    ),
    ("cmdline", "The command line of the process", None),
    (
        "goroutine",
        "Stacks of all tasks",
        Some("For the stacks of all threads: eu-stack -p {pid}, or gdb -p {pid} -batch -ex 'thread apply all bt'"),
    ),
    ("heap", "What the allocator holds, and the memory of the process", None),
    ("mutex", "Locks that threads fight for", Some("Shards share no locks. For system calls: perf trace -s -p {pid}")),
    (
        "profile",
        "Where the time goes",
        Some("A profile is taken from outside: perf record -F 99 -g -p {pid} -- sleep 30, then perf report"),
    ),
    ("symbol", "Names of addresses", Some("The binary has its symbols: addr2line -f -C -e /proc/{pid}/exe ADDRESS")),
    ("threadcreate", "The threads of the process and the time each has used", None),
    (
        "trace",
        "What happens one after another",
        Some("Events are recorded from outside: perf trace -p {pid}, or bpftrace"),
    ),
];

/// Answers a request to the path with this name below the prefix; an empty one is the list of all.
pub fn answer(name: &str) -> Reply {
    let text = match name {
        "" => return nosniff(reply(StatusCode::OK, HTML, index())),
        "cmdline" => std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join("\0"),
        "heap" | "allocs" => heap::statistics(),
        "threadcreate" => threads(),
        name => match ENTRIES.iter().find(|(entry, _, _)| *entry == name) {
            Some((_, _, Some(instead))) => return error(StatusCode::NOT_IMPLEMENTED, format!("{}\n", here(instead))),
            _ => {
                let mut reply = error(StatusCode::NOT_FOUND, "Unknown profile\n");
                reply.headers_mut().insert(HeaderName::from_static("x-go-pprof"), HeaderValue::from_static("1"));
                return reply;
            }
        },
    };
    nosniff(reply(StatusCode::OK, TEXT, text))
}

fn nosniff(mut reply: Reply) -> Reply {
    reply.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

/// Advice for this process.
fn here(advice: &str) -> String {
    advice.replace("{pid}", &std::process::id().to_string())
}

fn index() -> String {
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Spindle: debug</title>\n\
         <style>body{font:16px/1.5 system-ui,sans-serif;max-width:48rem;margin:1rem auto;padding:0 1rem}\
         dd{margin:0 0 .75rem}code{overflow-wrap:anywhere}</style>\n<h1>Debug</h1>\n<dl>\n",
    );
    for (name, about, instead) in ENTRIES {
        let title = if instead.is_none() { format!("<a href=\"{name}\">{name}</a>") } else { (*name).to_owned() };
        let advice = instead.map(|instead| format!(". Not from here: <code>{}</code>", here(instead)));
        // Text takes text.
        let _ = writeln!(page, "<dt>{title}</dt><dd>{about}{}</dd>", advice.unwrap_or_default());
    }
    page.push_str("</dl>\n");
    page
}

/// Threads by name, with the CPU time that each has used.
fn threads() -> String {
    let mut out = String::from("  user s  system s  thread\n");
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return out };
    let ticks = rustix::param::clock_ticks_per_second().max(1) as f64;
    for task in tasks.flatten() {
        let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) else { continue };
        // The name stands in parentheses and may hold anything: what follows the last one is split by blanks.
        let Some((head, rest)) = stat.rsplit_once(')') else { continue };
        let name = head.split_once('(').map_or("", |(_, name)| name);
        let field = |at: usize| rest.split_ascii_whitespace().nth(at).and_then(|text| text.parse::<f64>().ok());
        let (user, system) = (field(11).unwrap_or(0.0) / ticks, field(12).unwrap_or(0.0) / ticks);
        let _ = writeln!(out, "{user:8.2}  {system:8.2}  {name}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    fn ask(name: &str) -> (u16, String) {
        let reply = answer(name);
        let status = reply.status().as_u16();
        let body = std::pin::pin!(reply.into_body().collect());
        let collected = match body.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(Ok(collected)) => collected,
            std::task::Poll::Ready(Err(_)) | std::task::Poll::Pending => panic!("a whole body"),
        };
        (status, String::from_utf8(collected.to_bytes().to_vec()).unwrap())
    }

    #[test]
    fn everything_listed_is_answered() {
        let (status, page) = ask("");
        assert_eq!(status, 200);
        for (name, about, instead) in ENTRIES {
            assert!(page.contains(about), "{name}");
            let (status, text) = ask(name);
            assert_eq!(status, if instead.is_some() { 501 } else { 200 }, "{name}");
            assert!(text.len() > 10 && !text.contains("{pid}"), "{name}: {text}");
        }
        assert_eq!(ask("nothing"), (404, "Unknown profile\n".to_owned()));
        assert_eq!(ask("../heap").0, 404);
    }

    #[test]
    fn this_thread_is_among_the_threads() {
        let thread = std::thread::Builder::new().name("odd ) name".to_owned());
        let told = thread.spawn(threads).unwrap().join().unwrap();
        assert!(told.lines().any(|line| line.ends_with("  odd ) name")), "{told}");
    }

    #[test]
    fn the_heap_has_figures() {
        let (_, text) = ask("heap");
        let resident = text.lines().find_map(|line| line.strip_prefix("resident bytes: ")).unwrap();
        assert!(resident.parse::<usize>().unwrap() > 1 << 20, "{text}");
    }
}
