//! A channel name with its hash, shared by everything that mentions the channel.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::base::ids::ShardId;

/// A channel name. Cloning counts a reference; the text is never copied. The hash is made once, from a fixed
/// seed, so that every shard (and every run of the simulator) agrees on a channel's home.
#[derive(Clone)]
pub struct ChannelName {
    hash: u64,
    text: Arc<str>,
}

impl ChannelName {
    /// Takes the text over and hashes it.
    pub fn new(text: &str) -> Self {
        Self { hash: hash_of(text), text: Arc::from(text) }
    }

    /// The name as text.
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The hash under which every table holds this name.
    #[inline]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The shard that orders this channel's publications.
    #[inline]
    pub fn home(&self, shards: u16) -> ShardId {
        // The high bits choose the shard (multiply-shift), the low bits stay for the tables.
        ShardId(((u128::from(self.hash) * u128::from(shards)) >> 64) as u16)
    }
}

/// The hash of a name that is not a [`ChannelName`] yet, for look-ups without allocation.
pub fn hash_of(text: &str) -> u64 {
    use std::hash::BuildHasher;
    let state = foldhash::quality::FixedState::with_seed(0x5350_494E_444C_4531);
    let mut hasher = state.build_hasher();
    hasher.write(text.as_bytes());
    hasher.finish()
}

impl PartialEq for ChannelName {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && (Arc::ptr_eq(&self.text, &other.text) || self.text == other.text)
    }
}

impl Eq for ChannelName {}

impl Hash for ChannelName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_are_spread_and_fixed() {
        let mut counts = [0u32; 4];
        for n in 0..4000 {
            counts[ChannelName::new(&format!("chat:{n}")).home(4).index()] += 1;
        }
        assert!(counts.iter().all(|c| (800..1200).contains(c)), "{counts:?}");
        assert_eq!(ChannelName::new("a").home(1), ShardId(0));
        assert_eq!(ChannelName::new("a").hash(), hash_of("a"));
    }
}
