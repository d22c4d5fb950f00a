//! Replies whole, in pieces, and broken.

use proptest::prelude::*;

use super::*;

fn text(text: &'static str) -> Value {
    Value::Bytes(Bytes::from_static(text.as_bytes()))
}

/// All replies in `bytes`, which come in pieces of this size.
fn read(bytes: &[u8], piece: usize) -> Result<Vec<Reply>, Broken> {
    let (mut incoming, mut found) = (Incoming::default(), Vec::new());
    for piece in bytes.chunks(piece) {
        incoming.buffer().extend_from_slice(piece);
        while let Some(reply) = incoming.reply()? {
            found.push(reply);
        }
    }
    Ok(found)
}

#[track_caller]
fn check(bytes: &[u8], expected: Value) {
    for piece in [1, 2, 5, bytes.len()] {
        assert_eq!(read(bytes, piece), Ok(vec![Reply::Value(expected.clone())]), "{}", bytes.escape_ascii());
    }
}

#[test]
fn replies_of_both_protocols() {
    check(b"+OK\r\n", text("OK"));
    check(b":-7\r\n", Value::Int(-7));
    check(b"$5\r\na\r\nb\n\r\n", text("a\r\nb\n"));
    check(b"$0\r\n\r\n", text(""));
    check(b"$-1\r\n", Value::Nil);
    check(b"*-1\r\n", Value::Nil);
    check(b"_\r\n", Value::Nil);
    check(b"#t\r\n", Value::Int(1));
    check(b",1.5\r\n", text("1.5"));
    check(b"=6\r\ntxt:ab\r\n", text("ab"));
    check(b"*2\r\n:5\r\n$2\r\nab\r\n", Value::List(vec![Value::Int(5), text("ab")]));
    check(b"*2\r\n*1\r\n:1\r\n*0\r\n", Value::List(vec![Value::List(vec![Value::Int(1)]), Value::List(vec![])]));
    check(b"%1\r\n+mode\r\n+cluster\r\n", Value::List(vec![text("mode"), text("cluster")]));
    check(b"~1\r\n:1\r\n", Value::List(vec![Value::Int(1)]));
    check(b"|1\r\n+a\r\n*1\r\n:9\r\n:5\r\n", Value::Int(5));
}

#[test]
fn errors_are_replies() {
    let error = |text: &str| Ok(vec![Reply::Error(text.into())]);
    assert_eq!(read(b"-NOSCRIPT No matching script.\r\n", 3), error("NOSCRIPT No matching script."));
}

#[test]
fn broken_replies_are_refused() {
    for bytes in [
        &b"?\r\n"[..],
        b"\r\n",
        b"+OK\n",
        b":x\r\n",
        b":99999999999999999999\r\n",
        b"$3\r\nabcde",
        b"$99999999999\r\n",
        b"=2\r\nab\r\n",
        b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
    ] {
        assert!(read(bytes, 100).is_err(), "{}", bytes.escape_ascii());
    }
}

fn messages(bytes: &[u8]) -> Vec<String> {
    let mut incoming = Incoming::default();
    let mut found = Vec::new();
    for byte in bytes {
        incoming.buffer().extend_from_slice(&[*byte]);
        let shown = incoming.message(|message| match message {
            Message::Message(name, body) => format!("{}={}", name.escape_ascii(), body.escape_ascii()),
            Message::Subscribed(name) => format!("+{}", name.escape_ascii()),
            Message::Unsubscribed(name) => format!("-{}", name.escape_ascii()),
            Message::Failed(error) => format!("!{}", error.escape_ascii()),
            Message::Other => "?".to_owned(),
        });
        found.extend(shown.expect("sound"));
    }
    found
}

#[test]
fn what_listeners_get() {
    let found = messages(
        b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n>3\r\n$8\r\nsmessage\r\n$1\r\nb\r\n$0\r\n\r\n\
        *3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n>3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n\
        -NOPERM no\r\n+PONG\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n",
    );
    assert_eq!(found, ["a=hi", "b=", "+a", "-a", "!NOPERM no", "?", "?", "?"]);
}

#[test]
fn calls_are_written_as_arrays() {
    let names = crate::broker::Names::new("p", crate::broker::Layout::Plain, false);
    let mut out = Vec::new();
    write_call(&crate::broker::history::remove(&names, "a"), |_| unreachable!("no script"), &mut out);
    write([&b"PING"[..]].into_iter(), &mut out);
    assert_eq!(out, b"*2\r\n$3\r\nDEL\r\n$10\r\np.stream.a\r\n*1\r\n$4\r\nPING\r\n");
    let read = crate::channel::broker_op::Read { since: None, limit: 1, reverse: false, meta_ttl_s: 0 };
    let epoch = crate::channel::publication::Epoch::from_random([0; 8]);
    let call = crate::broker::history::read(&names, "a", &read, epoch);
    let mut out = Vec::new();
    write_call(&call, |_| [b'x'; 40], &mut out);
    let (sha, keys) = ([b'x'; 40], call.keys().len().to_string());
    let parts = [&b"EVALSHA"[..], &sha, keys.as_bytes()].into_iter().chain(call.keys()).chain(call.args());
    let mut expected = Vec::new();
    write(parts.collect::<Vec<_>>().into_iter(), &mut expected);
    assert_eq!(out, expected);
}

proptest! {
    #[test]
    fn any_bytes_are_replies_or_broken(bytes: Vec<u8>, piece in 1..9usize) {
        let _ = read(&bytes, piece);
    }

    #[test]
    fn nearly_replies_are_replies_or_broken(
        parts in prop::collection::vec(prop::sample::select(vec!["*2\r\n", "$1\r\n", "a", "\r\n", ":1\r\n", "_\r\n", "|1\r\n", ">3\r\n"]), 0..20),
    ) {
        let bytes = parts.concat();
        // In pieces or at once: the same.
        prop_assert_eq!(read(bytes.as_bytes(), 1), read(bytes.as_bytes(), 1000));
    }
}
