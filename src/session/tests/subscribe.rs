//! Subscribe and unsubscribe: permissions, options, recovery, join and leave.

use super::*;

fn check_as_user(script: &str) {
    check_connected(r#""channel_limit": 4"#, NAMESPACES, script);
}

#[test]
fn who_may_subscribe() {
    check_as_user(
        r#"
        a> {"id":2,"subscribe":{"channel":"closed:x"}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":2,"subscribe":{"channel":"nowhere:x"}}
        a< {"id":2,"error":{"code":102,"message":"unknown channel"}}
        a> {"id":2,"subscribe":{"channel":"rx:UPPER"}}
        a< {"id":2,"error":{"code":107,"message":"bad request"}}
        a> {"id":2,"subscribe":{"channel":"$open:x"}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":2,"subscribe":{"channel":"user:x#v"}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":2,"subscribe":{"channel":"user:x#v,u"}}
        a< {"id":2,"subscribe":{}}
        a> {"id":2,"subscribe":{"channel":"open:x#v"}}
        a< {"id":2,"subscribe":{}}
        a> {"id":3,"subscribe":{"channel":"open:x#v"}}
        a< {"id":3,"error":{"code":105,"message":"already subscribed"}}
        a> {"id":4,"subscribe":{}}
        a< !3501
    "#,
    );
}

#[test]
fn subscriptions_have_a_limit() {
    check_as_user(
        r#"
        a> {"id":2,"subscribe":{"channel":"open:1"}}
        a< {"id":2,"subscribe":{}}
        a> {"id":2,"subscribe":{"channel":"open:2"}}
        a< {"id":2,"subscribe":{}}
        a> {"id":2,"subscribe":{"channel":"open:3"}}
        a< {"id":2,"subscribe":{}}
        a> {"id":2,"subscribe":{"channel":"open:4"}}
        a< {"id":2,"subscribe":{}}
        a> {"id":2,"subscribe":{"channel":"open:5"}}
        a< {"id":2,"error":{"code":106,"message":"limit exceeded"}}
        a> {"id":2,"subscribe":{"channel":"open:1"}}
        a< {"id":2,"error":{"code":105,"message":"already subscribed"}}
        a> {"id":2,"unsubscribe":{"channel":"open:1"}}
        a< {"id":2,"unsubscribe":{}}
        a> {"id":2,"subscribe":{"channel":"open:5"}}
        a< {"id":2,"subscribe":{}}
    "#,
    );
}

#[test]
fn what_a_token_decides() {
    check_as_user(
        r#"
        a> {"id":2,"subscribe":{"channel":"closed:1","token":$jwt{"sub":"u","channel":"closed:1","data":{"d": 1},"exp":1700000300}}}
        a< {"id":2,"subscribe":{"expires":true,"ttl":300,"data":{"d": 1}}}
        a> {"id":2,"subscribe":{"channel":"$open:2","token":$jwt{"sub":"u","channel":"$open:2"}}}
        a< {"id":2,"subscribe":{}}
        a> {"id":2,"subscribe":{"channel":"open:3","token":"rubbish"}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":2,"subscribe":{"channel":"open:3","token":$jwt{"sub":"u"}}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":2,"subscribe":{"channel":"open:3","token":$jwt{"sub":"u","channel":"open:3","exp":5}}}
        a< {"id":2,"error":{"code":109,"message":"token expired"}}
        a> {"id":2,"subscribe":{"channel":"open:3","token":$jwt{"sub":"u","channel":"open:3","expire_at":1700000000}}}
        a< {"id":2,"error":{"code":110,"message":"expired"}}
        a> {"id":2,"subscribe":{"channel":"open:3","token":$jwt{"sub":"v","channel":"nowhere:3"}}}
        a< {"id":2,"error":{"code":102,"message":"unknown channel"}}
        a> {"id":2,"subscribe":{"channel":"rec:3","token":$jwt{"sub":"u","channel":"rec:3","override":{"force_recovery":{"value":false}}}}}
        a< {"id":2,"subscribe":{}}
        a> {"id":2,"subscribe":{"channel":"open:4","token":$jwt{"sub":"v","channel":"open:4"}}}
        a< !3500
    "#,
    );
    check_as_user(
        r#"
        a> {"id":2,"subscribe":{"channel":"open:1","token":$jwt{"sub":"u","channel":"open:2"}}}
        a< !3500
    "#,
    );
    check_as_user(
        r#"
        a> {"id":2,"subscribe":{"channel":"open:1","token":$jwt{"sub":"u","channel":"open:1","client":"other"}}}
        a< !3500
    "#,
    );
    check_as_user(
        r#"
        a> {"id":2,"subscribe":{"channel":"open:1","token":$jwt{"sub":"u","channel":"open:1","client":"01010101-0101-0101-0101-010101010101"}}}
        a< {"id":2,"subscribe":{}}
    "#,
    );
}

#[test]
fn what_the_client_may_ask_for() {
    check_as_user(
        r#"
        a> {"id":2,"subscribe":{"channel":"hist:1","positioned":true}}
        a< {"id":2,"subscribe":{"epoch":"<e>","positioned":true}}
        a> {"id":2,"subscribe":{"channel":"hist:2","recoverable":true}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","positioned":true}}
        a> {"id":2,"subscribe":{"channel":"open:1","positioned":true,"recoverable":true,"join_leave":true,"delta":"fossil","flag":1}}
        a< {"id":2,"subscribe":{}}
        a> {"id":2,"subscribe":{"channel":"open:2","delta":"other"}}
        a< !3501
    "#,
    );
}

#[test]
fn filters_are_checked() {
    check_as_user(
        r#"
        a> {"id":2,"subscribe":{"channel":"open:1","tf":{"key":"a","cmp":"eq","val":"1"}}}
        a< {"id":2,"error":{"code":107,"message":"bad request"}}
        a> {"id":2,"subscribe":{"channel":"tags:1","tf":{"key":"a","cmp":"eq"}}}
        a< {"id":2,"error":{"code":107,"message":"bad request"}}
        a> {"id":2,"subscribe":{"channel":"tags:1","tf":{"key":"a","cmp":"eq","val":"1"}}}
        a< {"id":2,"subscribe":{}}
    "#,
    );
}

#[test]
fn subscription_types() {
    check_as_user(
        r#"
        a> {"id":2,"subscribe":{"channel":"open:1","type":1}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":2,"subscribe":{"channel":"open:1","type":4}}
        a< {"id":2,"error":{"code":108,"message":"not available"}}
        a> {"id":2,"subscribe":{"channel":"open:1","type":-1}}
        a< {"id":2,"subscribe":{}}
        a> {"id":2,"subscribe":{"channel":"closed:1","type":5}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":2,"subscribe":{"channel":"open:2","type":5}}
        a< !3004
    "#,
    );
}

#[test]
fn recovery_in_order() {
    check_as_user(
        r#"
        pub> rec:1 1
        pub> rec:1 2
        pub> rec:1 3
        pub> rec:1 4
        a> {"id":2,"subscribe":{"channel":"rec:1","recover":true,"offset":2}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","publications":[{"data":3,"offset":3},{"data":4,"offset":4}],"recovered":true,"offset":2,"positioned":true,"was_recovering":true}}
        pub> rec:1 5
        a< {"push":{"channel":"rec:1","pub":{"data":5,"offset":5}}}
        a> {"id":3,"unsubscribe":{"channel":"rec:1"}}
        a< {"id":3,"unsubscribe":{}}
        a> {"id":2,"subscribe":{"channel":"rec:1","recover":true,"offset":5}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","recovered":true,"offset":5,"positioned":true,"was_recovering":true}}
    "#,
    );
}

#[test]
fn recovery_that_fails() {
    check_as_user(
        r#"
        pub> rec:1 1
        pub> rec:1 2
        pub> rec:1 3
        pub> rec:1 4
        a> {"id":2,"subscribe":{"channel":"rec:1","recover":true,"offset":0,"flag":2}}
        a< {"id":2,"error":{"code":112,"message":"unrecoverable position"}}
        a> {"id":2,"subscribe":{"channel":"rec:1","recover":true,"offset":3,"epoch":"zzzzzzzz"}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","offset":4,"positioned":true,"was_recovering":true}}
        pub> rec:1 5
        a< {"push":{"channel":"rec:1","pub":{"data":5,"offset":5}}}
        a> {"id":2,"subscribe":{"channel":"open:1","recover":true,"offset":3}}
        a< {"id":2,"subscribe":{"was_recovering":true}}
        a> {"id":2,"subscribe":{"channel":"hist:1","positioned":true,"recover":true,"offset":3}}
        a< {"id":2,"subscribe":{"epoch":"<e>","positioned":true,"was_recovering":true}}
    "#,
    );
}

#[test]
fn recovery_of_the_newest() {
    check_as_user(
        r#"
        pub> cache:1 1
        pub> cache:1 2
        a> {"id":2,"subscribe":{"channel":"cache:1","recover":true}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","publications":[{"data":2,"offset":2}],"recovered":true,"positioned":true,"was_recovering":true}}
        a> {"id":2,"subscribe":{"channel":"cache:2","recover":true,"flag":2}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","positioned":true,"was_recovering":true}}
        pub> acache:1 7
        a> {"id":2,"subscribe":{"channel":"acache:1"}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","publications":[{"data":7,"offset":1,"epoch":"<e>"}],"recovered":true,"positioned":true,"was_recovering":true}}
    "#,
    );
}

#[test]
fn joins_and_leaves() {
    check_as_user(
        r#"
        a> {"id":2,"subscribe":{"channel":"jl:1"}}
        a< {"id":2,"subscribe":{}}
        a< {"push":{"channel":"jl:1","join":{"info":{"user":"u","client":"<a>"}}}}
        b> {"id":1,"connect":{"token":$jwt{"sub":"v","info":{"c":1}}}}
        b< {"id":1,"connect":{"client":"<b>"}}
        b> {"id":2,"subscribe":{"channel":"jl:1","token":$jwt{"sub":"v","channel":"jl:1","info":{"s":2},"override":{"force_push_join_leave":{"value":false}}}}}
        b< {"id":2,"subscribe":{}}
        a< {"push":{"channel":"jl:1","join":{"info":{"user":"v","client":"<b>","conn_info":{"c":1},"chan_info":{"s":2}}}}}
        b> {"id":3,"unsubscribe":{"channel":"jl:1"}}
        b< {"id":3,"unsubscribe":{}}
        a< {"push":{"channel":"jl:1","leave":{"info":{"user":"v","client":"<b>","conn_info":{"c":1},"chan_info":{"s":2}}}}}
        c> {"id":1,"connect":{"token":$jwt{"sub":"w"}}}
        c< {"id":1,"connect":{"client":"<c>"}}
        c> {"id":2,"subscribe":{"channel":"jlopt:1","join_leave":true}}
        c< {"id":2,"subscribe":{}}
        c< {"push":{"channel":"jlopt:1","join":{"info":{"user":"w","client":"<c>"}}}}
        b> {"id":4,"subscribe":{"channel":"jlopt:1"}}
        b< {"id":4,"subscribe":{}}
        c< {"push":{"channel":"jlopt:1","join":{"info":{"user":"v","client":"<b>","conn_info":{"c":1}}}}}
        b! close
        c< {"push":{"channel":"jlopt:1","leave":{"info":{"user":"v","client":"<b>","conn_info":{"c":1}}}}}
    "#,
    );
}

#[test]
fn presence_lasts_as_long_as_the_subscription() {
    check_as_user(
        r#"
        b> {"id":1,"connect":{"token":$jwt{"sub":"v"}}}
        b< {"id":1,"connect":{"client":"<b>"}}
        b> {"id":2,"subscribe":{"channel":"pres:1"}}
        b< {"id":2,"subscribe":{}}
        a> {"id":2,"presence_stats":{"channel":"pres:1"}}
        a< {"id":2,"presence_stats":{"num_clients":1,"num_users":1}}
        # Renewed on the tick, it outlives its 60 seconds.
        +200000
        a> {"id":2,"presence_stats":{"channel":"pres:1"}}
        a< {"id":2,"presence_stats":{"num_clients":1,"num_users":1}}
        b! close
        a> {"id":2,"presence_stats":{"channel":"pres:1"}}
        a< {"id":2,"presence_stats":{"num_clients":0,"num_users":0}}
    "#,
    );
}

#[test]
fn a_binary_payload_ends_a_json_client() {
    check_as_user(
        r#"
        a> {"id":2,"subscribe":{"channel":"closed:1","token":$jwt{"sub":"u","channel":"closed:1","b64data":"AP8="}}}
        a< !3506
    "#,
    );
}

#[test]
fn nothing_is_left_behind() {
    let mut bench = Bench::new(config(r#""channel_limit": 1000"#, NAMESPACES));
    bench.play(
        r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        a< {"id":1,"connect":{"client":"<a>"}}
    "#,
    );
    for n in 0..100 {
        bench.send(0, &format!(r#"{{"id":2,"subscribe":{{"channel":"jlopt:{n}"}}}}"#));
    }
    assert_eq!((bench.hub.channel_count(), bench.hub.member_count(), bench.homes.len()), (100, 100, 100));
    bench.came.clear();
    for n in 0..50 {
        bench.send(0, &format!(r#"{{"id":2,"unsubscribe":{{"channel":"jlopt:{n}"}}}}"#));
    }
    assert_eq!((bench.hub.channel_count(), bench.hub.member_count(), bench.homes.len()), (50, 50, 50));
    bench.close(0);
    bench.settle();
    assert_eq!((bench.hub.channel_count(), bench.hub.member_count(), bench.homes.len()), (0, 0, 0));
}
