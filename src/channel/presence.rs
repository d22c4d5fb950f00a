//! Who is present in a channel: one entry for each client, dropped when it is not renewed in time.
//!
//! Expired entries are found by walking the table in pieces: every visit is paid for by the renewals that the
//! entry needs to stay, and no memory is spent on deadlines. So an entry lives up to [`SWEEP_MS`], and the length
//! of a walk, too long.

use std::sync::Arc;

use hashbrown::HashTable;

use crate::base::ids::ClientId;
use crate::base::time::{NEVER, Now};
use crate::channel::name::hash_of;
use crate::channel::publication::ClientInfo;

/// Shortest time between two walks, milliseconds.
pub const SWEEP_MS: u64 = 1000;

/// The clients present in one channel.
#[derive(Debug)]
pub struct Presence {
    entries: Vec<Entry>,
    /// Where each client stands in `entries`.
    index: HashTable<u32>,
    /// Distinct users, so that counting them does not walk the clients.
    users: HashTable<User>,
    /// Entries below this are still to be visited by the walk that is under way; 0 = none is.
    unvisited: usize,
    /// Earliest expiry that the walk under way has seen.
    seen_ms: u64,
    /// When the next piece of a walk is due.
    sweep_at_ms: u64,
}

#[derive(Debug)]
struct Entry {
    info: Arc<ClientInfo>,
    expires_ms: u64,
}

/// A user by the info of one of its clients, which need not be present any more.
#[derive(Debug)]
struct User {
    info: Arc<ClientInfo>,
    clients: u32,
}

impl Default for Presence {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            index: HashTable::new(),
            users: HashTable::new(),
            unvisited: 0,
            seen_ms: NEVER,
            sweep_at_ms: NEVER,
        }
    }
}

impl Presence {
    /// Adds or renews a client, under the info given last.
    pub fn set(&mut self, info: Arc<ClientInfo>, ttl_ms: u64, now: Now) {
        let expires_ms = now.mono_ms.saturating_add(ttl_ms);
        self.sweep_at_ms = self.sweep_at_ms.min(expires_ms);
        self.seen_ms = self.seen_ms.min(expires_ms);
        self.count_user(&info);
        let entries = &mut self.entries;
        match self.index.find(hash_of_client(info.client), |at| entries[*at as usize].info.client == info.client) {
            Some(at) => {
                let entry = &mut entries[*at as usize];
                entry.expires_ms = expires_ms;
                let old = std::mem::replace(&mut entry.info, info.clone());
                self.discount_user(&old);
            }
            None => {
                let at = entries.len() as u32;
                entries.push(Entry { info: info.clone(), expires_ms });
                self.index.insert_unique(hash_of_client(info.client), at, |at| {
                    hash_of_client(entries[*at as usize].info.client)
                });
            }
        }
    }

    /// Takes a client out; false when it was not present.
    pub fn remove(&mut self, client: ClientId) -> bool {
        let entries = &self.entries;
        let found = self.index.find(hash_of_client(client), |at| entries[*at as usize].info.client == client);
        match found.copied() {
            Some(at) => self.remove_at(at as usize),
            None => return false,
        }
        true
    }

    /// Everyone present, in no particular order.
    pub fn list(&self) -> Vec<Arc<ClientInfo>> {
        self.entries.iter().map(|entry| entry.info.clone()).collect()
    }

