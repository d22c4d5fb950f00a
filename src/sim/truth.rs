//! What all clients saw of all channels: they must agree, and where the broker lost something, be told.

use std::collections::{HashMap, HashSet};

use crate::channel::publication::Position;

/// The number of a failover, and the payload that it lost.
type Lost = (u64, Vec<u8>);

/// See the module.
#[derive(Default)]
pub(super) struct Truth {
    /// Payload by channel, epoch and offset; whoever sees it first decides.
    streams: HashMap<(String, String, u64), Vec<u8>>,
    /// Places where somebody saw a publication that filters let through.
    wanted: HashSet<(String, String, u64)>,
    /// Places that somebody with a filter was not told of.
    skipped: HashSet<(String, String, u64)>,
    /// Payloads that stood at a place until the broker lost them, each with the number of the failover.
    lost: HashMap<(String, String, u64), Vec<Lost>>,
    failovers: u64,
}

impl Truth {
    pub(super) fn agree(&mut self, channel: &str, epoch: &str, offset: u64, data: &[u8]) -> Result<(), String> {
        if self.lost_by(channel, epoch, offset, data).is_some() {
            return Ok(());
        }
        let known = self.streams.entry((channel.to_owned(), epoch.to_owned(), offset)).or_insert_with(|| data.to_vec());
        if known != data {
            return Err(format!("{channel} at {offset}: two clients saw different publications"));
        }
        Ok(())
    }

    /// The broker lost these publications, with the payloads that clients see, and will give their offsets again.
    pub(super) fn lose(&mut self, channel: &str, gone: impl Iterator<Item = (Position, Vec<u8>)>) {
        self.failovers += 1;
        for (Position { offset, epoch }, data) in gone {
            let place = (channel.to_owned(), epoch.as_str().to_string(), offset);
            self.streams.remove(&place);
            self.wanted.remove(&place);
            self.skipped.remove(&place);
            self.lost.entry(place).or_default().push((self.failovers, data));
        }
    }

    /// The failover that last lost something of the channel; 0 = none did.
    pub(super) fn last_failover(&self, channel: &str) -> u64 {
        let of_channel = self.lost.iter().filter(|((of, ..), _)| of == channel).flat_map(|(_, lost)| lost);
        of_channel.map(|(failover, _)| *failover).max().unwrap_or_default()
    }

    /// Whether the broker lost this publication.
    pub(super) fn is_lost(&self, channel: &str, epoch: &str, offset: u64, data: &[u8]) -> bool {
        self.lost_by(channel, epoch, offset, data).is_some()
    }

    /// The failover that lost this publication, if one did.
    fn lost_by(&self, channel: &str, epoch: &str, offset: u64, data: &[u8]) -> Option<u64> {
        let lost = self.lost.get(&(channel.to_owned(), epoch.to_owned(), offset))?;
        lost.iter().find(|(_, lost)| lost == data).map(|(failover, _)| *failover)
    }

    /// Somebody who has the publication at an offset gets the next one. The first must be in the stream, or the next one
    /// be lost with it, or before: a failover that spared the first one may have lost what was behind it.
    pub(super) fn follows(
        &self,
        channel: &str,
        epoch: &str,
        (offset, data): (u64, &[u8]),
        (next_offset, next): (u64, &[u8]),
    ) -> Result<(), String> {
        match self.lost_by(channel, epoch, offset, data) {
            Some(lost) if self.lost_by(channel, epoch, next_offset, next).is_none_or(|next| next > lost) => {
                Err(format!("{channel}: {next_offset} behind {offset}, which is lost, and nobody was told"))
            }
            _ => Ok(()),
        }
    }

    /// Somebody saw a publication that filters let through.
    pub(super) fn saw_wanted(&mut self, channel: &str, epoch: &str, offset: u64) -> Result<(), String> {
        let place = (channel.to_owned(), epoch.to_owned(), offset);
        if self.lost.contains_key(&place) {
            return Ok(());
        }
        if self.skipped.contains(&place) {
            return Err(format!("{channel} at {offset}: kept from a client whose filter it fits"));
        }
        self.wanted.insert(place);
        Ok(())
    }

    /// A client with a filter was not told of the places between two.
    pub(super) fn skipped(&mut self, channel: &str, epoch: &str, places: std::ops::Range<u64>) -> Result<(), String> {
        for offset in places {
            let place = (channel.to_owned(), epoch.to_owned(), offset);
            if self.lost.contains_key(&place) {
                continue;
            }
            if self.wanted.contains(&place) {
                return Err(format!("{channel} at {offset}: kept from a client whose filter it fits"));
            }
            self.skipped.insert(place);
        }
        Ok(())
    }
}
