//! Random requests of several shards against a model: who gets what, in which order, exactly once.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::tests::{Bench, HISTORY, info, plain, publish, publish_plain, subscribe};
use super::*;
use crate::channel::op::Recover;

const SHARDS: [u16; 4] = [0, 1, 63, 900];
const CHANNELS: [&str; 2] = ["a", "b"];
const PRESENCE_TTL_MS: u64 = 25_000;

#[derive(Clone, Debug)]
enum Step {
    Subscribe { channel: usize, client: u8, mode: Mode, presence: bool, join: bool },
    Unsubscribe { channel: usize, client: u8, leave: bool },
    Renew { channel: usize, client: u8 },
    Publish { channel: usize, from: usize, history: bool },
    RemoveHistory { channel: usize },
    Wait { ms: u64, budget: usize },
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    Plain,
    Positioned,
    /// So far behind (or before) the top, with the stream's epoch or another.
    Recover {
        behind: i64,
        same_epoch: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (channel, client) = (0..CHANNELS.len(), 0u8..10);
    let mode = prop_oneof![
        Just(Mode::Plain),
        Just(Mode::Positioned),
        (-1i64..6, prop::bool::weighted(0.8)).prop_map(|(behind, same_epoch)| Mode::Recover { behind, same_epoch }),
    ];
    let step = prop_oneof![
        4 => (channel.clone(), client.clone(), mode, any::<bool>(), any::<bool>()).prop_map(
            |(channel, client, mode, presence, join)| Step::Subscribe { channel, client, mode, presence, join }
        ),
        3 => (channel.clone(), client.clone(), any::<bool>())
            .prop_map(|(channel, client, leave)| Step::Unsubscribe { channel, client, leave }),
        2 => (channel.clone(), client).prop_map(|(channel, client)| Step::Renew { channel, client }),
        5 => (channel.clone(), 0..SHARDS.len(), prop::bool::weighted(0.8))
            .prop_map(|(channel, from, history)| Step::Publish { channel, from, history }),
        1 => channel.prop_map(|channel| Step::RemoveHistory { channel }),
        3 => (0u64..40_000, 0usize..4).prop_map(|(ms, budget)| Step::Wait { ms, budget }),
    ];
    prop::collection::vec(step, 0..150)
}

fn shard_of(client: u8) -> u16 {
    SHARDS[usize::from(client) % SHARDS.len()]
}

#[derive(Default)]
struct Channel {
    subscribers: BTreeSet<u8>,
    /// When each client's presence ends. Expired ones stay until the home drops them.
    presence: BTreeMap<u8, u64>,
    stream: Option<ModelStream>,
}

struct ModelStream {
    epoch: Epoch,
    top: u64,
    /// Publications by offset; the data says the same number that `published` counts.
    kept: Vec<(u64, String)>,
    publications_end_ms: u64,
    stream_ends_ms: u64,
}

impl Channel {
    fn interested(&self) -> BTreeSet<u16> {
        self.subscribers.iter().map(|client| shard_of(*client)).collect()
    }

    fn to_interested(&self, word: &str) -> impl Iterator<Item = String> {
        self.interested().into_iter().map(move |shard| format!("{shard}:{word}"))
    }

    fn expire_stream(&mut self, now: Now) {
        if self.stream.as_ref().is_some_and(|stream| stream.stream_ends_ms <= now.mono_ms) {
            self.stream = None;
        }
        if let Some(stream) = &mut self.stream
            && stream.publications_end_ms <= now.mono_ms
        {
            stream.kept.clear();
        }
    }

