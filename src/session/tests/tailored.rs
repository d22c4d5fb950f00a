//! Delta and tags filters, live and recovered, as a JSON client sees them.

use super::check;

const NAMESPACES: &str = r#"
    {"name": "delta", "allowed_delta_types": ["fossil"], "delta_publish": true, "history_size": 10,
        "history_ttl": "300s", "force_recovery": true, "allow_tags_filter": true, "allow_subscribe_for_client": true},
    {"name": "asked", "allowed_delta_types": ["fossil"], "history_size": 10, "history_ttl": "300s",
        "force_recovery": true, "allow_subscribe_for_client": true},
    {"name": "loose", "allowed_delta_types": ["fossil"], "delta_publish": true, "allow_subscribe_for_client": true},
    {"name": "tags", "history_size": 10, "history_ttl": "300s", "force_recovery": true, "allow_tags_filter": true,
        "allow_history_for_client": true, "allow_subscribe_for_client": true},
    {"name": "cache", "history_size": 10, "history_ttl": "300s", "force_recovery": true,
        "force_recovery_mode": "cache", "allow_tags_filter": true, "allow_subscribe_for_client": true},
    {"name": "jl", "history_size": 2, "history_ttl": "300s", "force_recovery": true, "join_leave": true,
        "presence": true, "force_push_join_leave": true, "allow_presence_for_client": true,
        "allow_subscribe_for_client": true}
"#;

/// Two clients of the users `u` and `v` are connected.
fn check_two(script: &str) {
    let connect = r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        a< {"id":1,"connect":{"client":"<a>"}}
        b> {"id":1,"connect":{"token":$jwt{"sub":"v"}}}
        b< {"id":1,"connect":{"client":"<b>"}}
    "#;
    check("", NAMESPACES, &format!("{connect}{script}"));
}

