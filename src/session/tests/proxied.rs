//! What is left to the backend, which cannot be asked, is available to nobody, whatever the flags say.

use super::*;

/// The configuration of the other tests, with `change` made to the namespaces `open` and `user`.
fn proxied(client: &str, change: fn(&mut crate::config::snapshot::ChannelOptions)) -> Snapshot {
    let mut config = config(client, NAMESPACES);
    for name in ["open", "user"] {
        change(config.channel.namespaces.get_mut(name).expect("a namespace"));
    }
    config
}

#[test]
fn subscriptions() {
    let script = r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":"u"},"subs":{"open:0":{},"anon:0":{}}}}
        a< {"id":1,"connect":{"client":"<a>","subs":{"anon:0":{}}}}
        a> {"id":2,"subscribe":{"channel":"open:1"}}
        a< {"id":2,"error":{"code":108,"message":"not available"}}
        a> {"id":2,"subscribe":{"channel":"open:1","token":$jwt{"sub":"u","channel":"open:1"}}}
        a< {"id":2,"subscribe":{}}
        a> {"id":2,"subscribe":{"channel":"$open:1"}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":2,"subscribe":{"channel":"user:1"}}
        a< {"id":2,"error":{"code":108,"message":"not available"}}
        a> {"id":2,"subscribe":{"channel":"user:1#u"}}
        a< {"id":2,"subscribe":{}}
        a> {"id":2,"subscribe":{"channel":"user:1#v"}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":2,"publish":{"channel":"open:2","data":1}}
        a< {"id":2,"publish":{}}
    "#;
    Bench::new(proxied("", |options| options.subscribe_proxied = true)).play(script);
}

#[test]
fn publications() {
    let script = r#"
        a> {"id":1,"connect":{}}
        a< {"id":1,"connect":{"client":"<a>"}}
        a> {"id":2,"publish":{"channel":"open:1","data":1}}
        a< {"id":2,"error":{"code":108,"message":"not available"}}
        a> {"id":2,"publish":{"channel":"open:1"}}
        a< {"id":2,"error":{"code":107,"message":"bad request"}}
        a> {"id":2,"subscribe":{"channel":"open:1"}}
        a< {"id":2,"subscribe":{}}
    "#;
    Bench::new(proxied(r#""insecure": true"#, |options| options.publish_proxied = true)).play(script);
}

#[test]
fn connections_without_token() {
    let mut config = config(r#""insecure": true"#, NAMESPACES);
    config.client.connect_proxied = true;
    let script = r#"
        a> {"id":1,"connect":{}}
        a< {"id":1,"error":{"code":108,"message":"not available"}}
        a< drain
        b> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        b< {"id":1,"connect":{"client":"<b>"}}
    "#;
    Bench::new(config).play(script);
}