    /// The stream is used, and its epoch was seen in the answer: the known one, or one never seen before.
    fn use_stream(&mut self, now: Now, epoch: Epoch, epochs: &mut Vec<Epoch>) -> &mut ModelStream {
        self.expire_stream(now);
        let stream = self.stream.get_or_insert_with(|| {
            assert!(!epoch.is_none() && !epochs.contains(&epoch));
            epochs.push(epoch);
            ModelStream { epoch, top: 0, kept: Vec::new(), publications_end_ms: NEVER, stream_ends_ms: 0 }
        });
        assert_eq!(stream.epoch, epoch);
        stream.stream_ends_ms = now.mono_ms + u64::from(HISTORY.meta_ttl_s) * 1000;
        stream
    }
}

#[derive(Default)]
struct Run {
    channels: [Channel; CHANNELS.len()],
    epochs: Vec<Epoch>,
    published: u64,
}

fn answered_position(bench: &Bench) -> Position {
    bench
        .sent
        .iter()
        .find_map(|(_, delivery)| match delivery {
            Delivery::Answer(_, Answer::Published(position)) => Some(*position),
            Delivery::Answer(_, Answer::Subscribed(subscribed)) => Some(subscribed.position),
            _ => None,
        })
        .unwrap_or_default()
}

impl Run {
    fn step(&mut self, bench: &mut Bench, step: Step) {
        let now = bench.now;
        match step {
            Step::Subscribe { channel, client, mode, presence, join } => {
                self.subscribe(bench, channel, client, mode, presence, join);
            }
            Step::Unsubscribe { channel, client, leave } => {
                let model = &mut self.channels[channel];
                if !model.subscribers.remove(&client) {
                    return;
                }
                model.presence.remove(&client);
                let last = !model.interested().contains(&shard_of(client));
                let leaver = info(client, &client.to_string());
                let op = Op::Unsubscribe { last, presence: Some(leaver.clone()), leave: leave.then_some(leaver) };
                let mut expected: Vec<_> = model.to_interested(&format!("leave {client}")).collect();
                expected.truncate(if leave { usize::MAX } else { 0 });
                expected.push(format!("{}:Done", shard_of(client)));
                assert_eq!(bench.op(shard_of(client), CHANNELS[channel], op), expected);
            }
            Step::Renew { channel, client } => {
                let model = &mut self.channels[channel];
                if model.subscribers.contains(&client) {
                    model.presence.insert(client, now.mono_ms + PRESENCE_TTL_MS);
                    let op = Op::PresenceUpdate { info: info(client, &client.to_string()), ttl_ms: PRESENCE_TTL_MS };
                    bench.op(shard_of(client), CHANNELS[channel], op);
                }
            }
            Step::Publish { channel, from, history } => self.publish(bench, channel, SHARDS[from], history),
            Step::RemoveHistory { channel } => {
                bench.op(0, CHANNELS[channel], Op::HistoryRemove);
                if let Some(stream) = &mut self.channels[channel].stream {
                    stream.kept.clear();
                }
            }
            Step::Wait { ms, budget } => {
                bench.now.mono_ms += ms;
                bench.homes.expire(bench.now, budget, &mut |_, _| ());
            }
        }
    }

