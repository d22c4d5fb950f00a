//! Who is present on this node, where channels live at a broker and presence does not.

use std::sync::Arc;

use crate::base::ids::ClientId;
use crate::base::time::{NEVER, Now};
use crate::channel::deadlines::Deadlines;
use crate::channel::name::ChannelName;
use crate::channel::op::{Answer, Op};
use crate::channel::presence::Presence;
use crate::channel::publication::ClientInfo;
use crate::channel::table::{Entry, Table};
use crate::protocol::error::Error;

/// See the module.
#[derive(Debug)]
pub(super) struct Present {
    table: Table<Here>,
    deadlines: Deadlines,
}

#[derive(Debug)]
struct Here {
    name: ChannelName,
    presence: Presence,
}

impl Entry for Here {
    fn begin(name: ChannelName) -> Self {
        Self { name, presence: Presence::default() }
    }

    fn name(&self) -> &ChannelName {
        &self.name
    }
}

impl Present {
    /// Nobody is; in so many channels at most somebody may be.
    pub(super) fn new(channels: u32) -> Self {
        Self { table: Table::new(channels), deadlines: Deadlines::default() }
    }

    /// Answers what is asked about presence.
    pub(super) fn answer(&mut self, channel: &ChannelName, op: Op, now: Now) -> Answer {
        match op {
            Op::PresenceUpdate { info, ttl_ms } => self.add(channel, info, ttl_ms, now),
            Op::PresenceStats => self.count(channel),
            _ => self.list(channel),
        }
    }

    /// Adds a client, or renews its entry.
    pub(super) fn add(&mut self, channel: &ChannelName, info: Arc<ClientInfo>, ttl_ms: u64, now: Now) -> Answer {
        let Some(slot) = self.table.find_or_insert(channel) else { return Answer::Failed(Error::LIMIT_EXCEEDED) };
        if let Some(here) = self.table.get(slot) {
            here.presence.set(info, ttl_ms, now);
        }
        self.reschedule(slot);
        Answer::Done
    }

    /// Takes a client out.
    pub(super) fn remove(&mut self, channel: &ChannelName, client: ClientId) {
        let Some(slot) = self.table.find(channel) else { return };
        if let Some(here) = self.table.get(slot) {
            here.presence.remove(client);
        }
        self.reschedule(slot);
    }

    /// Everyone present.
    pub(super) fn list(&mut self, channel: &ChannelName) -> Answer {
        Answer::Presence(self.of(channel).map_or_else(Vec::new, Presence::list))
    }

    /// How many are present.
    pub(super) fn count(&mut self, channel: &ChannelName) -> Answer {
        let (clients, users) = self.of(channel).map_or((0, 0), |presence| (presence.clients(), presence.users()));
        Answer::PresenceStats { clients, users }
    }

    fn of(&mut self, channel: &ChannelName) -> Option<&Presence> {
        let slot = self.table.find(channel)?;
        Some(&self.table.get(slot)?.presence)
    }

    /// Drops entries that were not renewed in time; at most `budget` are looked at.
    pub(super) fn expire(&mut self, now: Now, budget: usize) {
        let mut left = budget;
        while left > 0
            && let Some((at_ms, slot)) = self.deadlines.first()
            && at_ms <= now.mono_ms
        {
            let visits = self.table.get(slot).map_or(0, |here| here.presence.sweep(now, left));
            left -= visits.clamp(1, left);
            self.reschedule(slot);
        }
    }

    /// When [`Present::expire`] has something to do.
    pub(super) fn next_expiry(&self) -> Option<u64> {
        self.deadlines.first().map(|(at_ms, _)| at_ms)
    }

    /// Sets the channel's deadline; forgets it when nobody is present.
    fn reschedule(&mut self, slot: u32) {
        let Some(here) = self.table.get(slot) else { return };
        let (is_empty, deadline_ms) = (here.presence.is_empty(), here.presence.deadline_ms());
        if is_empty {
            self.table.remove(slot);
        }
        self.deadlines.set(slot, if is_empty { NEVER } else { deadline_ms });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono_ms: u64) -> Now {
        Now { mono_ms, ..Now::default() }
    }

    fn info(client: u8, user: &str) -> Arc<ClientInfo> {
        let client = ClientId([client; 16]);
        Arc::new(ClientInfo { user: user.into(), client, conn_info: Default::default(), chan_info: Default::default() })
    }

    #[test]
    fn entries_are_kept_by_channel_and_end() {
        let mut present = Present::new(2);
        let (one, other) = (ChannelName::new("a"), ChannelName::new("b"));
        for (channel, client, user) in [(&one, 1, "ann"), (&one, 2, "ann"), (&other, 3, "bob")] {
            assert_eq!(present.add(channel, info(client, user), 100, at(0)), Answer::Done);
        }
        let full = present.add(&ChannelName::new("c"), info(4, "eve"), 100, at(0));
        assert_eq!(full, Answer::Failed(Error::LIMIT_EXCEEDED));
        assert_eq!(present.count(&one), Answer::PresenceStats { clients: 2, users: 1 });
        present.remove(&one, ClientId([1; 16]));
        assert_eq!(present.list(&one), Answer::Presence(vec![info(2, "ann")]));
        assert_eq!(present.add(&one, info(2, "ann"), 100, at(90)), Answer::Done);
        assert_eq!(present.next_expiry(), Some(100));
        present.expire(at(100), 10);
        assert_eq!(present.count(&other), Answer::PresenceStats { clients: 0, users: 0 });
        assert_eq!(present.count(&one), Answer::PresenceStats { clients: 1, users: 1 });
        present.remove(&one, ClientId([2; 16]));
        assert_eq!((present.table.len(), present.next_expiry()), (0, None));
    }
}
