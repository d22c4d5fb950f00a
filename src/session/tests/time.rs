//! What happens when time passes.

use super::*;

const PINGS: &str = r#""ping_interval": "10s", "pong_timeout": "3s""#;

#[test]
fn a_connection_that_does_not_connect_is_stale() {
    check(
        r#""stale_close_delay": "5s""#,
        "",
        r#"
        a> {"id":1,"connect":{"token":$jwt{}}}
        a< {"id":1,"connect":{"client":"<a>"}}
        +6000
    "#,
    );
    let mut bench = Bench::new(config(r#""stale_close_delay": "5s""#, ""));
    bench.open(0);
    bench.play(
        r#"
        +4999
        +1
        a< !3502
    "#,
    );
}

#[test]
fn pings_want_pongs() {
    let mut bench = Bench::new(config(PINGS, ""));
    bench.play(
        r#"
        a> {"id":1,"connect":{"token":$jwt{}}}
        a< {"id":1,"connect":{"client":"<a>","ping":10,"pong":true}}
        +4999
    "#,
    );
    let first = bench.sessions[0].next_deadline() - START.mono_ms;
    assert!((5_000..10_000).contains(&first), "{first}");
    bench.pass(first - 4_999);
    bench.play(
        r#"
        a< {}
        a> {}
        # In time; the next one comes after a whole interval.
        +9999
        +1
        a< {}
        +2999
        +1
        a< !3012
    "#,
    );
}

#[test]
fn a_pong_answers_one_ping() {
    let mut bench = Bench::new(config(PINGS, ""));
    bench.send(0, &format!(r#"{{"id":1,"connect":{{"token":"{}"}}}}"#, jwt("{}")));
    bench.came.clear();
    let first = bench.sessions[0].next_deadline() - START.mono_ms;
    bench.pass(first);
    bench.play(
        r#"
        a< {}
        a> {}
        a> {}
        a< !3501
    "#,
    );
}

#[test]
fn pings_as_frames() {
    let mut bench = Bench::new(config(PINGS, ""));
    bench.setup.1 = true;
    bench.open(0);
    bench.send(0, &format!(r#"{{"id":1,"connect":{{"token":"{}"}}}}"#, jwt("{}")));
    assert_eq!(bench.came.pop_front().as_deref(), Some(r#"a< {"id":1,"connect":{"client":"<a>"}}"#));
    let first = bench.sessions[0].next_deadline() - START.mono_ms;
    assert!((5_000..10_000).contains(&first), "{first}");
    bench.pass(first);
    bench.play("a< ping frame");
    // A pong gives another interval and timeout.
    bench.play("a! pong");
    bench.pass(12_999);
    assert_eq!(bench.came.pop_front().as_deref(), Some("a< ping frame"));
    bench.play("+1\n a< !3000");
}

#[test]
fn lifetimes_end_after_a_grace_time() {
    check(
        r#""expired_close_delay": "5s""#,
        "",
        r#"
        a> {"id":1,"connect":{"token":$jwt{"exp":1700000010}}}
        a< {"id":1,"connect":{"client":"<a>","expires":true,"ttl":10}}
        +14999
        +1
        a< !3005
        b> {"id":1,"connect":{"token":$jwt{"exp":1700000025}}}
        b< {"id":1,"connect":{"client":"<b>","expires":true,"ttl":10}}
        +12000
        b> {"id":2,"refresh":{"token":$jwt{"exp":1700000060}}}
        b< {"id":2,"refresh":{"expires":true,"ttl":33}}
        +37999
        +1
        b< !3005
    "#,
    );
}

#[test]
fn subscriptions_end_on_a_tick_after_their_grace_time() {
    check(
        r#""expired_sub_close_delay": "5s", "presence_update_interval": "2s""#,
        NAMESPACES,
        r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        a< {"id":1,"connect":{"client":"<a>"}}
        a> {"id":2,"subscribe":{"channel":"closed:1","token":$jwt{"sub":"u","channel":"closed:1","exp":1700000010}}}
        a< {"id":2,"subscribe":{"expires":true,"ttl":10}}
        +15000
        +3000
        a< {"push":{"channel":"closed:1","unsubscribe":{"code":2501,"reason":"subscription expired"}}}
        a! subscribe closed:2 expire_at=1700000020
        a< {"push":{"channel":"closed:2","subscribe":{}}}
        +6000
        +4000
        a< !3006
    "#,
    );
}

const CHECKS: &str = r#""presence_update_interval": "2s", "channel_position_check_delay": "10s""#;
const FLEETING: &str = r#"{"name": "fleet", "history_size": 3, "history_ttl": "3s", "history_meta_ttl": "5s",
    "force_positioning": true, "allow_subscribe_for_client": true}"#;

#[test]
fn a_stream_that_began_anew_is_noticed() {
    check(
        CHECKS,
        FLEETING,
        r#"
        pub> fleet:1 1
        a> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        a< {"id":1,"connect":{"client":"<a>"}}
        a> {"id":2,"subscribe":{"channel":"fleet:1"}}
        a< {"id":2,"subscribe":{"epoch":"<e>","offset":1,"positioned":true}}
        +10000
        +3000
        a< {"push":{"channel":"fleet:1","unsubscribe":{"code":2500,"reason":"insufficient state"}}}
        # Nobody can begin a server-side subscription anew but the server.
        b> {"id":1,"connect":{"token":$jwt{"channels":["fleet:1"]}}}
        b< {"id":1,"connect":{"client":"<b>","subs":{"fleet:1":{"epoch":"<e>","positioned":true}}}}
        +10000
        +3000
        b< !3010
    "#,
    );
}

#[test]
fn a_stream_that_goes_on_is_left_alone() {
    check(
        CHECKS,
        NAMESPACES,
        r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        a< {"id":1,"connect":{"client":"<a>"}}
        a> {"id":2,"subscribe":{"channel":"rec:1"}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","positioned":true}}
        +30000
        pub> rec:1 1
        a< {"push":{"channel":"rec:1","pub":{"data":1,"offset":1,"epoch":"<e>"}}}
        +30000
        pub> rec:1 2
        a< {"push":{"channel":"rec:1","pub":{"data":2,"offset":2}}}
    "#,
    );
}

#[test]
fn a_gap_in_the_stream_ends_the_subscription() {
    let mut bench = Bench::new(config("", NAMESPACES));
    bench.play(
        r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":"u","channels":["rec:2"]}}}
        a< {"id":1,"connect":{"client":"<a>","subs":{"rec:2":{"recoverable":true,"epoch":"<e>","positioned":true}}}}
        a> {"id":2,"subscribe":{"channel":"rec:1"}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","positioned":true}}
    "#,
    );
    for _ in 0..2 {
        bench.publish("rec:1", "1");
        bench.came.clear();
    }
    let lost = |bench: &mut Bench, channel: &str| {
        let local = bench.hub.find(channel).unwrap();
        bench.step(0, |session, cx| session.on_insufficient_state(cx, local));
    };
    lost(&mut bench, "rec:1");
    bench.play(
        r#"
        a< {"push":{"channel":"rec:1","unsubscribe":{"code":2500,"reason":"insufficient state"}}}
    "#,
    );
    lost(&mut bench, "rec:2");
    bench.play("a< !3010");
}

#[test]
fn many_subscriptions_are_looked_after_in_steps() {
    let mut bench = Bench::new(config(r#""channel_limit": 2000, "presence_update_interval": "20s""#, NAMESPACES));
    bench.send(0, &format!(r#"{{"id":1,"connect":{{"token":"{}"}}}}"#, jwt(r#"{"sub":"u"}"#)));
    for n in 0..1000 {
        bench.send(0, &format!(r#"{{"id":2,"subscribe":{{"channel":"pres:{n}"}}}}"#));
    }
    bench.came.clear();
    // Four rounds would lose every entry that a round forgets.
    bench.pass(90_000);
    for n in [0, 255, 256, 700, 999] {
        bench.send(0, &format!(r#"{{"id":2,"presence_stats":{{"channel":"pres:{n}"}}}}"#));
        let stats = r#"a< {"id":2,"presence_stats":{"num_clients":1,"num_users":1}}"#;
        assert_eq!(bench.came.pop_front().as_deref(), Some(stats), "{n}");
    }
}
