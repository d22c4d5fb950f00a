//! What one publication costs on a shard: finding the channel, encoding, and owing it to every member.
//!
//! `cargo bench --bench fanout`

use std::io::IoSlice;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use spindle::base::ids::ConnId;
use spindle::channel::name::ChannelName;
use spindle::channel::publication::{Epoch, Publication};
use spindle::fanout::{FrameBuilder, Hub, MemberFlags, Outbox, Pool, Variants};

fn main() {
    divan::main();
}

fn publication() -> Publication {
    Publication {
        offset: 7,
        epoch: Epoch::from_random([1; 8]),
        ..Publication::bare(Bytes::from_static(br#"{"text":"one message of some sixty bytes, as chats send them"}"#))
    }
}

/// One publication to so many members, and every outbox drained as by a send.
#[divan::bench(args = [1, 10, 100, 1000, 10_000])]
fn publish(bencher: Bencher<'_, '_>, members: u32) {
    let (name, publication) = (ChannelName::new("chat:bench"), publication());
    let (mut hub, mut builder, mut pool) = (Hub::new(), FrameBuilder::new(), Pool::new(1024));
    let channel = hub.retain(&name);
    for slot in 0..members {
        hub.retain(&name);
        hub.join(channel, ConnId { slot, generation: 0 }, MemberFlags::NONE);
    }
    let mut outboxes: Vec<Outbox> = std::iter::repeat_with(Outbox::new).take(members as usize).collect();
    bencher.counter(ItemsCount::new(members)).bench_local(|| {
        let channel = hub.find_name(&name).expect("the channel is there");
        let mut variants = Variants::publication(&name, &publication);
        for member in hub.members(channel) {
            let frame = variants.frame(member.flags(), &mut builder).expect("the payload is JSON");
            outboxes[member.conn.slot as usize].push(&mut pool, frame);
        }
        for outbox in &mut outboxes {
            let mut slices = [IoSlice::new(&[]); 16];
            divan::black_box(outbox.fill(&mut slices));
            let bytes = outbox.bytes();
            outbox.advance(bytes, &mut pool);
        }
    });
}

/// Subscribing to and leaving one of many channels.
#[divan::bench(args = [1000, 100_000])]
fn subscribe_and_leave(bencher: Bencher<'_, '_>, channels: u32) {
    let mut hub = Hub::new();
    for n in 0..channels {
        hub.retain(&ChannelName::new(&format!("chat:{n}")));
    }
    let name = ChannelName::new("chat:bench");
    bencher.bench_local(|| {
        let channel = hub.retain(&name);
        let conn = ConnId { slot: 1, generation: 1 };
        let member = hub.join(channel, conn, MemberFlags::POSITIONED);
        hub.leave(channel, member);
        hub.release(channel)
    });
}
