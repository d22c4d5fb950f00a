//! Tokens with every claim, sound and broken.

use serde_json::{Map, Value, json};

use crate::generate::{Topic, USERS};

/// A connection token.
pub fn connection(topic: &mut Topic) -> Value {
    let mut claims = Map::new();
    let user = topic.chance.pick(USERS);
    if !user.is_empty() || topic.chance.percent(50) {
        claims.insert("sub".to_owned(), user.into());
    }
    if topic.chance.percent(15) {
        let channels: Vec<_> = (0..1 + topic.chance.below(2)).map(|_| topic.channel()).collect();
        claims.insert("channels".to_owned(), channels.into());
    }
    if topic.chance.percent(15) {
        let channel = topic.channel();
        let mut options = Map::new();
        describe(topic, &mut options, 20);
        claims.insert("subs".to_owned(), json!({channel: options}));
    }
    describe(topic, &mut claims, 10);
    claims.remove("data");
    claims.remove("b64data");
    claims.remove("override");
    if topic.chance.percent(5) {
        claims.insert("meta".to_owned(), json!({"m": 1}));
    }
    times(topic, &mut claims);
    if topic.chance.percent(1) {
        claims.insert("channel".to_owned(), topic.channel().into());
    }
    signed(topic, claims)
}

/// A subscription token.
pub fn subscription(topic: &mut Topic, channel: &str) -> Value {
    let mut claims = Map::new();
    claims.insert("sub".to_owned(), topic.chance.pick(USERS).into());
    let channel = if topic.chance.percent(95) { channel.to_owned() } else { topic.channel() };
    if topic.chance.percent(97) {
        claims.insert("channel".to_owned(), channel.into());
    }
    if topic.chance.percent(10) {
        claims.insert("client".to_owned(), topic.chance.pick(&["$client:0", "$client:1", "other"]).into());
    }
    describe(topic, &mut claims, 20);
    times(topic, &mut claims);
    signed(topic, claims)
}

fn times(topic: &mut Topic, claims: &mut Map<String, Value>) {
    for (claim, percent, around) in [
        ("exp", 20, &[60, 600, 100_000_000, -10][..]),
        ("expire_at", 8, &[60, 600, -10]),
        ("nbf", 2, &[-60, 60]),
        ("iat", 5, &[0]),
    ] {
        if topic.chance.percent(percent) {
            claims.insert(claim.to_owned(), json!({"$now": topic.chance.pick_number(around)}));
        }
    }
    if topic.chance.percent(3) {
        let claim = topic.chance.pick(&["exp", "expire_at", "nbf", "sub", "info", "aud", "iss", "b64info"]);
        let odd =
            [json!(0), json!(-1), json!("x"), Value::Null, json!(1.5), json!([]), json!({}), json!(true), json!("100")];
        let odd = odd[topic.chance.below(odd.len())].clone();
        claims.insert(claim.to_owned(), odd);
    }
}

/// What others see of a client, and options of its subscription.
pub fn describe(topic: &mut Topic, claims: &mut Map<String, Value>, percent: usize) {
    let base64 = ["eyJ4IjoxfQ==", "MQ==", "eyJ4Ijox", "!", ""];
    for (claim, text) in [("info", "b64info"), ("data", "b64data")] {
        if topic.chance.percent(percent) {
            claims.insert(claim.to_owned(), json!({"of": claim}));
        }
        if topic.chance.percent(percent / 4) {
            claims.insert(text.to_owned(), topic.chance.pick(&base64).into());
        }
    }
    if topic.chance.percent(percent) {
        let mut options = Map::new();
        for option in ["presence", "join_leave", "force_push_join_leave", "force_positioning", "force_recovery"] {
            if topic.chance.percent(30) {
                options.insert(option.to_owned(), json!({"value": topic.chance.percent(70)}));
            }
        }
        claims.insert("override".to_owned(), options.into());
    }
}

fn signed(topic: &mut Topic, claims: Map<String, Value>) -> Value {
    match topic.chance.below(100) {
        0 => json!({"$token": claims, "key": "another"}),
        1 => topic.chance.pick(&["", "x", "a.b.c", "..", "eyJhbGciOiJub25lIn0.e30."]).into(),
        _ => json!({"$token": claims}),
    }
}
