//! Which connections of this shard belong to which user.
//!
//! The user's name is not stored again: an entry knows its connections, and each of them knows its user.

use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::base::ids::ConnId;
use crate::channel::name::hash_of;

/// See the module. Looking up, adding and removing take constant time, however many connections one user has.
#[derive(Default)]
pub struct Users {
    entries: HashTable<Entry>,
    connections: usize,
}

struct Entry {
    hash: u64,
    conns: SmallVec<[ConnId; 2]>,
}

impl Users {
    /// Adds a connection; returns its place, to be given back to [`Users::remove`]. `user_of` names the user of a
    /// connection that was added before.
    pub fn add<'u>(&mut self, user: &str, conn: ConnId, user_of: impl Fn(ConnId) -> &'u str) -> u32 {
        let hash = hash_of(user);
        let entry = self
            .entries
            .entry(hash, |entry| entry.hash == hash && user_of(entry.conns[0]) == user, |entry| entry.hash)
            .or_insert_with(|| Entry { hash, conns: SmallVec::new() });
        let conns = &mut entry.into_mut().conns;
        conns.push(conn);
        self.connections += 1;
        (conns.len() - 1) as u32
    }

    /// Removes a connection from its place. Returns the connection that moved there, if one did: its place changed.
    pub fn remove<'u>(&mut self, user: &str, place: u32, user_of: impl Fn(ConnId) -> &'u str) -> Option<ConnId> {
        let hash = hash_of(user);
        let Ok(mut found) =
            self.entries.find_entry(hash, |entry| entry.hash == hash && user_of(entry.conns[0]) == user)
        else {
            debug_assert!(false, "a connection was indexed under another user");
            return None;
        };
        let conns = &mut found.get_mut().conns;
        conns.swap_remove(place as usize);
        self.connections -= 1;
        let moved = conns.get(place as usize).copied();
        if conns.is_empty() {
            found.remove();
        }
        moved
    }

    /// The user's connections.
    pub fn of<'u>(&self, user: &str, user_of: impl Fn(ConnId) -> &'u str) -> &[ConnId] {
        let hash = hash_of(user);
        self.entries
            .find(hash, |entry| entry.hash == hash && user_of(entry.conns[0]) == user)
            .map_or(&[], |entry| &entry.conns)
    }

    /// Number of connections of all users.
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// Number of distinct users, the anonymous one included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(slot: u32) -> ConnId {
        ConnId { slot, generation: 1 }
    }

    #[test]
    fn places_follow_moves() {
        let names = ["ann", "bob", "ann", "ann", ""];
        let user_of = |conn: ConnId| names[conn.slot as usize];
        let mut users = Users::default();
        let mut places: Vec<u32> = (0..5).map(|slot| users.add(names[slot as usize], conn(slot), user_of)).collect();
        assert_eq!(users.len(), 3);
        assert_eq!(users.of("ann", user_of), [conn(0), conn(2), conn(3)]);
        assert_eq!(users.remove("ann", places[0], user_of), Some(conn(3)));
        places[3] = places[0];
        assert_eq!(users.remove("ann", places[3], user_of), Some(conn(2)));
        assert_eq!(users.remove("ann", 0, user_of), None);
        assert_eq!(users.of("ann", user_of), []);
        assert_eq!(users.of("", user_of), [conn(4)]);
        assert_eq!(users.len(), 2);
    }
}
