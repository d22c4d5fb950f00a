//! What shards, the control plane and the broker do, and what time does.

use rand::RngExt;
use rand::seq::{IndexedRandom, IteratorRandom};

use super::World;
use crate::channel::publication::Position;
use crate::engine::Action;
use crate::sim::maps;

impl World {
    /// One turn of a shard. True while it has more to do.
    pub(super) fn run_shard(&mut self, shard: usize) -> bool {
        let Self { engines, owed, awake, .. } = self;
        let engine = &mut engines[shard];
        engine.awake();
        engine.set_now(self.now);
        let more = engine.work();
        let mut rung = Vec::new();
        engine.flush_mesh(|to| rung.push(to));
        // The broker and the control plane look for themselves.
        engine.flush_errands();
        engine.flush_broker();
        let mut dirty = Vec::new();
        engine.take_dirty(&mut dirty);
        owed[shard].extend(dirty.iter().map(|id| (id.slot, id.generation)));
        let sleeps = !more && engine.prepare_to_sleep();
        awake[shard] = !sleeps;
        let first = shard / self.shards * self.shards;
        for to in rung {
            awake[first + to.index()] = true;
        }
        self.collect_responses(shard);
        self.carry_out_actions(shard);
        !sleeps
    }

    /// One answer of the control plane; false when there is nothing to answer.
    pub(super) fn run_plane(&mut self) -> bool {
        let Some(rung) = self.plane.answer_one(&mut self.rng) else { return false };
        self.report.errands += 1;
        if let Some(shard) = rung {
            self.awake[shard] = true;
        }
        true
    }

    /// A request or some events of the broker; false when there are none.
    pub(super) fn run_broker(&mut self) -> bool {
        let Self { broker: Some(broker), rng, awake, now, .. } = self else { return false };
        let is_request = rng.random();
        if is_request && broker.carry_out_one(rng, *now) {
            return true;
        }
        match broker.bring_some(rng) {
            Some((shard, is_rung)) => {
                awake[shard] |= is_rung;
                true
            }
            None => broker.carry_out_one(rng, *now),
        }
    }

    /// Connections to the broker break and come back; now and then a stream is gone, or the last publications of one.
    pub(super) fn trouble_broker(&mut self) {
        let channel = self.names.choose(&mut self.rng).cloned().unwrap_or_default();
        let map = self.maps.iter().filter(|name| name.starts_with("map")).choose(&mut self.rng).cloned();
        let (Some(map), Self { broker: Some(broker), rng, truth, report, .. }) = (map, &mut *self) else { return };
        let place = |offset, epoch| Position { offset, epoch };
        // How many offsets are given again at once, before anybody looks.
        let (mut publications, mut changes) = (0, 0);
        match rng.random_range(0..16) {
            0..2 => broker.cut(rng),
            14.. => {
                let gone = broker.fail_over_map(&map, rng);
                changes = gone.len();
                report.changes_lost += changes as u64;
                truth.lose(&map, gone.iter().map(|it| (place(it.offset, it.epoch), maps::of_change(it))));
            }
            // Whoever comes back with a position that is lost may not be told, and then builds patches upon it.
            12.. if ["kept", "tags", "cache"].iter().any(|kind| channel.starts_with(kind)) => {
                let gone = broker.fail_over(&channel, rng);
                publications = gone.len();
                report.publications_lost += publications as u64;
                truth.lose(&channel, gone.iter().map(|it| (place(it.offset, it.epoch), it.data.to_vec())));
            }
            2..5 if !channel.starts_with("live") => broker.lose_stream(&channel, rng),
            _ => broker.mend(),
        }
        for _ in 0..publications {
            let shard = self.rng.random_range(0..self.engines.len());
            self.publish_by_api(shard, &channel, false);
        }
        (0..changes).for_each(|_| self.change_map(&map, "map_publish"));
    }

    pub(super) fn pass_time(&mut self) {
        let ms = *[1, 10, 100, 1000, 5000].choose(&mut self.rng).unwrap_or(&1);
        self.wait(ms);
    }

    /// So much time goes by; every shard will look at the clock.
    pub(in crate::sim) fn wait(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.mono_us += ms * 1000;
        self.now.unix_ms += ms;
        self.awake.fill(true);
        if let Some(broker) = &mut self.broker {
            broker.sweep(self.now);
        }
    }

    pub(super) fn collect_responses(&mut self, shard: usize) {
        let engine = &mut self.engines[shard];
        let finished: Vec<_> = engine.finished_calls().collect();
        for call in finished {
            if let Some(response) = engine.take_response(call) {
                self.calls.retain(|known| *known != (shard, call));
                self.responses.push(response.body);
            }
        }
    }

    pub(super) fn carry_out_actions(&mut self, shard: usize) {
        let actions: Vec<_> = self.engines[shard].take_actions().collect();
        for action in actions {
            if let Action::Close { socket, .. } = action {
                self.clients[socket as usize].disconnected();
            }
        }
    }
}
