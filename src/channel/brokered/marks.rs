//! Where channels were left by their last subscribers.
//!
//! When these come back, what they have may have been lost in a failover meanwhile, and its offsets given to others. So
//! the home must know then where it was.

use std::collections::{HashMap, VecDeque};

use super::place::Mark;
use crate::channel::broker_op::Realm;
use crate::channel::name::ChannelName;
#[cfg(test)]
use crate::channel::publication::Position;

/// Most channels that are remembered; beyond, the earliest is forgotten.
const MAX_CHANNELS: usize = 1 << 16;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Each with its number in the order in which channels were left.
    marks: HashMap<ChannelName, (u64, Realm, Mark)>,
    /// In that order; some came back since, and perhaps left again.
    order: VecDeque<(u64, ChannelName)>,
    next: u64,
}

impl Marks {
    /// A channel is left.
    pub fn remember(&mut self, channel: &ChannelName, realm: Realm, mark: Mark) {
        while self.order.len() >= MAX_CHANNELS {
            let Some((number, earliest)) = self.order.pop_front() else { break };
            if self.marks.get(&earliest).is_some_and(|left| left.0 == number) {
                self.marks.remove(&earliest);
            }
        }
        self.marks.insert(channel.clone(), (self.next, realm, mark));
        self.order.push_back((self.next, channel.clone()));
        self.next += 1;
    }

    /// Where a channel was left.
    #[cfg(test)]
    pub fn place_of(&self, channel: &ChannelName) -> Option<Position> {
        self.marks.get(channel).map(|(_, _, (at, _))| *at)
    }

    /// Somebody comes back to it.
    pub fn take(&mut self, channel: &ChannelName, realm: Realm) -> Option<Mark> {
        let (_, left, mark) = self.marks.remove(channel)?;
        if self.marks.is_empty() {
            *self = Self::default();
        }
        (left == realm).then_some(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::brokered::place::Print;
    use crate::channel::publication::Epoch;

    #[test]
    fn the_earliest_are_forgotten() {
        let mark = |offset| (Position { offset, epoch: Epoch::NONE }, Print::with_data(7));
        let name = |n: usize| ChannelName::new(&n.to_string());
        let mut marks = Marks::default();
        for n in 0..MAX_CHANNELS + 2 {
            marks.remember(&name(n), Realm::Streams, mark(n as u64));
        }
        assert_eq!(marks.marks.len(), MAX_CHANNELS);
        let mut taken = |n, realm| marks.take(&name(n), realm);
        assert_eq!([taken(0, Realm::Streams), taken(1, Realm::Streams)], [None; 2]);
        assert_eq!(taken(2, Realm::Streams), Some(mark(2)));
        assert_eq!(taken(2, Realm::Streams), None, "asked once");
        assert_eq!(taken(3, Realm::Maps), None, "it is something else by now");
        assert_eq!(taken(3, Realm::Streams), None);
    }

    #[test]
    fn who_left_again_counts_from_then() {
        let mark = (Position { offset: 1, epoch: Epoch::NONE }, Print::with_data(7));
        let name = |n: usize| ChannelName::new(&n.to_string());
        let mut marks = Marks::default();
        for n in [1, 0, 0] {
            marks.remember(&name(n), Realm::Streams, mark);
        }
        for n in 2..MAX_CHANNELS {
            marks.remember(&name(n), Realm::Streams, mark);
        }
        assert_eq!(marks.take(&name(1), Realm::Streams), None);
        marks.remember(&name(1), Realm::Streams, mark);
        assert_eq!(marks.take(&name(0), Realm::Streams), Some(mark), "only where it was left first is forgotten");
    }
}
