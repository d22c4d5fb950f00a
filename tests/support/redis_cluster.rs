//! A Redis Cluster of three members for a test.

use spindle::broker::Value;

use crate::redis::{Connection, Redis, free_port};

/// Its members with their ports.
pub struct Cluster {
    pub members: Vec<(Redis, u16)>,
    node_timeout: &'static str,
}

/// What a member says, as text.
pub fn text(connection: &mut Connection, request: &[&str]) -> String {
    match connection.send(request) {
        Value::Bytes(text) => String::from_utf8_lossy(&text).into_owned(),
        other => format!("{other:?}"),
    }
}

impl Cluster {
    /// Members wait for each other as long as they do by default: on a busy machine they may be slow.
    pub fn start() -> Self {
        Self::with_node_timeout("15000")
    }

    /// Members tell each other twice a second what has changed, and take one for gone that they do not hear of for a
    /// second: for tests in which members join or fail, or slots move.
    pub fn on_the_move() -> Self {
        Self::with_node_timeout("1000")
    }

    fn with_node_timeout(node_timeout: &'static str) -> Self {
        let members: Vec<_> = (0..3).map(|_| Self::member(node_timeout)).collect();
        let mut first = members[0].0.connect();
        for (number, (redis, port, bus)) in members.iter().enumerate() {
            let (from, to) = (number * 16_384 / 3, (number + 1) * 16_384 / 3 - 1);
            redis.connect().send(&["CLUSTER", "ADDSLOTSRANGE", &from.to_string(), &to.to_string()]);
            first.send(&["CLUSTER", "MEET", "127.0.0.1", &port.to_string(), &bus.to_string()]);
        }
        for (redis, ..) in &members {
            let mut connection = redis.connect();
            // Whose slots are whose, above all: the state is ok before that.
            let known = ["cluster_state:ok", "cluster_known_nodes:3", "cluster_slots_assigned:16384"];
            let is_ready = |info: String| known.iter().all(|line| info.contains(line));
            // Before that a member passes no messages on to another one.
            let are_linked = |nodes: String| nodes.matches(" connected").count() == 3 && !nodes.contains("handshake");
            while !is_ready(text(&mut connection, &["CLUSTER", "INFO"]))
                || !are_linked(text(&mut connection, &["CLUSTER", "NODES"]))
            {
                // Waits for a replica that does not come: the time members need to hear of each other.
                connection.send(&["WAIT", "1", "20"]);
            }
        }
        Self { members: members.into_iter().map(|(redis, port, _)| (redis, port)).collect(), node_timeout }
    }

    fn member(node_timeout: &str) -> (Redis, u16, u16) {
        let (port, bus) = (free_port(), free_port());
        let (port_text, bus_text) = (port.to_string(), bus.to_string());
        let redis = Redis::with(
            &[
                ["--port", &port_text],
                ["--cluster-port", &bus_text],
                ["--cluster-enabled", "yes"],
                ["--cluster-node-timeout", node_timeout],
                ["--cluster-require-full-coverage", "no"],
            ]
            .concat(),
        );
        (redis, port, bus)
    }

    /// One more member, which follows a master, once everybody knows of it.
    pub fn join_as_replica_of(&self, number: usize) -> (Redis, u16, u16) {
        let (replica, port, bus) = Self::member(self.node_timeout);
        let (mut connection, id) = (replica.connect(), self.id(number));
        let mut master = self.members[number].0.connect();
        master.send(&["CLUSTER", "MEET", "127.0.0.1", &port.to_string(), &bus.to_string()]);
        // It must have heard of its master.
        while connection.try_send(&[b"CLUSTER", b"REPLICATE", id.as_bytes()]).is_err() {
            master.send(&["WAIT", "1", "20"]);
        }
        for (redis, _) in &self.members {
            let mut connection = redis.connect();
            while !format!("{:?}", connection.send(&["CLUSTER", "SLOTS"])).contains(&format!("Int({port})")) {
                connection.send(&["WAIT", "2", "20"]);
            }
        }
        (replica, port, bus)
    }

    /// Drops everything.
    pub fn clear(&self) {
        self.members.iter().for_each(|(redis, _)| drop(redis.connect().send(&["FLUSHALL"])));
    }

    /// The options of `engine.redis`.
    pub fn options(&self, more: &str) -> String {
        format!(r#"{{"cluster_address":["127.0.0.1:{},127.0.0.1:{}"]{more}}}"#, self.members[0].1, self.members[1].1)
    }

    /// The number of the member that has a channel's slot, and the slot.
    pub fn owner(&self, channel: &str) -> (usize, String) {
        self.owner_of(&format!("centrifugo.stream.{{{channel}}}"))
    }

    /// The same of a key.
    pub fn owner_of(&self, key: &str) -> (usize, String) {
        let Value::Int(slot) = self.members[0].0.connect().send(&["CLUSTER", "KEYSLOT", key]) else { panic!() };
        let owner = (0..3).find(|number| slot < ((number + 1) * 16_384 / 3) as i64);
        (owner.unwrap(), slot.to_string())
    }

    pub fn id(&self, number: usize) -> String {
        text(&mut self.members[number].0.connect(), &["CLUSTER", "MYID"])
    }
}
