//! What the server API does to sessions.

use super::*;

fn check_as_user(script: &str) {
    check_connected(r#""channel_limit": 3, "expired_close_delay": "10s""#, NAMESPACES, script);
}

#[test]
fn subscriptions_of_the_server() {
    check_as_user(
        r#"
        pub> rec:1 1
        a! subscribe rec:1 recoverable data={"a":1}
        a< {"push":{"channel":"rec:1","subscribe":{"recoverable":true,"epoch":"<e>","offset":1,"positioned":true,"data":{"a":1}}}}
        pub> rec:1 2
        a< {"push":{"channel":"rec:1","pub":{"data":2,"offset":2}}}
        a> {"id":2,"subscribe":{"channel":"rec:1"}}
        a< {"id":2,"error":{"code":105,"message":"already subscribed"}}
        a! unsubscribe rec:1
        a< {"push":{"channel":"rec:1","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}}
        pub> rec:1 3
        a! unsubscribe rec:1
        a< {"push":{"channel":"rec:1","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}}
        a! unsubscribe nowhere:1
        a< {"push":{"channel":"nowhere:1","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}}
        a! unsubscribe
        a< {"push":{"unsubscribe":{"code":2000,"reason":"server unsubscribe"}}}
    "#,
    );
}

#[test]
fn a_subscription_may_be_begun_anew() {
    let mut bench = Bench::new(config("", NAMESPACES));
    bench.play(
        r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        a< {"id":1,"connect":{"client":"<a>"}}
        a> {"id":2,"subscribe":{"channel":"open:1"}}
        a< {"id":2,"subscribe":{}}
        a! subscribe open:1
        a< {"push":{"channel":"open:1","subscribe":{}}}
        pub> open:1 1
        a< {"push":{"channel":"open:1","pub":{"data":1}}}
        a> {"id":3,"unsubscribe":{"channel":"open:1"}}
        a< {"id":3,"unsubscribe":{}}
        pub> open:1 2
    "#,
    );
    assert_eq!((bench.hub.channel_count(), bench.homes.len()), (0, 0));
}

#[test]
fn whoever_called_for_a_subscription_is_told_what_came_of_it() {
    let mut bench = Bench::new(config(r#""channel_limit": 2"#, NAMESPACES));
    bench.play(
        r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        a< {"id":1,"connect":{"client":"<a>"}}
        a! subscribe closed:1
        a< {"push":{"channel":"closed:1","subscribe":{}}}
    "#,
    );
    assert_eq!(std::mem::take(&mut bench.begun), [true]);
    let subscribe = |channel: &str| {
        let wanted = ServerSubscribe { channel: channel.into(), ..ServerSubscribe::default() };
        SessionControl::Subscribe(Box::new(wanted))
    };
    // The connection is gone before the home answers.
    let mut goes_on = false;
    bench.step(0, |session, cx| goes_on = session.on_control(cx, &subscribe("closed:2"), CALLER));
    assert!(goes_on && bench.begun.is_empty());
    bench.close(0);
    assert_eq!(bench.begun, [false]);
    bench.step(0, |session, cx| goes_on = session.on_control(cx, &subscribe("closed:3"), CALLER));
    assert!(!goes_on, "there is nobody left");
}

#[test]
fn joins_follow_the_push() {
    check_as_user(
        r#"
        a! subscribe closed:1 join_leave presence
        a< {"push":{"channel":"closed:1","subscribe":{}}}
        a< {"push":{"channel":"closed:1","join":{"info":{"user":"u","client":"<a>"}}}}
    "#,
    );
}

#[test]
fn too_many_subscriptions_of_the_server() {
    check_as_user(
        r#"
        a! subscribe closed:1
        a< {"push":{"channel":"closed:1","subscribe":{}}}
        a! subscribe closed:2
        a< {"push":{"channel":"closed:2","subscribe":{}}}
        a! subscribe closed:3
        a< {"push":{"channel":"closed:3","subscribe":{}}}
        a! subscribe closed:4
        a< !3505
    "#,
    );
}

#[test]
fn an_unsubscribe_waits_for_the_subscription_under_way() {
    let mut bench = Bench::new(config("", NAMESPACES));
    bench.play(
        r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        a< {"id":1,"connect":{"client":"<a>"}}
    "#,
    );
    let mut commands = Commands::new(Protocol::Json, br#"{"id":2,"subscribe":{"channel":"open:1"}}"#);
    let command = commands.next().unwrap().unwrap();
    bench.step(0, |session, cx| session.on_command(cx, command, 1));
    let control = SessionControl::Unsubscribe { channel: "open:1".into(), unsubscribe: Unsubscribe::SERVER };
    bench.step(0, |session, cx| {
        let _ = session.on_control(cx, &control, CALLER);
    });
    assert!(bench.came.is_empty());
    bench.play(
        r#"
        +0
    "#,
    );
    bench.settle();
    bench.play(
        r#"
        a< {"id":2,"subscribe":{}}
        a< {"push":{"channel":"open:1","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}}
        pub> open:1 1
    "#,
    );
    assert_eq!(bench.hub.channel_count(), 0);
}

#[test]
fn lifetimes_change() {
    check_as_user(
        r#"
        a! refresh 1700000100
        a< {"push":{"refresh":{"expires":true,"ttl":100}}}
        a! refresh 0
        a< {"push":{"refresh":{}}}
        +200000
        a! refresh 1700000250
        a< {"push":{"refresh":{"expires":true,"ttl":50}}}
        +59000
        +2000
        a< !3005
    "#,
    );
    check_as_user(
        r#"
        a! refresh 1699999999
        a< !3005
    "#,
    );
    check_as_user(
        r#"
        a! expire
        a< !3005
    "#,
    );
    check_as_user(
        r#"
        a! disconnect
        a< !3503
        a> {"id":2,"rpc":{}}
    "#,
    );
}
