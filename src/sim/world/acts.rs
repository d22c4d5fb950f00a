//! What clients and callers of the server API do.

use rand::RngExt;
use rand::seq::IndexedRandom;

use super::World;
use crate::api;
use crate::engine::Opening;
use crate::sim::backend::{KEYS, all_keys};
use crate::sim::client::SAME;
use crate::sim::polls::Act;
use crate::sim::setup::is_versioned;
use crate::sim::wants::TAG;

impl World {
    pub(super) fn act(&mut self, index: usize) {
        if self.clients[index].at.is_none() {
            let shard = self.rng.random_range(0..self.engines.len());
            return self.open(index, shard);
        }
        if !self.can_send(index) {
            return;
        }
        let channel = self.names.choose(&mut self.rng).cloned().unwrap_or_default();
        if !self.clients[index].is_connected() {
            return;
        }
        self.step_of_map(index);
        if !self.can_send(index) {
            return;
        }
        let client = &mut self.clients[index];
        match self.rng.random_range(0..100) {
            0..30 => {
                let count = self.rng.random_range(1..=self.names.len());
                let chosen: Vec<&str> = self.names.sample(&mut self.rng, count).map(String::as_str).collect();
                let bytes = client.subscribe(&chosen);
                self.send_in_pieces(index, bytes);
            }
            30..40 => {
                let bytes = client.unsubscribe(&channel);
                self.send_in_pieces(index, bytes);
            }
            40..85 => {
                let count = self.rng.random_range(1..=4);
                let bytes = client.publish(&channel, count);
                self.send_in_pieces(index, bytes);
            }
            85..90 => client.is_stuck = !client.is_stuck,
            _ => self.kill(index),
        }
    }

    /// Somebody begins or leaves a map, or one is changed over the server API.
    pub(super) fn act_on_map(&mut self) {
        let channel = self.maps.choose(&mut self.rng).cloned().unwrap_or_default();
        let index = self.rng.random_range(0..self.clients.len());
        match self.rng.random_range(0..10) {
            0..4 => {
                let by_pages = self.rng.random();
                if self.clients[index].is_connected() {
                    self.clients[index].maps.begin(&channel, by_pages, &self.truth);
                }
                self.step_of_map(index);
            }
            4 if self.can_send(index) && self.clients[index].is_connected() => {
                let bytes = self.clients[index].unsubscribe(&channel);
                self.send_in_pieces(index, bytes);
            }
            _ if channel.starts_with("map") => {
                let method = match self.rng.random_range(0..40) {
                    0 => "map_clear",
                    1..8 => "map_remove",
                    _ => "map_publish",
                };
                self.change_map(&channel, method);
            }
            _ => {}
        }
    }

    /// Some node changes some key of a map.
    pub(super) fn change_map(&mut self, channel: &str, method: &str) {
        let (shard, key) = (self.rng.random_range(0..self.engines.len()), self.rng.random_range(0..8));
        let data: u32 = self.rng.random();
        let body = format!("{{\"channel\":\"{channel}\",\"key\":\"{key}\",\"data\":{data}}}");
        self.call(shard, method, &body);
    }

    /// Something changes at the backend, or somebody does something with a shared-poll channel.
    pub(super) fn act_on_poll(&mut self) {
        if self.rng.random_ratio(2, 5) {
            let changed = self.plane.backend.change(&mut self.rng);
            if let Some((channel, key)) = changed
                && self.rng.random_ratio(1, 4)
                && is_versioned(&channel)
                && let Some(body) = self.plane.backend.publication(&channel, &key)
            {
                let shard = self.rng.random_range(0..self.engines.len());
                self.call(shard, "shared_poll_publish", &body);
            }
            return;
        }
        let channel = self.polls.choose(&mut self.rng).cloned().unwrap_or_default();
        let index = self.rng.random_range(0..self.clients.len());
        if !self.can_send(index) || !self.clients[index].is_connected() {
            return;
        }
        let count = self.rng.random_range(1..=3);
        let keys = rand::seq::index::sample(&mut self.rng, KEYS as usize, count);
        let keys = keys.into_iter().map(|key| key.to_string()).collect();
        let act = match (self.clients[index].polls.may_subscribe(&channel), self.rng.random_range(0..10)) {
            (true, _) => Act::Subscribe,
            _ if !self.clients[index].polls.is_live(&channel) => return,
            (_, 0..6) => Act::Track { keys, anew: self.rng.random_ratio(1, 4) },
            (_, 6..8) => Act::Untrack { keys },
            (_, 8) => Act::Untrack { keys: all_keys() },
            _ => Act::Unsubscribe,
        };
        self.poll(index, &channel, act);
    }

    /// A client does something with a shared-poll channel.
    pub(in crate::sim) fn poll(&mut self, index: usize, channel: &str, act: Act) {
        let bytes = self.clients[index].poll(channel, act);
        self.send_in_pieces(index, bytes);
    }

    /// Takes the next step of a map that a client reads. True when it has one to take.
    pub(super) fn step_of_map(&mut self, index: usize) -> bool {
        if !self.clients[index].maps.is_owing() {
            return false;
        }
        if self.can_send(index) {
            let limit = self.rng.random_range(1..=3);
            if let Some(bytes) = self.clients[index].step_of_map(limit) {
                self.send_in_pieces(index, bytes);
            }
        }
        true
    }

    pub(super) fn open(&mut self, index: usize, shard: usize) {
        let protocol = self.clients[index].protocol;
        self.engines[shard].set_now(self.now);
        let opening = Opening { socket: index as u32, protocol, native_ping: false, user_header: None };
        let Some(conn) = self.engines[shard].open(opening) else { return };
        self.report.connections += 1;
        self.clients[index].at = Some((shard, conn));
        self.clients[index].is_stuck = false;
        let channel = self.names.choose(&mut self.rng).cloned().unwrap_or_default();
        let connect = self.clients[index].connect(&channel);
        self.send(index, connect);
    }

    /// The connection breaks: what was under way in both directions is lost.
    pub(in crate::sim) fn kill(&mut self, index: usize) {
        let Some((shard, conn)) = self.clients[index].at else { return };
        self.engines[shard].set_now(self.now);
        self.engines[shard].gone(conn);
        self.awake[shard] = true;
        self.carry_out_actions(shard);
        self.clients[index].disconnected();
    }

    /// Publishes over the server API of a shard; what is tagged is not for whoever has a filter.
    pub(in crate::sim) fn publish_by_api(&mut self, shard: usize, channel: &str, is_tagged: bool) {
        // Over the API nobody counts, so these carry a publisher of their own each time.
        let publisher: u32 = self.rng.random();
        let same = if channel.starts_with("delta") { SAME } else { "" };
        let data = format!("{{\"same\":\"{same}\",\"p\":{},\"n\":1}}", u64::from(publisher) << 20);
        let tags = if is_tagged { format!(",\"tags\":{{\"{}\":\"{}\"}}", TAG.0, TAG.1) } else { String::new() };
        let body = format!("{{\"channel\":\"{channel}\",\"data\":{data}{tags}}}");
        self.call(shard, "publish", &body);
    }

    pub(in crate::sim) fn call(&mut self, shard: usize, method: &str, body: &str) {
        self.engines[shard].set_now(self.now);
        let request = api::Request { method, error_mode: None, body: body.as_bytes() };
        if let Some(call) = self.engines[shard].call(request) {
            self.calls.push((shard, call));
        }
        self.awake[shard] = true;
        self.collect_responses(shard);
    }
}