    fn subscribe(&mut self, bench: &mut Bench, channel: usize, client: u8, mode: Mode, presence: bool, join: bool) {
        let (now, model) = (bench.now, &mut self.channels[channel]);
        if !model.subscribers.insert(client) {
            return;
        }
        model.expire_stream(now);
        let (top, epoch) = model.stream.as_ref().map_or((0, Epoch::NONE), |stream| (stream.top, stream.epoch));
        let client_info = info(client, &client.to_string());
        let mut op = SubscribeOp {
            position: matches!(mode, Mode::Positioned),
            presence: presence.then(|| (client_info.clone(), PRESENCE_TTL_MS)),
            join: join.then(|| client_info.clone()),
            ..plain()
        };
        let mut offset = 0;
        if let Mode::Recover { behind, same_epoch } = mode {
            offset = top.saturating_add_signed(-behind);
            let epoch = if same_epoch { epoch.as_str() } else { "other".into() };
            let since = Since { offset, epoch: epoch.into() };
            op.recover = Some(Recover { since, limit: 2, cache: false, filter: None, or_fail: false });
        }
        if presence {
            model.presence.insert(client, now.mono_ms + PRESENCE_TTL_MS);
        }
        let sent = bench.op(shard_of(client), CHANNELS[channel], subscribe(op));
        let answer = match mode {
            Mode::Plain => "Subscribed @0 []".to_owned(),
            Mode::Positioned => {
                let stream = model.use_stream(now, answered_position(bench).epoch, &mut self.epochs);
                format!("Subscribed @{} []", stream.top)
            }
            Mode::Recover { same_epoch, .. } => {
                let stream = model.use_stream(now, answered_position(bench).epoch, &mut self.epochs);
                let kept = stream.kept.iter().filter(|(kept, _)| *kept > offset);
                let kept: Vec<_> = kept.map(|(offset, data)| format!("{data}@{offset}")).collect();
                let missed = stream.top.checked_sub(offset);
                let recovered = same_epoch && missed == Some(kept.len() as u64) && kept.len() <= 2;
                let kept = if recovered { kept.join(" ") } else { String::new() };
                format!("Subscribed @{}{} [{kept}]", stream.top, if recovered { " recovered" } else { "" })
            }
        };
        let mut expected = vec![format!("{}:{answer}", shard_of(client))];
        if join {
            expected.extend(model.to_interested(&format!("join {client}")));
        }
        assert_eq!(sent, expected);
    }

    fn publish(&mut self, bench: &mut Bench, channel: usize, from: u16, history: bool) {
        let (now, model) = (bench.now, &mut self.channels[channel]);
        self.published += 1;
        let data = self.published.to_string();
        let op = if history { publish(&data) } else { publish_plain(&data) };
        let sent = bench.op(from, CHANNELS[channel], op);
        let mut offset = 0;
        if history {
            let stream = model.use_stream(now, answered_position(bench).epoch, &mut self.epochs);
            stream.publications_end_ms = now.mono_ms + u64::from(HISTORY.ttl_s) * 1000;
            stream.top += 1;
            offset = stream.top;
            stream.kept.push((offset, data.clone()));
            let surplus = stream.kept.len().saturating_sub(HISTORY.size as usize);
            stream.kept.drain(..surplus);
        }
        let mut expected: Vec<_> = model.to_interested(&format!("pub {data}@{offset}")).collect();
        expected.push(format!("{from}:Published @{offset}"));
        assert_eq!(sent, expected);
    }

    /// Everyone who is alive is present, and nobody who left; whoever is gone was expired.
    fn check_presence(&mut self, bench: &mut Bench) {
        for (channel, model) in CHANNELS.iter().zip(&mut self.channels) {
            bench.op(7, channel, Op::Presence);
            let Some((_, Delivery::Answer(_, Answer::Presence(infos)))) = bench.sent.last() else {
                panic!("{:?}", bench.sent)
            };
            let present: BTreeSet<u8> = infos.iter().map(|info| info.client.0[0]).collect();
            model.presence.retain(|client, ends_ms| present.contains(client) || *ends_ms > bench.now.mono_ms);
            assert!(present.iter().eq(model.presence.keys()), "{present:?} {:?}", model.presence);
        }
    }
}

proptest! {
    #[test]
    fn every_shard_gets_what_it_is_due(steps in steps()) {
        let (mut bench, mut run) = (Bench::new(), Run::default());
        for step in steps {
            run.step(&mut bench, step);
            run.check_presence(&mut bench);
        }
        for channel in 0..CHANNELS.len() {
            for client in 0..10 {
                run.step(&mut bench, Step::Unsubscribe { channel, client, leave: true });
            }
        }
        while let Some(at_ms) = bench.homes.next_expiry() {
            let ms = at_ms.saturating_sub(bench.now.mono_ms);
            run.step(&mut bench, Step::Wait { ms, budget: 1 });
        }
        prop_assert!(bench.homes.is_empty(), "nothing is left behind");
    }
}
