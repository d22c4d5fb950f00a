//! The other commands: publish, presence, history, refresh, and what is refused.

use super::*;

fn check_as_user(script: &str) {
    let mut bench = Bench::new(config("", NAMESPACES));
    bench.play(
        r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":"u","info":{"i": 1},"exp":1700000100,"channels":["closed:t"]}}}
        a< {"id":1,"connect":{"client":"<a>","expires":true,"ttl":100,"subs":{"closed:t":{}}}}
    "#,
    );
    bench.play(script);
}

#[test]
fn publishing() {
    check_as_user(
        r#"
        a> {"id":2,"publish":{"channel":"open:1","data":1}}
        a< {"id":2,"publish":{}}
        a> {"id":2,"subscribe":{"channel":"rec:1"}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","positioned":true}}
        a> {"id":3,"publish":{"channel":"rec:1","data":{"n": 1}}}
        a< {"push":{"channel":"rec:1","pub":{"data":{"n": 1},"info":{"user":"u","client":"<a>","conn_info":{"i": 1}},"offset":1,"epoch":"<e>"}}}
        a< {"id":3,"publish":{}}
        a> {"id":2,"publish":{"channel":"nowhere:1","data":1}}
        a< {"id":2,"error":{"code":102,"message":"unknown channel"}}
        a> {"id":2,"publish":{"channel":"rx:A","data":1}}
        a< {"id":2,"error":{"code":107,"message":"bad request"}}
        a> {"id":2,"publish":{"channel":"closed:1"}}
        a< {"id":2,"error":{"code":107,"message":"bad request"}}
        a> {"id":2,"publish":{"channel":"closed:1","data":1}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":2,"publish":{"channel":"subpub:1","data":1}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":2,"publish":{"channel":"open:1","data":1,"type":1,"key":"k"}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":2,"publish":{"data":1}}
        a< !3501
    "#,
    );
}

#[test]
fn subscribers_may_do_more() {
    check_as_user(
        r#"
        a> {"id":2,"history":{"channel":"subpub:1"}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":2,"presence":{"channel":"subpub:1"}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":2,"subscribe":{"channel":"subpub:1"}}
        a< {"id":2,"subscribe":{}}
        a> {"id":2,"publish":{"channel":"subpub:1","data":1}}
        a< {"push":{"channel":"subpub:1","pub":{"data":1,"info":{"user":"u","client":"<a>","conn_info":{"i": 1}},"offset":1,"epoch":"<e>"}}}
        a< {"id":2,"publish":{}}
        a> {"id":2,"history":{"channel":"subpub:1","limit":1}}
        a< {"id":2,"history":{"publications":[{"data":1,"info":{"user":"u","client":"<a>","conn_info":{"i": 1}},"offset":1,"epoch":"<e>"}],"epoch":"<e>","offset":1}}
        a> {"id":2,"presence_stats":{"channel":"subpub:1"}}
        a< {"id":2,"presence_stats":{"num_clients":1,"num_users":1}}
    "#,
    );
}

#[test]
fn presence_and_history_are_refused_in_order() {
    check_as_user(
        r#"
        a> {"id":2,"presence":{"channel":"nowhere:1"}}
        a< {"id":2,"error":{"code":102,"message":"unknown channel"}}
        a> {"id":2,"presence":{"channel":"closed:1"}}
        a< {"id":2,"error":{"code":108,"message":"not available"}}
        a> {"id":2,"presence_stats":{"channel":"jlopt:1"}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":2,"history":{"channel":"open:1"}}
        a< {"id":2,"error":{"code":108,"message":"not available"}}
        a> {"id":2,"history":{"channel":"rec:1"}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":2,"history":{"channel":"hist:1","reverse":true,"since":{"offset":0}}}
        a< {"id":2,"error":{"code":107,"message":"bad request"}}
        a> {"id":2,"history":{"channel":"hist:1","since":{"offset":0,"epoch":"zzzzzzzz"}}}
        a< {"id":2,"error":{"code":112,"message":"unrecoverable position"}}
        a> {"id":2,"history":{}}
        a< !3501
    "#,
    );
}

#[test]
fn what_is_not_served() {
    for (command, end) in [
        (r#"{"id":2,"send":{"data":1}}"#, "!3508"),
        (r#"{"send":{"data":1}}"#, "!3508"),
        (r#"{"id":2,"ping":{}}"#, "!3501"),
        (r#"{"id":2}"#, "!3501"),
        (r#"{"id":0,"rpc":{}}"#, "!3501"),
        ("{}", "!3501"),
        (r#"{"id":2,"unsubscribe":{}}"#, "!3501"),
    ] {
        check_as_user(&format!("a> {command}\na< {end}"));
    }
    check_as_user(
        r#"
        a> {"id":2,"rpc":{"method":"x"}}
        a< {"id":2,"error":{"code":108,"message":"not available"}}
        a> {"id":2,"ping":{},"rpc":{}}
        a< {"id":2,"error":{"code":108,"message":"not available"}}
        a> {"id":2,"unsubscribe":{"channel":"open:unknown"}}
        a< {"id":2,"unsubscribe":{}}
    "#,
    );
}

#[test]
fn of_two_requests_one_counts() {
    check_as_user(
        r#"
        a> {"id":2,"unsubscribe":{"channel":"open:1"},"subscribe":{"channel":"open:1"}}
        a< {"id":2,"subscribe":{}}
    "#,
    );
}

#[test]
fn refreshing_the_connection() {
    check_as_user(
        r#"
        a> {"id":2,"refresh":{"token":$jwt{"sub":"u","exp":1700000500,"channels":["closed:t"]}}}
        a< {"id":2,"refresh":{"expires":true,"ttl":500}}
        a> {"id":2,"refresh":{"token":$jwt{"sub":"u","channels":["closed:t"]}}}
        a< {"id":2,"refresh":{}}
        a> {"id":2,"refresh":{"token":$jwt{"sub":"u","expire_at":5,"channels":["closed:t"]}}}
        a< {"id":2,"error":{"code":110,"message":"expired"}}
        a> {"id":2,"refresh":{"token":$jwt{"sub":"u","channels":["nowhere:t"]}}}
        a< {"id":2,"error":{"code":102,"message":"unknown channel"}}
        a> {"id":2,"refresh":{"token":$jwt{"sub":"u","b64info":"%"}}}
        a< {"id":2,"error":{"code":100,"message":"internal server error","temporary":true}}
    "#,
    );
    for (token, end) in [
        (r#""""#, "!3501"),
        (r#""rubbish""#, "!3500"),
        (r#"$jwt{"sub":"v","channels":["closed:t"]}"#, "!3500"),
        (r#"$jwt{"sub":"u","exp":5}"#, "!3005"),
        (r#"$jwt{"sub":"u"}"#, "!3010"),
        (r#"$jwt{"sub":"u","channels":["closed:t","closed:more"]}"#, "!3010"),
    ] {
        check_as_user(&format!("a> {{\"id\":2,\"refresh\":{{\"token\":{token}}}}}\na< {end}"));
    }
}

#[test]
fn a_new_info_shows_everywhere() {
    check_as_user(
        r#"
        a> {"id":2,"subscribe":{"channel":"open:1","token":$jwt{"sub":"u","channel":"open:1","info":{"s":1}}}}
        a< {"id":2,"subscribe":{}}
        a> {"id":2,"refresh":{"token":$jwt{"sub":"u","exp":1700000500,"info":{"new":1},"channels":["closed:t"]}}}
        a< {"id":2,"refresh":{"expires":true,"ttl":500}}
        a> {"id":2,"publish":{"channel":"open:1","data":1}}
        a< {"push":{"channel":"open:1","pub":{"data":1,"info":{"user":"u","client":"<a>","conn_info":{"new":1},"chan_info":{"s":1}}}}}
        a< {"id":2,"publish":{}}
    "#,
    );
}

#[test]
fn refreshing_a_subscription() {
    check_as_user(
        r#"
        a> {"id":2,"subscribe":{"channel":"open:1"}}
        a< {"id":2,"subscribe":{}}
        a> {"id":2,"sub_refresh":{"channel":"open:2","token":"x"}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":2,"sub_refresh":{"channel":"open:1"}}
        a< {"id":2,"error":{"code":107,"message":"bad request"}}
        a> {"id":2,"sub_refresh":{"channel":"open:1","token":$jwt{"sub":"u","channel":"open:1","exp":1700000500,"info":7}}}
        a< {"id":2,"sub_refresh":{"expires":true,"ttl":500}}
        a> {"id":2,"publish":{"channel":"open:1","data":1}}
        a< {"push":{"channel":"open:1","pub":{"data":1,"info":{"user":"u","client":"<a>","conn_info":{"i": 1},"chan_info":7}}}}
        a< {"id":2,"publish":{}}
        a> {"id":2,"sub_refresh":{"channel":"open:1","token":$jwt{"sub":"u","channel":"open:1","exp":5}}}
        a< {"id":2,"sub_refresh":{}}
        a> {"id":2,"sub_refresh":{"channel":"open:1","token":$jwt{"sub":"u","channel":"open:1","expire_at":5}}}
        a< {"id":2,"error":{"code":110,"message":"expired"}}
    "#,
    );
    for (request, end) in [
        (r#"{"token":"x"}"#, "!3501"),
        (r#"{"channel":"closed:t","token":"x"}"#, "!3501"),
        (r#"{"channel":"open:1","token":"x"}"#, "!3500"),
        (r#"{"channel":"open:1","token":$jwt{"sub":"v","channel":"open:1"}}"#, "!3500"),
        (r#"{"channel":"open:1","token":$jwt{"sub":"u","channel":"open:2"}}"#, "!3500"),
        (r#"{"channel":"open:1","token":$jwt{"sub":"u","channel":"open:1","client":"other"}}"#, "!3500"),
        (r#"{"channel":"open:1","token":$jwt{"sub":"u","channel":"open:1","b64data":"%"}}"#, "!3500"),
        (r#"{"channel":"open:1","token":$jwt{"sub":"u"}}"#, "!3500"),
    ] {
        let script = r#"
            a> {"id":2,"subscribe":{"channel":"open:1"}}
            a< {"id":2,"subscribe":{}}
        "#;
        check_as_user(&format!("{script}\na> {{\"id\":2,\"sub_refresh\":{request}}}\na< {end}"));
    }
}

#[test]
fn protobuf_clients_get_protobuf() {
    let mut bench = Bench::new(config("", NAMESPACES));
    bench.setup.0 = Protocol::Protobuf;
    bench.send(0, &format!(r#"{{"id":1,"connect":{{"token":"{}"}}}}"#, jwt("{}")));
    bench.came.clear();
    bench.send(0, r#"{"id":2,"subscribe":{"channel":"anon:1"}}"#);
    // Length, then id 2 and an empty result in field 6.
    assert_eq!(bench.came.pop_front(), Some(format!("a< {}", "\u{4}\u{8}\u{2}2\u{0}")));
}
