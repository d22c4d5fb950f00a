//! Where channels were left before it was known whether their streams go on from there.
//!
//! While a stream cannot be read, its subscribers leave: they were told to. When they come back, what they have may have
//! been lost in a failover, and its offsets given to others. So the home must know then where it was.

use std::collections::{HashMap, VecDeque};

use super::place::Mark;
use crate::channel::broker_op::Realm;
use crate::channel::name::ChannelName;

/// Most channels that are remembered; beyond, the earliest is forgotten.
const MAX_CHANNELS: usize = 1 << 16;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    marks: HashMap<ChannelName, (Realm, Mark)>,
    /// In the order in which they were left; some came back since.
    order: VecDeque<ChannelName>,
}

impl Doubts {
    /// A channel is left.
    pub fn remember(&mut self, channel: &ChannelName, realm: Realm, mark: Mark) {
        while self.order.len() >= MAX_CHANNELS {
            let earliest = self.order.pop_front();
            earliest.and_then(|earliest| self.marks.remove(&earliest));
        }
        self.marks.insert(channel.clone(), (realm, mark));
        self.order.push_back(channel.clone());
    }

    /// Somebody comes back to it.
    pub fn take(&mut self, channel: &ChannelName, realm: Realm) -> Option<Mark> {
        if self.marks.is_empty() {
            return None;
        }
        let (left, mark) = self.marks.remove(channel)?;
        if self.marks.is_empty() {
            *self = Self::default();
        }
        (left == realm).then_some(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::publication::{Epoch, Position};

    #[test]
    fn the_earliest_are_forgotten() {
        let mark = |offset| (Position { offset, epoch: Epoch::NONE }, 7);
        let name = |n: usize| ChannelName::new(&n.to_string());
        let mut doubts = Doubts::default();
        for n in 0..MAX_CHANNELS + 2 {
            doubts.remember(&name(n), Realm::Streams, mark(n as u64));
        }
        assert_eq!(doubts.marks.len(), MAX_CHANNELS);
        let mut taken = |n, realm| doubts.take(&name(n), realm);
        assert_eq!([taken(0, Realm::Streams), taken(1, Realm::Streams)], [None; 2]);
        assert_eq!(taken(2, Realm::Streams), Some(mark(2)));
        assert_eq!(taken(2, Realm::Streams), None, "asked once");
        assert_eq!(taken(3, Realm::Maps), None, "it is something else by now");
        assert_eq!(taken(3, Realm::Streams), None);
    }
}