#[test]
fn the_first_is_whole_and_the_next_are_patches() {
    check_two(
        r#"
        a> {"id":2,"subscribe":{"channel":"delta:1","delta":"fossil"}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","positioned":true,"delta":true}}
        pub> delta:1 {"t":"<something that stays>","n":1}
        a< {"push":{"channel":"delta:1","pub":{"data":"{\"t\":\"\u003csomething that stays\u003e\",\"n\":1}","offset":1}}}
        b> {"id":2,"subscribe":{"channel":"delta:1","delta":"fossil"}}
        b< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","offset":1,"positioned":true,"delta":true}}
        pub> delta:1 {"t":"<something that stays>","n":2}
        a< {"push":{"channel":"delta:1","pub":{"data":"_\nY@0,2:2}37_2Xj;","offset":2,"delta":true}}}
        b< {"push":{"channel":"delta:1","pub":{"data":"{\"t\":\"\u003csomething that stays\u003e\",\"n\":2}","offset":2}}}
        pub> delta:1 {}
        a< {"push":{"channel":"delta:1","pub":{"data":"{}","offset":3}}}
        b< {"push":{"channel":"delta:1","pub":{"data":"{}","offset":3}}}
    "#,
    );
}

#[test]
fn delta_is_for_whoever_may_have_it_and_asks() {
    check_two(
        r#"
        a> {"id":2,"subscribe":{"channel":"tags:1","delta":"fossil"}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","positioned":true}}
        a> {"id":3,"subscribe":{"channel":"delta:1"}}
        a< {"id":3,"subscribe":{"recoverable":true,"epoch":"<e>","positioned":true}}
        pub> delta:1 {"t":"something that stays","n":1}
        a< {"push":{"channel":"delta:1","pub":{"data":{"t":"something that stays","n":1},"offset":1,"epoch":"<e>"}}}
        pub> delta:1 {"t":"something that stays","n":2}
        a< {"push":{"channel":"delta:1","pub":{"data":{"t":"something that stays","n":2},"offset":2}}}
    "#,
    );
}

#[test]
fn without_the_publishers_wish_or_a_position_all_are_whole() {
    for channel in ["asked:1", "loose:1"] {
        let positioned = if channel == "asked:1" {
            (r#""recoverable":true,"epoch":"<e>","positioned":true,"#, r#","offset":1"#, r#","offset":2"#)
        } else {
            ("", "", "")
        };
        let (reply, first, second) = positioned;
        check_two(&format!(
            r#"
            a> {{"id":2,"subscribe":{{"channel":"{channel}","delta":"fossil"}}}}
            a< {{"id":2,"subscribe":{{{reply}"delta":true}}}}
            pub> {channel} {{"t":"something that stays","n":1}}
            a< {{"push":{{"channel":"{channel}","pub":{{"data":"{{\"t\":\"something that stays\",\"n\":1}}"{first}}}}}}}
            pub> {channel} {{"t":"something that stays","n":1}}
            a< {{"push":{{"channel":"{channel}","pub":{{"data":"{{\"t\":\"something that stays\",\"n\":1}}"{second}}}}}}}
        "#
        ));
    }
}

#[test]
fn recovered_publications_are_patches_against_each_other() {
    check_two(
        r#"
        a> {"id":2,"subscribe":{"channel":"delta:1","delta":"fossil"}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","positioned":true,"delta":true}}
        pub> delta:1 {"t":"something that stays","n":1}
        a< {"push":{"channel":"delta:1","pub":{"data":"{\"t\":\"something that stays\",\"n\":1}","offset":1}}}
        pub> delta:1 {"t":"something that stays","n":1}
        a< {"push":{"channel":"delta:1","pub":{"data":"Y\nY@0,3jKiqK;","offset":2,"delta":true}}}
        b> {"id":2,"subscribe":{"channel":"delta:1","recover":true,"delta":"fossil"}}
        b< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","publications":[{"data":"{\"t\":\"something that stays\",\"n\":1}","offset":1},{"data":"Y\nY@0,3jKiqK;","offset":2,"delta":true}],"recovered":true,"positioned":true,"was_recovering":true,"delta":true}}
        pub> delta:1 {"t":"something that stays","n":1}
        a< {"push":{"channel":"delta:1","pub":{"data":"Y\nY@0,3jKiqK;","offset":3,"delta":true}}}
        b< {"push":{"channel":"delta:1","pub":{"data":"Y\nY@0,3jKiqK;","offset":3,"delta":true}}}
        a> {"id":3,"unsubscribe":{"channel":"delta:1"}}
        a< {"id":3,"unsubscribe":{}}
        a> {"id":4,"subscribe":{"channel":"delta:1","recover":true,"offset":3,"delta":"fossil"}}
        a< {"id":4,"subscribe":{"recoverable":true,"epoch":"<e>","recovered":true,"offset":3,"positioned":true,"was_recovering":true,"delta":true}}
        b> {"id":3,"unsubscribe":{"channel":"delta:1"}}
        b< {"id":3,"unsubscribe":{}}
        b> {"id":4,"subscribe":{"channel":"delta:1","recover":true,"offset":9,"delta":"fossil"}}
        b< {"id":4,"subscribe":{"recoverable":true,"epoch":"<e>","offset":3,"positioned":true,"was_recovering":true,"delta":true}}
        pub> delta:1 {"t":"something that stays","n":1}
        a< {"push":{"channel":"delta:1","pub":{"data":"Y\nY@0,3jKiqK;","offset":4,"delta":true}}}
        b< {"push":{"channel":"delta:1","pub":{"data":"{\"t\":\"something that stays\",\"n\":1}","offset":4}}}
    "#,
    );
}

#[test]
fn a_subscription_of_connect_may_have_delta() {
    check(
        "",
        NAMESPACES,
        r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":"u"},"subs":{"delta:1":{"delta":"fossil"}}}}
        a< {"id":1,"connect":{"client":"<a>","subs":{"delta:1":{"recoverable":true,"epoch":"<e>","positioned":true,"delta":true}}}}
        pub> delta:1 {"t":"something that stays"}
        a< {"push":{"channel":"delta:1","pub":{"data":"{\"t\":\"something that stays\"}","offset":1}}}
    "#,
    );
}

#[test]
fn a_filter_hides_what_does_not_fit_and_the_position_goes_on() {
    check_two(
        r#"
        a> {"id":2,"subscribe":{"channel":"tags:1","tf":{"key":"k","cmp":"eq","val":"1"}}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","positioned":true}}
        pub> tags:1 1 #k=1
        a< {"push":{"channel":"tags:1","pub":{"data":1,"offset":1,"tags":{"k":"1"},"epoch":"<e>"}}}
        pub> tags:1 2 #k=2
        pub> tags:1 3
        pub> tags:1 4 #k=1
        a< {"push":{"channel":"tags:1","pub":{"data":4,"offset":4,"tags":{"k":"1"}}}}
        b> {"id":2,"subscribe":{"channel":"tags:1","recover":true,"offset":1,"tf":{"key":"k","cmp":"neq","val":"2"}}}
        b< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","publications":[{"data":3,"offset":3},{"data":4,"offset":4,"tags":{"k":"1"}}],"recovered":true,"offset":1,"positioned":true,"was_recovering":true}}
        a> {"id":3,"history":{"channel":"tags:1","limit":2,"reverse":true}}
        a< {"id":3,"history":{"publications":[{"data":4,"offset":4,"tags":{"k":"1"}},{"data":3,"offset":3}],"epoch":"<e>","offset":4}}
        pub> tags:1 5
        b< {"push":{"channel":"tags:1","pub":{"data":5,"offset":5}}}
    "#,
    );
}

#[test]
fn with_a_filter_patches_are_for_whoever_has_the_base() {
    check_two(
        r#"
        a> {"id":2,"subscribe":{"channel":"delta:1","delta":"fossil","tf":{"key":"k","cmp":"eq","val":"1"}}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","positioned":true,"delta":true}}
        pub> delta:1 {"t":"something that stays","n":1} #k=1
        a< {"push":{"channel":"delta:1","pub":{"data":"{\"t\":\"something that stays\",\"n\":1}","offset":1,"tags":{"k":"1"}}}}
        pub> delta:1 {"t":"something that stays","n":1} #k=2
        pub> delta:1 {"t":"something that stays","n":1} #k=1
        a< {"push":{"channel":"delta:1","pub":{"data":"{\"t\":\"something that stays\",\"n\":1}","offset":3,"tags":{"k":"1"}}}}
        pub> delta:1 {"t":"something that stays","n":1} #k=1
        a< {"push":{"channel":"delta:1","pub":{"data":"Y\nY@0,3jKiqK;","offset":4,"tags":{"k":"1"},"delta":true}}}
        pub> delta:1 {"t":"something that stays","n":1} #k=2
        b> {"id":2,"subscribe":{"channel":"delta:1","recover":true,"offset":3,"delta":"fossil","tf":{"key":"k","cmp":"eq","val":"1"}}}
        b< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","publications":[{"data":"{\"t\":\"something that stays\",\"n\":1}","offset":4,"tags":{"k":"1"}}],"recovered":true,"offset":3,"positioned":true,"was_recovering":true,"delta":true}}
        pub> delta:1 {"t":"something that stays","n":1} #k=1
        a< {"push":{"channel":"delta:1","pub":{"data":"{\"t\":\"something that stays\",\"n\":1}","offset":6,"tags":{"k":"1"}}}}
        b< {"push":{"channel":"delta:1","pub":{"data":"{\"t\":\"something that stays\",\"n\":1}","offset":6,"tags":{"k":"1"}}}}
    "#,
    );
}

