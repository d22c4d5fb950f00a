//! Connect: credentials, refusals, server-side subscriptions in the reply.

use super::*;

#[test]
fn a_token_connects() {
    check(
        "",
        NAMESPACES,
        r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        a< {"id":1,"connect":{"client":"<a>"}}
        # A second connect breaks the protocol.
        a> {"id":2,"connect":{"token":$jwt{"sub":"u"}}}
        a< !3501
    "#,
    );
}

#[test]
fn the_reply_tells_of_pings_and_time() {
    check(
        r#""ping_interval": "20s", "pong_timeout": "5s", "connect_include_server_time": true"#,
        "",
        r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        a< {"id":1,"connect":{"client":"<a>","ping":20,"pong":true,"time":1700000000000}}
    "#,
    );
}

#[test]
fn lifetimes() {
    check(
        "",
        "",
        r#"
        a> {"id":1,"connect":{"token":$jwt{"exp":1700000600}}}
        a< {"id":1,"connect":{"client":"<a>","expires":true,"ttl":600}}
        b> {"id":1,"connect":{"token":$jwt{"exp":4000000000}}}
        b< {"id":1,"connect":{"client":"<b>","expires":true,"ttl":31536000}}
        c> {"id":1,"connect":{"token":$jwt{"exp":1700000600,"expire_at":0}}}
        c< {"id":1,"connect":{"client":"<c>"}}
        d> {"id":1,"connect":{"token":$jwt{"expire_at":1699999999}}}
        d< {"id":1,"error":{"code":110,"message":"expired"}}
        d< drain
        e> {"id":1,"connect":{"token":$jwt{"exp":1700000000}}}
        e< {"id":1,"error":{"code":109,"message":"token expired"}}
        e< drain
        f> {"id":1,"connect":{"token":$jwt{"nbf":1700000100}}}
        f< {"id":1,"error":{"code":109,"message":"token expired"}}
        f< drain
    "#,
    );
}

#[test]
fn refusals() {
    check(
        "",
        NAMESPACES,
        r#"
        a> {"id":1,"connect":{}}
        a< !3501
        b> {"id":1,"connect":{"token":"rubbish"}}
        b< !3500
        c> {"id":1,"connect":{"token":$jwt{"sub":"u","channel":"x"}}}
        c< !3500
        d> {"id":1,"subscribe":{"channel":"open:x"}}
        d< !3501
        e> {}
        e< !3501
        f> {"id":1,"connect":{"token":$jwt{"b64info":"%"}}}
        f< {"id":1,"error":{"code":100,"message":"internal server error","temporary":true}}
        f< drain
        g> {"id":1,"connect":{"token":$jwt{"b64info":"%","channels":["nowhere:x"]}}}
        g< {"id":1,"error":{"code":102,"message":"unknown channel"}}
        g< drain
        h> rubbish
        h< !3501
    "#,
    );
}

