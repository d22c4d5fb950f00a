//! What exists for each connection may not grow unnoticed: a server has up to a million of them on a core's memory,
//! so that 16 bytes more are 16 MB, and every delivery touches one.

use super::connections::Conn;
use crate::base::ids::ConnId;
use crate::fanout::member::Member;
use crate::fanout::outbox::Outbox;
use crate::session::Session;

#[track_caller]
fn check(what: &str, size: usize, bound: usize) {
    assert!(size <= bound, "{what}: {size} bytes, above {bound}");
}

#[test]
fn what_a_connection_owns_is_small() {
    // Identity, four deadlines, the table of subscriptions, and what a running command waits for.
    check("a session", size_of::<Session>(), 168);
    // With its generation in the slab: under four cache lines. Beside the session stand the outbox, the reader's state, and
    // the deadlines of the socket.
    check("a connection with its session", size_of::<Conn>(), 232);
    // One word, because most connections are owed nothing.
    check("an outbox", size_of::<Outbox>(), 8);
}

#[test]
fn what_a_delivery_reads_is_small() {
    // The fan-out walks these rows: five in a cache line.
    check("a member", size_of::<Member>(), 12);
    // Stands in rows, wheel entries and answers.
    check("the id of a connection", size_of::<ConnId>(), 8);
}
