//! What clients change in maps, and in which form subscribers are told (upstream: client_map_test.go).

use super::maps::{MAPS, check_as_user};
use super::*;

#[test]
fn clients_set_and_remove_keys() {
    check_as_user(
        r#"
        a> {"id":2,"subscribe":{"channel":"kv:1","type":1,"phase":2}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","type":1}}
        a> {"id":3,"publish":{"channel":"kv:1","type":1,"key":"k","data":{"n": 1}}}
        a< {"push":{"channel":"kv:1","pub":{"data":{"n": 1},"info":{"user":"u","client":"<a>"},"offset":1,"key":"k","epoch":"<e>"}}}
        a< {"id":3,"publish":{}}
        a> {"id":4,"publish":{"channel":"kv:1","type":1,"key":"k","removed":true}}
        a< {"push":{"channel":"kv:1","pub":{"offset":2,"key":"k","removed":true}}}
        a< {"id":4,"publish":{}}
        # What is not there needs no removal.
        a> {"id":5,"publish":{"channel":"kv:1","type":1,"key":"k","removed":true}}
        a< {"id":5,"publish":{}}
        a> {"id":6,"publish":{"channel":"kv:1","type":1,"data":1}}
        a< {"id":6,"error":{"code":107,"message":"bad request"}}
        # A key needs no data.
        a> {"id":6,"publish":{"channel":"kv:1","type":1,"key":"e"}}
        a< {"push":{"channel":"kv:1","pub":{"info":{"user":"u","client":"<a>"},"offset":3,"key":"e"}}}
        a< {"id":6,"publish":{}}
        a> {"id":7,"publish":{"channel":"kv:1","data":1}}
        a< {"id":7,"error":{"code":103,"message":"permission denied"}}
        a> {"id":8,"publish":{"channel":"keep:1","type":1,"key":"k","data":1}}
        a< {"id":8,"error":{"code":103,"message":"permission denied"}}
        a> {"id":8,"publish":{"channel":"keep:1","type":1,"key":"k","removed":true}}
        a< {"id":8,"error":{"code":103,"message":"permission denied"}}
        a> {"id":8,"publish":{"channel":"open:1","type":1,"key":"k","data":1}}
        a< {"id":8,"error":{"code":103,"message":"permission denied"}}
        a> {"id":8,"publish":{"channel":"nowhere:1","type":1,"key":"k","data":1}}
        a< {"id":8,"error":{"code":102,"message":"unknown channel"}}
        a> {"id":9,"publish":{"channel":"eph:1","type":1,"key":"k","data":1}}
        a< {"id":9,"error":{"code":103,"message":"permission denied"}}
        a> {"id":9,"subscribe":{"channel":"eph:1","type":1,"phase":2}}
        a< {"id":9,"subscribe":{"epoch":"<e>","type":1}}
        a> {"id":9,"publish":{"channel":"eph:1","type":1,"key":"k","data":1}}
        a< {"push":{"channel":"eph:1","pub":{"data":1,"info":{"user":"u","client":"<a>"},"key":"k"}}}
        a< {"id":9,"publish":{}}
        a> {"id":9,"publish":{"channel":"","type":1,"key":"k","data":1}}
        a< !3501
    "#,
    );
}

#[test]
fn where_the_backend_decides_nobody_else_does() {
    let mut config = config("", MAPS);
    let options = config.channel.namespaces.get_mut("kv").expect("a namespace");
    options.map_rules.publish.proxied = true;
    Bench::new(config).play(
        r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        a< {"id":1,"connect":{"client":"<a>"}}
        a> {"id":2,"publish":{"channel":"kv:1","type":1,"key":"k","data":1}}
        a< {"id":2,"error":{"code":108,"message":"not available"}}
        a> {"id":3,"publish":{"channel":"kv:1","type":1,"key":"k","removed":true}}
        a< {"id":3,"publish":{}}
    "#,
    );
}

#[test]
fn some_maps_choose_the_key() {
    check_as_user(
        r#"
        a> {"id":2,"subscribe":{"channel":"byuser:1","type":1,"phase":2}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","type":1}}
        a> {"id":3,"publish":{"channel":"byuser:1","type":1,"key":"other","data":1}}
        a< {"push":{"channel":"byuser:1","pub":{"data":1,"info":{"user":"u","client":"<a>"},"offset":1,"key":"u","epoch":"<e>"}}}
        a< {"id":3,"publish":{}}
        a> {"id":4,"publish":{"channel":"byuser:1","type":1,"key":"other","removed":true}}
        a< {"push":{"channel":"byuser:1","pub":{"offset":2,"key":"u","removed":true}}}
        a< {"id":4,"publish":{}}
        a> {"id":5,"subscribe":{"channel":"byclient:1","type":1,"phase":2}}
        a< {"id":5,"subscribe":{"recoverable":true,"epoch":"<e>","type":1}}
        a> {"id":6,"publish":{"channel":"byclient:1","type":1,"data":1}}
        a< {"push":{"channel":"byclient:1","pub":{"data":1,"info":{"user":"u","client":"<a>"},"offset":1,"key":"<a>","epoch":"<e>"}}}
        a< {"id":6,"publish":{}}
    "#,
    );
    let mut bench = Bench::new(config(r#""allow_anonymous_connect_without_token": true"#, MAPS));
    bench.play(
        r#"
        a> {"id":1,"connect":{}}
        a< {"id":1,"connect":{"client":"<a>"}}
        a> {"id":2,"publish":{"channel":"byuser:1","type":1,"key":"k","data":1}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":3,"publish":{"channel":"byuser:1","type":1,"key":"k","removed":true}}
        a< {"id":3,"error":{"code":103,"message":"permission denied"}}
    "#,
    );
}

#[test]
fn a_filter_holds_for_keys_and_changes_alike() {
    check_as_user(
        r#"
        map> set tuned:1 a 1 t=1
        map> set tuned:1 b 2 t=2
        map> set tuned:1 c 3 t=2
        a> {"id":2,"subscribe":{"channel":"kv:1","type":1,"phase":2,"tf":{"key":"t","cmp":"eq","val":"1"}}}
        a< {"id":2,"error":{"code":107,"message":"bad request"}}
        a> {"id":2,"subscribe":{"channel":"tuned:1","type":1,"phase":2,"tf":{"key":"t","cmp":"eq"}}}
        a< {"id":2,"error":{"code":107,"message":"bad request"}}
        a> {"id":3,"subscribe":{"channel":"tuned:1","type":1,"phase":2,"tf":{"key":"t","cmp":"eq","val":"1"}}}
        a< {"id":3,"subscribe":{"epoch":"<e>","offset":3,"type":1,"phase":2,"cursor":"b","state":[{"data":1,"offset":1,"tags":{"t":"1"},"key":"a","epoch":"<e>"}]}}
        map> set tuned:1 d 4 t=2
        map> set tuned:1 a 5 t=1
        # The filter of the first step stays.
        a> {"id":4,"subscribe":{"channel":"tuned:1","type":1,"phase":2,"cursor":"b","offset":3,"epoch":"$e"}}
        a< {"id":4,"subscribe":{"recoverable":true,"epoch":"<e>","publications":[{"data":5,"offset":5,"tags":{"t":"1"},"key":"a"}],"offset":5,"type":1}}
        map> set tuned:1 b 6 t=2
        map> set tuned:1 b 7 t=1
        a< {"push":{"channel":"tuned:1","pub":{"data":7,"offset":7,"tags":{"t":"1"},"key":"b"}}}
        # A removal has the tags of what it removes.
        map> remove tuned:1 c
        map> remove tuned:1 a
        a< {"push":{"channel":"tuned:1","pub":{"offset":9,"tags":{"t":"1"},"key":"a","removed":true}}}
        a> {"id":5,"unsubscribe":{"channel":"tuned:1"}}
        a< {"id":5,"unsubscribe":{}}
        a> {"id":6,"subscribe":{"channel":"tuned:1","type":1,"phase":1,"recover":true,"offset":5,"epoch":"$e","tf":{"key":"t","cmp":"eq","val":"3"}}}
        a< {"id":6,"subscribe":{"epoch":"<e>","offset":7,"type":1,"phase":1}}
    "#,
    );
}

#[test]
fn deltas_are_against_what_the_key_was() {
    check_as_user(
        r#"
        map> set tuned:1 a "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1"
        a> {"id":2,"subscribe":{"channel":"tuned:1","type":1,"phase":2,"delta":"fossil"}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","offset":1,"delta":true,"type":1,"state":[{"data":"\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1\"","offset":1,"key":"a"}]}}
        map> set tuned:1 b "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2"
        a< {"push":{"channel":"tuned:1","pub":{"data":"\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2\"","offset":2,"key":"b"}}}
        map> set tuned:1 a "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa3"
        a< {"push":{"channel":"tuned:1","pub":{"data":"14\n12@0,2:3\"tTp_n;","offset":3,"delta":true,"key":"a"}}}
        map> remove tuned:1 a
        a< {"push":{"channel":"tuned:1","pub":{"data":"","offset":4,"key":"a","removed":true}}}
    "#,
    );
}