#[test]
fn the_cache_gives_the_newest_that_fits() {
    check_two(
        r#"
        pub> cache:1 1 #k=1
        pub> cache:1 2 #k=2
        a> {"id":2,"subscribe":{"channel":"cache:1","recover":true,"tf":{"key":"k","cmp":"eq","val":"1"}}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","publications":[{"data":1,"offset":1,"tags":{"k":"1"},"epoch":"<e>"}],"recovered":true,"positioned":true,"was_recovering":true}}
        b> {"id":2,"subscribe":{"channel":"cache:1","recover":true,"epoch":"other","offset":1}}
        b< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","publications":[{"data":2,"offset":2,"tags":{"k":"2"}}],"recovered":true,"offset":1,"positioned":true,"was_recovering":true}}
    "#,
    );
}

#[test]
fn whoever_is_refused_neither_joins_nor_leaves() {
    check_two(
        r#"
        a> {"id":2,"subscribe":{"channel":"jl:1"}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","positioned":true}}
        a< {"push":{"channel":"jl:1","join":{"info":{"user":"u","client":"<a>"}}}}
        b> {"id":2,"subscribe":{"channel":"jl:1","recover":true,"offset":7,"flag":2}}
        b< {"id":2,"error":{"code":112,"message":"unrecoverable position"}}
        a> {"id":3,"presence":{"channel":"jl:1"}}
        a< {"id":3,"presence":{"presence":{"<a>":{"user":"u","client":"<a>"}}}}
        b> {"id":3,"subscribe":{"channel":"jl:1"}}
        b< {"id":3,"subscribe":{"recoverable":true,"epoch":"<e>","positioned":true}}
        a< {"push":{"channel":"jl:1","join":{"info":{"user":"v","client":"<b>"}}}}
        b< {"push":{"channel":"jl:1","join":{"info":{"user":"v","client":"<b>"}}}}
    "#,
    );
}