#[test]
fn anonymous_connections() {
    check(
        r#""allow_anonymous_connect_without_token": true"#,
        NAMESPACES,
        r#"
        a> {"id":1,"connect":{}}
        a< {"id":1,"connect":{"client":"<a>"}}
        a> {"id":2,"subscribe":{"channel":"open:x"}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":3,"subscribe":{"channel":"anon:x"}}
        a< {"id":3,"subscribe":{}}
    "#,
    );
    check(
        r#""disallow_anonymous_connection_tokens": true"#,
        "",
        r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":""}}}
        a< !3507
    "#,
    );
}

#[test]
fn insecure_mode_opens_everything_but_private_channels() {
    check(
        r#""insecure": true"#,
        NAMESPACES,
        r#"
        a> {"id":1,"connect":{"token":$jwt{"exp":1700000600}}}
        a< {"id":1,"connect":{"client":"<a>"}}
        a> {"id":2,"subscribe":{"channel":"closed:x"}}
        a< {"id":2,"subscribe":{}}
        a> {"id":3,"subscribe":{"channel":"user:x#nobody"}}
        a< {"id":3,"subscribe":{}}
        a> {"id":4,"subscribe":{"channel":"$closed:x"}}
        a< {"id":4,"error":{"code":103,"message":"permission denied"}}
        a> {"id":5,"publish":{"channel":"closed:y","data":1}}
        a< {"id":5,"publish":{}}
        b> {"id":1,"connect":{"token":$jwt{"exp":5}}}
        b< {"id":1,"error":{"code":109,"message":"token expired"}}
        b< drain
    "#,
    );
}

#[test]
fn a_header_names_the_user_unless_a_token_does() {
    let mut bench = Bench::new(config("", NAMESPACES));
    bench.setup.2 = Some("header");
    bench.play(
        r#"
        a> {"id":1,"connect":{"subs":{"open:x":{}}}}
        a< {"id":1,"connect":{"client":"<a>"}}
        b> {"id":1,"connect":{"token":$jwt{"sub":"token"}}}
        b< {"id":1,"connect":{"client":"<b>"}}
    "#,
    );
    assert_eq!([bench.sessions[0].user(), bench.sessions[1].user()], ["header", "token"]);
}

#[test]
fn an_empty_header_names_nobody() {
    let mut bench = Bench::new(config("", NAMESPACES));
    bench.setup.2 = Some("");
    bench.play(
        r#"
        a> {"id":1,"connect":{}}
        a< !3501
    "#,
    );
}

#[test]
fn channels_of_the_token() {
    check(
        r#""channel_limit": 3"#,
        NAMESPACES,
        r#"
        a> {"id":1,"connect":{"token":$jwt{"channels":["rec:a","closed:b","closed:b",""]}}}
        a< {"id":1,"connect":{"client":"<a>","subs":{"closed:b":{},"rec:a":{"recoverable":true,"epoch":"<e>","positioned":true}}}}
        pub> closed:b 1
        a< {"push":{"channel":"closed:b","pub":{"data":1}}}
        b> {"id":1,"connect":{"token":$jwt{"channels":["closed:1","closed:2","closed:3","closed:4"]}}}
        b< !3505
        c> {"id":1,"connect":{"token":$jwt{"channels":["nowhere:x"]}}}
        c< {"id":1,"error":{"code":102,"message":"unknown channel"}}
        c< drain
    "#,
    );
}

#[test]
fn subs_of_the_token() {
    check(
        "",
        NAMESPACES,
        r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":"u","channels":["closed:b"],"subs":{"pres:a":{"info":{"i": 1},"data":[2]}}}}}
        a< {"id":1,"connect":{"client":"<a>","subs":{"pres:a":{"data":[2]}}}}
        a> {"id":2,"presence":{"channel":"pres:a"}}
        a< {"id":2,"presence":{"presence":{"<a>":{"user":"u","client":"<a>","chan_info":{"i": 1}}}}}
        b> {"id":1,"connect":{"token":$jwt{"subs":{"rec:a":{"override":{"force_recovery":{"value":false}}},"hist:a":{"override":{"force_positioning":{"value":true}}}}}}}
        b< {"id":1,"connect":{"client":"<b>","subs":{"hist:a":{"epoch":"<e>","positioned":true},"rec:a":{}}}}
        c> {"id":1,"connect":{"token":$jwt{"subs":{"closed:a":{"b64data":"%"}}}}}
        c< !3500
    "#,
    );
}

#[test]
fn channels_that_the_client_names() {
    check(
        "",
        NAMESPACES,
        r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":"u"},"subs":{"open:a":{},"closed:a":{},"$open:a":{},"rx:A":{},"user:a#u":{},"user:a#v":{}}}}
        a< {"id":1,"connect":{"client":"<a>","subs":{"open:a":{},"user:a#u":{}}}}
        b> {"id":1,"connect":{"token":$jwt{"sub":"u"},"subs":{"nowhere:a":{}}}}
        b< !3501
    "#,
    );
}

#[test]
fn server_side_subscriptions_recover() {
    check(
        "",
        NAMESPACES,
        r#"
        pub> rec:a 1
        pub> rec:a 2
        pub> rec:a 3
        pub> acache:a 9
        a> {"id":1,"connect":{"token":$jwt{"channels":["rec:a","acache:a"]},"subs":{"rec:a":{"recover":true,"offset":1}}}}
        a< {"id":1,"connect":{"client":"<a>","subs":{"acache:a":{"recoverable":true,"epoch":"<e>","publications":[{"data":9,"offset":1,"epoch":"<e>"}],"recovered":true,"positioned":true,"was_recovering":true},"rec:a":{"recoverable":true,"epoch":"<e>","publications":[{"data":2,"offset":2},{"data":3,"offset":3}],"recovered":true,"offset":1,"positioned":true,"was_recovering":true}}}}
        pub> rec:a 4
        a< {"push":{"channel":"rec:a","pub":{"data":4,"offset":4}}}
    "#,
    );
}

const PERSONAL: &str =
    r#""subscribe_to_user_personal_channel": {"enabled": true, "personal_channel_namespace": "rec"}"#;
const SINGLE: &str = r#""subscribe_to_user_personal_channel":
    {"enabled": true, "personal_channel_namespace": "pres", "single_connection": true}"#;

#[test]
fn personal_channels() {
    check(
        PERSONAL,
        NAMESPACES,
        r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        a< {"id":1,"connect":{"client":"<a>","subs":{"rec:#u":{"recoverable":true,"epoch":"<e>","positioned":true}}}}
        b> {"id":1,"connect":{"token":$jwt{}}}
        b< {"id":1,"connect":{"client":"<b>"}}
    "#,
    );
}

#[test]
fn a_single_connection_ends_the_others() {
    check(
        SINGLE,
        NAMESPACES,
        r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        a< {"id":1,"connect":{"client":"<a>","subs":{"pres:#u":{}}}}
        b> {"id":1,"connect":{"token":$jwt{"sub":"v"}}}
        b< {"id":1,"connect":{"client":"<b>","subs":{"pres:#v":{}}}}
        c> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        a< !3504
        c< {"id":1,"connect":{"client":"<c>","subs":{"pres:#u":{}}}}
        c> {"id":2,"presence":{"channel":"pres:#u"}}
        c< {"id":2,"presence":{"presence":{"<c>":{"user":"u","client":"<c>"}}}}
        # The others end even if this connect then fails.
        d> {"id":1,"connect":{"token":$jwt{"sub":"u"},"subs":{"nowhere:a":{}}}}
        c< !3504
        d< !3501
    "#,
    );
}

#[test]
fn users_have_a_limit_of_connections() {
    check(
        r#""user_connection_limit": 2"#,
        "",
        r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        a< {"id":1,"connect":{"client":"<a>"}}
        b> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        b< {"id":1,"connect":{"client":"<b>"}}
        c> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        c< !3504
        d> {"id":1,"connect":{"token":$jwt{"sub":"v"}}}
        d< {"id":1,"connect":{"client":"<d>"}}
        e> {"id":1,"connect":{"token":$jwt{}}}
        e< {"id":1,"connect":{"client":"<e>"}}
        a! close
        f> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        f< {"id":1,"connect":{"client":"<f>"}}
    "#,
    );
}

#[test]
fn the_reply_goes_in_front_of_pushes_that_came_earlier() {
    let mut bench = Bench::new(config("", NAMESPACES));
    bench.open(0);
    let command = format!(r#"{{"id":1,"connect":{{"token":"{}"}}}}"#, jwt(r#"{"channels":["closed:a","closed:b"]}"#));
    let mut commands = Commands::new(Protocol::Json, command.as_bytes());
    let command = commands.next().unwrap().unwrap();
    bench.step(0, |session, cx| session.on_command(cx, command, 1));
    assert!(bench.sessions[0].is_blocked() && !bench.sessions[0].holds_pushes());
    let mut answers = std::mem::take(&mut bench.deliveries);
    bench.deliveries.extend(answers.pop_front());
    bench.settle();
    assert!(bench.sessions[0].is_blocked() && bench.sessions[0].holds_pushes());
    bench.publish("closed:a", "1");
    assert_eq!(bench.came.pop_front().as_deref(), Some(r#"a< {"push":{"channel":"closed:a","pub":{"data":1}}}"#));
    let Some(Delivery::Answer(ReplyTo::Conn { tag, .. }, answer)) = answers.pop_front() else { panic!("an answer") };
    let mut is_first = false;
    bench.step(0, |session, cx| {
        session.on_answer(cx, tag, answer);
        is_first = cx.out.is_first();
    });
    assert!(is_first && !bench.sessions[0].is_blocked() && !bench.sessions[0].holds_pushes());
}

#[test]
fn a_connection_that_closes_while_it_connects_leaves_nothing_behind() {
    let mut bench = Bench::new(config("", NAMESPACES));
    bench.open(0);
    let command = format!(r#"{{"id":1,"connect":{{"token":"{}"}}}}"#, jwt(r#"{"channels":["pres:a","jl:b"]}"#));
    let mut commands = Commands::new(Protocol::Json, command.as_bytes());
    let command = commands.next().unwrap().unwrap();
    bench.step(0, |session, cx| session.on_command(cx, command, 1));
    let mut answers = std::mem::take(&mut bench.deliveries);
    bench.deliveries.extend(answers.pop_front());
    bench.settle();
    bench.close(0);
    bench.deliveries.append(&mut answers);
    bench.settle();
    bench.came.clear();
    assert_eq!((bench.hub.channel_count(), bench.hub.member_count()), (0, 0));
    assert!(bench.homes.is_empty());
}
