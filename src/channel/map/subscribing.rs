//! What a subscriber of a map is given, step by step: pages of keys, pages of changes, and going live.
//!
//! Upstream: centrifuge client_map.go (`handleMapStatePhase`, `handleMapStreamPhase`, `handleMapTransitionToLive`),
//! which collects publications beside while it reads; here nothing comes between.

use std::sync::Arc;

use super::Map;
use crate::base::mutation::{Mutation, is_on};
use crate::channel::map_op::{MapPhase, MapSubscribeOp, MapSubscribed, StatePage};
use crate::channel::op::Since;
use crate::channel::publication::{Position, Publication};
use crate::protocol::error::Error;

impl Map {
    /// The next step of a subscription.
    ///
    /// # Errors
    /// [`Error::UNRECOVERABLE_POSITION`] when what the subscriber has and what is kept do not meet;
    /// [`Error::BAD_REQUEST`] for changes of a map without a stream.
    pub fn subscribe(&mut self, op: &MapSubscribeOp) -> Result<MapSubscribed, Error> {
        let has_stream = op.options.stream.is_some();
        match &op.phase {
            MapPhase::State { page, begun } => self.keys_page(page, *begun, has_stream, op.live_limit),
            MapPhase::Stream { .. } if !has_stream => Err(Error::BAD_REQUEST),
            MapPhase::Stream { since, limit, aim } => self.changes_page(since, *limit, *aim, op.live_limit),
            MapPhase::Live { since } if has_stream => self.go_live(since, op.live_limit),
            MapPhase::Live { .. } => Ok(MapSubscribed { live: true, ..self.nothing() }),
        }
    }

    fn keys_page(
        &mut self,
        page: &StatePage,
        begun: Option<Position>,
        has_stream: bool,
        live_limit: u32,
    ) -> Result<MapSubscribed, Error> {
        let mut read = self.read(None, page)?;
        // Keys that changed since the first page come with the changes.
        if let Some(revision) = page.revision.as_ref().filter(|_| !is_on(Mutation::MapPageOfNow)) {
            read.entries.retain(|entry| entry.offset <= revision.offset);
        }
        let keys = MapSubscribed { state: read.entries, cursor: read.cursor, ..self.nothing() };
        if !keys.cursor.is_empty() {
            return Ok(keys);
        }
        if !has_stream {
            return Ok(MapSubscribed { live: true, ..keys });
        }
        let begun = begun.unwrap_or(read.position);
        if begun.offset.wrapping_add(page.limit.max(0) as u64) < self.position().offset {
            return Ok(keys);
        }
        let since = Since { offset: begun.offset, epoch: begun.epoch.as_str().into() };
        Ok(MapSubscribed { live: true, publications: self.missed(&since, live_limit)?, ..keys })
    }

    fn changes_page(
        &self,
        since: &Since,
        limit: u32,
        aim: Option<u64>,
        live_limit: u32,
    ) -> Result<MapSubscribed, Error> {
        let aim = aim.unwrap_or(self.position().offset);
        if since.offset.wrapping_add(u64::from(limit)) >= aim {
            return self.go_live(since, live_limit);
        }
        self.meets(since)?;
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        Ok(MapSubscribed { publications: self.changes(Some(since), limit, false)?, aim, ..self.nothing() })
    }

    fn go_live(&self, since: &Since, live_limit: u32) -> Result<MapSubscribed, Error> {
        let publications = self.missed(since, live_limit)?;
        // Whoever recovers must name the epoch; upstream looks for this after the reading.
        if *since.epoch != self.position().epoch.as_str() {
            return Err(Error::UNRECOVERABLE_POSITION);
        }
        Ok(MapSubscribed { live: true, publications, ..self.nothing() })
    }

    /// The changes behind a position, unless they are too many or some of them are gone.
    fn missed(&self, since: &Since, limit: u32) -> Result<Vec<Arc<Publication>>, Error> {
        self.meets(since)?;
        let mut missed =
            self.changes(Some(since), i32::try_from(limit).map_or(-1, |limit| limit.saturating_add(1)), false)?;
        if is_on(Mutation::MapForgetsMissed) {
            missed.pop();
        }
        if missed.len() > limit as usize { Err(Error::UNRECOVERABLE_POSITION) } else { Ok(missed) }
    }

    /// Whether every change behind the position is kept. Upstream lets offset 0 and expired changes pass, and a client
    /// then misses changes without a word, told that it recovered; here it is told to read the keys anew.
    fn meets(&self, since: &Since) -> Result<(), Error> {
        let (top, kept) = (self.position().offset, self.stream().len() as u64);
        let is_gap = since.offset < top && top - since.offset > kept && !is_on(Mutation::MapGoesLiveAnyway);
        if is_gap { Err(Error::UNRECOVERABLE_POSITION) } else { Ok(()) }
    }

    fn nothing(&self) -> MapSubscribed {
        MapSubscribed {
            live: false,
            position: self.position(),
            state: Vec::new(),
            cursor: Box::default(),
            publications: Vec::new(),
            aim: 0,
        }
    }
}
