//! Operations are cut from a stream however it comes in.

use proptest::prelude::*;

use super::*;

/// What is said, readable.
fn text(said: &Said<'_>) -> String {
    let show = |bytes: &[u8]| bytes.escape_ascii().to_string();
    match said {
        Said::Info(json) => format!("info {}", show(json)),
        Said::Message { subject, by, payload } => {
            format!("{} by {}/{}: {}", show(subject), by.slot, by.generation, show(payload))
        }
        Said::Failed(words) => format!("failed: {}", show(words)),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Everything in a stream that comes in these pieces; the last line is what is wrong with it.
fn read<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> Vec<String> {
    let (mut incoming, mut found) = (Incoming::default(), Vec::new());
    for piece in pieces {
        incoming.buffer().extend_from_slice(piece);
        loop {
            match incoming.next(|said| text(&said)) {
                Ok(Some(said)) => found.push(said),
                Ok(None) => break,
                Err(broken) => {
                    found.push(broken.0.to_owned());
                    return found;
                }
            }
        }
    }
    found
}

#[track_caller]
fn check(stream: &[u8], expected: &[&str]) {
    assert_eq!(read(std::iter::once(stream)), expected);
    assert_eq!(read(stream.chunks(1)), expected, "byte by byte");
}

#[test]
fn what_servers_say() {
    check(
        b"INFO {a:1} \r\nPING\r\nPONG\r\n+OK\r\n-ERR 'Stale Connection'\r\n",
        &["info {a:1}", "ping", "pong", "ok", "failed: Stale Connection"],
    );
    check(b"MSG a.b 1 3\r\nxyz\r\nMSG a 4294967298 0\r\n\r\n", &["a.b by 1/0: xyz", "a by 2/1: "]);
    check(b"MSG  a.b\t7 _INBOX.1  2\r\n\r\n\r\nPING\r\n", &["a.b by 7/0: \\r\\n", "ping"]);
    check(b"ping\r\nmsg a 1 1\r\nx\r\nPong\nInfo {}\n", &["ping", "a by 1/0: x", "pong", "info {}"]);
    check(b"MSG a 1 5\r\nabc", &[]);
}

#[test]
fn what_is_none() {
    for (stream, problem) in [
        (&b"HELLO\r\n"[..], UNKNOWN.0),
        (b"\r\n", UNKNOWN.0),
        (b"HMSG a 1 5 5\r\nabcde\r\n", UNKNOWN.0),
        (b"MSG a 1\r\n", "a message has too few parts"),
        (b"MSG a 1 b 2 3\r\n", "a message has too many parts"),
        (b"MSG a x 1\r\n", "a subscription has a number that is none of ours"),
        (b"MSG a 99999999999999999999 1\r\n", "a subscription has a number that is none of ours"),
        (b"MSG a 1 -1\r\n", "a message has a length that is none"),
        (b"MSG a 1 67108865\r\n", "a message is too long"),
        (b"MSG a 1 1\r\nxy\r\n", "a message is longer than it says"),
    ] {
        check(stream, &[problem]);
    }
    check(&vec![b'x'; MAX_LINE], &["a line is too long"]);
    let mut long = vec![b'x'; MAX_LINE];
    long.push(b'\n');
    check(&long, &["a line is too long"]);
}

#[test]
fn what_we_say() {
    let mut out = Vec::new();
    publish("a.b", b"xyz", &mut out);
    publish("a", b"", &mut out);
    subscribe("a.*", ConnId { slot: 2, generation: 1 }, &mut out);
    unsubscribe(ConnId { slot: 2, generation: 1 }, &mut out);
    let expected = "PUB a.b 3\r\nxyz\r\nPUB a 0\r\n\r\nSUB a.* 4294967298\r\nUNSUB 4294967298\r\n";
    assert_eq!(out, expected.as_bytes());
}

fn operation() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop::collection::vec(any::<u8>(), 0..12);
    prop_oneof![
        Just(b"PING\r\n".to_vec()),
        Just(b"PONG\n".to_vec()),
        Just(b"INFO {}\r\n".to_vec()),
        Just(b"-ERR 'x'\r\n".to_vec()),
        ("[a-z.]{1,4}", any::<u64>(), payload).prop_map(|(subject, number, payload)| {
            let mut out = format!("MSG {subject} {number} {}\r\n", payload.len()).into_bytes();
            out.extend(payload);
            out.extend(b"\r\n");
            out
        }),
    ]
}

proptest! {
    #[test]
    fn pieces_do_not_matter(
        operations in prop::collection::vec(operation(), 0..8),
        junk in prop::collection::vec(any::<u8>(), 0..4),
        cuts in prop::collection::vec(1usize..9, 1..8),
    ) {
        let count = operations.len();
        let mut stream = operations.concat();
        stream.extend(junk);
        let whole = read(std::iter::once(&stream[..]));
        prop_assert!(whole.len() >= count);
        let (mut rest, mut pieces, mut cuts) = (&stream[..], Vec::new(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        prop_assert_eq!(read(pieces.into_iter()), whole);
    }
}
