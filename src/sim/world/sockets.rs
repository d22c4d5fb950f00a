//! What is on its way between clients and shards.

use std::io::IoSlice;

use rand::RngExt;

use super::World;
use crate::sim::setup::HISTORY_SIZE;
use crate::sim::wire;

impl World {
    /// Lets a client take some of what it is owed (all of it when `eager`), and answer pings.
    pub(super) fn move_bytes(&mut self, index: usize, eager: bool) -> Result<(), String> {
        let Some((shard, conn)) = self.clients[index].at else { return Ok(()) };
        let amount = match self.rng.random_range(0..4) {
            _ if eager => usize::MAX,
            _ if self.clients[index].is_stuck => 0,
            0 => self.rng.random_range(0..20),
            1 => self.rng.random_range(0..400),
            _ => usize::MAX,
        };
        self.owed[shard].remove(&(conn.slot, conn.generation));
        let engine = &mut self.engines[shard];
        let mut taken = Vec::new();
        if let Some((_, outbox, pool)) = engine.outbox(conn) {
            while taken.len() < amount && !outbox.is_empty() {
                let mut slices = [IoSlice::new(&[]); 4];
                let filled = outbox.fill(&mut slices);
                let room = amount - taken.len();
                let before = taken.len();
                taken.extend(slices[..filled].iter().flat_map(|slice| slice.iter().copied()).take(room));
                let count = taken.len() - before;
                outbox.advance(count, pool);
            }
            let is_left = !outbox.is_empty();
            engine.flushed(conn, !taken.is_empty());
            self.awake[shard] |= !engine.is_settled();
            if is_left {
                self.owed[shard].insert((conn.slot, conn.generation));
            }
        }
        self.report.bytes += taken.len() as u64;
        let before = self.clients[index].counts();
        self.clients[index].take(&taken, &mut self.truth, u64::from(HISTORY_SIZE))?;
        let after = self.clients[index].counts();
        self.report.publications += after.publications - before.publications;
        self.report.recoveries += after.recoveries - before.recoveries;
        self.report.slow += after.slow - before.slow;
        self.report.patches += after.patches - before.patches;
        self.report.losses += after.losses - before.losses;
        self.carry_out_actions(shard);
        if self.clients[index].saw_close {
            self.kill(index);
        }
        while self.clients[index].owed_pongs > 0 {
            self.clients[index].owed_pongs -= 1;
            let pong = wire::pong(self.clients[index].protocol);
            self.send(index, pong);
        }
        Ok(())
    }

    /// The network cuts where it likes.
    pub(super) fn send_in_pieces(&mut self, index: usize, mut bytes: Vec<u8>) {
        while !bytes.is_empty() {
            let cut = if self.rng.random_bool(0.3) { self.rng.random_range(1..=bytes.len()) } else { bytes.len() };
            let rest = bytes.split_off(cut);
            self.send(index, bytes);
            bytes = rest;
        }
    }

    /// Hands bytes of a client to its shard, if the shard takes input; the rest is lost with the connection or, when
    /// the shard does not read now, not sent at all.
    pub(super) fn send(&mut self, index: usize, mut bytes: Vec<u8>) {
        let Some((shard, conn)) = self.clients[index].at else { return };
        self.engines[shard].set_now(self.now);
        self.engines[shard].input(conn, &mut bytes);
        self.awake[shard] = true;
        self.carry_out_actions(shard);
    }

    pub(super) fn can_send(&self, index: usize) -> bool {
        self.clients[index]
            .at
            .is_some_and(|(shard, conn)| self.engines[shard].takes_input() && self.engines[shard].takes_input_of(conn))
    }
}