    /// Clients present.
    pub fn clients(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Distinct user ids among them; the anonymous user counts as one.
    pub fn users(&self) -> u32 {
        self.users.len() as u32
    }

    /// Whether nobody is present.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// When [`Presence::sweep`] has something to do.
    pub fn deadline_ms(&self) -> u64 {
        self.sweep_at_ms
    }

    /// Visits up to `budget` entries and drops the expired ones; gives the number of visits. A walk that
    /// does not end within its budget stays due.
    pub fn sweep(&mut self, now: Now, budget: usize) -> usize {
        if now.mono_ms < self.sweep_at_ms {
            return 0;
        }
        if self.unvisited == 0 {
            self.unvisited = self.entries.len();
            self.seen_ms = NEVER;
        }
        let mut visits = 0;
        // Downwards, so that the entry that fills a gap is one that was visited.
        while self.unvisited > 0 && visits < budget {
            visits += 1;
            self.unvisited -= 1;
            let expires_ms = self.entries[self.unvisited].expires_ms;
            if expires_ms <= now.mono_ms {
                self.remove_at(self.unvisited);
            } else {
                self.seen_ms = self.seen_ms.min(expires_ms);
            }
        }
        if self.unvisited == 0 {
            self.sweep_at_ms = if self.seen_ms == NEVER { NEVER } else { self.seen_ms.max(now.mono_ms + SWEEP_MS) };
        }
        visits
    }

    fn remove_at(&mut self, at: usize) {
        let entry = self.entries.swap_remove(at);
        let gone = |place: &u32| *place as usize == at;
        if let Ok(found) = self.index.find_entry(hash_of_client(entry.info.client), gone) {
            found.remove();
        }
        if let Some(moved) = self.entries.get(at) {
            let last = self.entries.len() as u32;
            if let Some(place) = self.index.find_mut(hash_of_client(moved.info.client), |place| *place == last) {
                *place = at as u32;
            }
        }
        self.unvisited = self.unvisited.min(self.entries.len());
        self.discount_user(&entry.info);
    }

    fn count_user(&mut self, info: &Arc<ClientInfo>) {
        match self.users.find_mut(hash_of(&info.user), |user| user.info.user == info.user) {
            Some(user) => {
                user.clients += 1;
                // The newest info, so that renewing does not keep an old one alive beside it.
                user.info = info.clone();
            }
            None => {
                let user = User { info: info.clone(), clients: 1 };
                self.users.insert_unique(hash_of(&info.user), user, |user| hash_of(&user.info.user));
            }
        }
    }

    fn discount_user(&mut self, info: &ClientInfo) {
        if let Ok(mut found) = self.users.find_entry(hash_of(&info.user), |user| user.info.user == info.user) {
            found.get_mut().clients -= 1;
            if found.get().clients == 0 {
                found.remove();
            }
        }
    }
}

/// Client ids are random and made by the server: any of their bytes are a hash. The factor spreads the bits
/// that are fixed in a version 4 UUID.
fn hash_of_client(client: ClientId) -> u64 {
    let [bytes @ .., _, _, _, _, _, _, _, _] = client.0;
    u64::from_le_bytes(bytes).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn client(number: u8) -> ClientId {
        ClientId([number; 16])
    }

    fn info(number: u8, user: u8) -> Arc<ClientInfo> {
        let (conn_info, chan_info) = (Bytes::new(), Bytes::new());
        Arc::new(ClientInfo { user: user.to_string().into(), client: client(number), conn_info, chan_info })
    }

    fn at(mono_ms: u64) -> Now {
        Now { mono_ms, ..Now::default() }
    }

    #[test]
    fn a_client_that_is_not_renewed_is_dropped() {
        let mut presence = Presence::default();
        presence.set(info(1, 1), 60_000, at(0));
        presence.set(info(2, 1), 60_000, at(0));
        presence.set(info(2, 2), 60_000, at(27_000));
        assert_eq!(presence.deadline_ms(), 60_000);
        assert_eq!(presence.sweep(at(59_999), 100), 0);
        assert_eq!((presence.clients(), presence.users()), (2, 2));
        assert_eq!(presence.sweep(at(60_000), 100), 2);
        assert_eq!(presence.list(), [info(2, 2)]);
        assert_eq!(presence.deadline_ms(), 87_000);
        presence.sweep(at(87_000), 100);
        assert!(presence.is_empty());
        assert_eq!((presence.users(), presence.deadline_ms()), (0, NEVER));
    }

    #[test]
    fn a_walk_goes_on_where_its_budget_ended() {
        let mut presence = Presence::default();
        for number in 0..10 {
            presence.set(info(number, 0), if number % 2 == 0 { 10 } else { 50 }, at(0));
        }
        for _ in 0..3 {
            assert_eq!(presence.sweep(at(10), 3), 3);
            assert_eq!(presence.deadline_ms(), 10);
        }
        presence.set(info(100, 0), 5, at(10));
        assert_eq!(presence.sweep(at(10), 3), 1);
        assert_eq!((presence.clients(), presence.deadline_ms()), (6, 10 + SWEEP_MS));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(u8, u8, u64),
        Remove(u8),
        Sweep(u64, usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0u8..12, 0u8..4, 1u64..3000).prop_map(|(client, user, ttl_ms)| Step::Set(client, user, ttl_ms)),
            2 => (0u8..12).prop_map(Step::Remove),
            3 => (0u64..1500, 0usize..8).prop_map(|(wait_ms, budget)| Step::Sweep(wait_ms, budget)),
        ];
        prop::collection::vec(step, 0..120)
    }

    proptest! {
        #[test]
        fn the_living_stay_and_the_expired_go(steps in steps()) {
            let (mut presence, mut now) = (Presence::default(), at(0));
            let mut model: BTreeMap<u8, (u8, u64)> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Set(number, user, ttl_ms) => {
                        presence.set(info(number, user), ttl_ms, now);
                        model.insert(number, (user, now.mono_ms + ttl_ms));
                    }
                    Step::Remove(number) => {
                        prop_assert_eq!(presence.remove(client(number)), model.remove(&number).is_some());
                    }
                    Step::Sweep(wait_ms, budget) => {
                        now.mono_ms += wait_ms;
                        prop_assert!(presence.sweep(now, budget) <= budget);
                        // Whoever the walk dropped was past its time.
                        let left: BTreeSet<u8> = presence.list().iter().map(|info| info.client.0[0]).collect();
                        model.retain(|number, (_, expires_ms)| left.contains(number) || *expires_ms > now.mono_ms);
                    }
                }
                let mut list: Vec<_> = presence.list().iter().map(|info| (info.client.0[0], info.user.clone())).collect();
                list.sort();
                let expected: Vec<_> =
                    model.iter().map(|(number, (user, _))| (*number, user.to_string().into_boxed_str())).collect();
                prop_assert_eq!(list, expected);
                let users: BTreeSet<u8> = model.values().map(|(user, _)| *user).collect();
                prop_assert_eq!((presence.clients() as usize, presence.users() as usize), (model.len(), users.len()));
                let earliest = model.values().map(|(_, expires_ms)| *expires_ms).min();
                prop_assert!(earliest.is_none() || presence.deadline_ms() <= earliest.unwrap_or(NEVER).max(now.mono_ms + SWEEP_MS));
            }
            // A walk that was under way may have passed some of them while they lived: the next one finds them.
            for _ in 0..2 {
                now.mono_ms += 3000;
                while presence.deadline_ms() <= now.mono_ms {
                    presence.sweep(now, 5);
                }
            }
            prop_assert!(presence.is_empty() && presence.users() == 0);
        }
    }
}
