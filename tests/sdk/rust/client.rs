//! The official Rust client, JSON and Protobuf, against the server named by `SDK_WS`.
#![cfg(test)]

use std::time::Duration;

use centrifuge::{
    Client, Error, EventStream, HistoryOptions, Protocol, PublicationEvent, StreamPosition, Subscription,
    SubscriptionEvent,
};
use futures_util::StreamExt;

const DEADLINE: Duration = Duration::from_secs(10);

fn environment(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} names the server; tests/sdk/run sets it"))
}

fn fresh_channel() -> String {
    format!("sdk:rust-{}", uuid::Uuid::new_v4())
}

async fn connected(protocol: Protocol) -> Client {
    let client = Client::builder(environment("SDK_WS"))
        .protocol(protocol)
        .token(environment("SDK_TOKEN"))
        .build()
        .expect("a client");
    client.connect().expect("connect");
    client.ready(Some(DEADLINE)).await.expect("connected");
    client
}

async fn subscribed(client: &Client, channel: &str) -> (Subscription, EventStream<PublicationEvent>) {
    let sub = client.new_subscription(channel).build().expect("a subscription");
    let publications = sub.publications();
    sub.subscribe();
    sub.ready(Some(DEADLINE)).await.expect("subscribed");
    (sub, publications)
}

/// The next item; fails rather than hangs.
async fn next<T>(stream: &mut EventStream<T>) -> T
where
    EventStream<T>: futures_util::Stream<Item = T> + Unpin,
{
    tokio::time::timeout(DEADLINE, stream.next()).await.expect("an event in time").expect("a live stream")
}

async fn expect(stream: &mut EventStream<PublicationEvent>, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        let publication = next(stream).await;
        assert_eq!((publication.data.to_vec(), publication.offset), (n.to_string().into_bytes(), n));
    }
}

async fn publish(client: &Client, channel: &str, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        client.publish(channel, n.to_string()).await.expect("published");
    }
}

async fn reach_every_subscriber(protocol: Protocol) {
    let channel = fresh_channel();
    let (a, b) = (connected(protocol).await, connected(protocol).await);
    let (_sub_a, mut seen_a) = subscribed(&a, &channel).await;
    let (_sub_b, mut seen_b) = subscribed(&b, &channel).await;
    publish(&a, &channel, 1..=20).await;
    expect(&mut seen_a, 1..=20).await;
    expect(&mut seen_b, 1..=20).await;
}

async fn recover(protocol: Protocol) {
    let channel = fresh_channel();
    let (reader, writer) = (connected(protocol).await, connected(protocol).await);
    let (sub, mut seen) = subscribed(&reader, &channel).await;
    publish(&writer, &channel, 1..=1).await;
    expect(&mut seen, 1..=1).await;
    drop(seen);
    reader.disconnect();
    publish(&writer, &channel, 2..=7).await;
    let mut events = sub.events();
    reader.connect().expect("connect");
    let mut next_number = 2;
    let mut recovered = false;
    publish(&writer, &channel, 8..=8).await;
    while next_number <= 8 {
        match next(&mut events).await {
            SubscriptionEvent::Subscribed(event) => {
                recovered = event.was_recovering && event.recovered;
            }
            SubscriptionEvent::Publication(event) => {
                assert!(recovered, "a publication before the recovery was announced");
                assert_eq!(event.offset, next_number);
                next_number += 1;
            }
            _ => {}
        }
    }
}

async fn history_and_presence(protocol: Protocol) {
    let channel = fresh_channel();
    let (a, b) = (connected(protocol).await, connected(protocol).await);
    // A stream that nobody reads holds its client up, so none is kept here.
    let (sub_a, _) = subscribed(&a, &channel).await;
    let (sub_b, _) = subscribed(&b, &channel).await;
    publish(&a, &channel, 1..=5).await;
    let since = HistoryOptions::new().limit(2).since(StreamPosition::new(1, ""));
    let page = sub_b.history(since).await.expect("history");
    let offsets: Vec<u64> = page.publications.iter().map(|p| p.offset).collect();
    assert_eq!((offsets, page.offset), (vec![2, 3], 5));
    let newest = sub_b.history(HistoryOptions::new().limit(1).reverse(true)).await.expect("history");
    assert_eq!(newest.publications[0].offset, 5);
    let present = sub_a.presence().await.expect("presence");
    assert_eq!(present.clients.len(), 2);
    assert!(present.clients.values().all(|info| info.user == "sdk-user"));
    let mut events = sub_a.events();
    sub_b.unsubscribe();
    while !matches!(next(&mut events).await, SubscriptionEvent::Leave(_)) {}
    drop(events);
    let stats = sub_a.presence_stats().await.expect("presence stats");
    assert_eq!((stats.num_clients, stats.num_users), (1, 1));
}

async fn error_codes(protocol: Protocol) {
    let client = connected(protocol).await;
    match client.publish("nowhere:x", "{}").await {
        Err(Error::Server(error)) => assert_eq!(error.code, 102),
        other => panic!("expected error 102, got {other:?}"),
    }
}

macro_rules! in_both_protocols {
    ($($test:ident),*) => {
        $(mod $test {
            #[tokio::test(flavor = "multi_thread")]
            async fn json() {
                super::$test(centrifuge::Protocol::Json).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn protobuf() {
                super::$test(centrifuge::Protocol::Protobuf).await;
            }
        })*
    };
}

in_both_protocols!(reach_every_subscriber, recover, history_and_presence, error_codes);
