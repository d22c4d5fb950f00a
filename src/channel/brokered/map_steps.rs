//! The steps of a subscription to a map at a broker (upstream: centrifuge client_map.go).
//!
//! A step that may turn out to be the last one is taken as a subscriber reads a stream ([`super::joining`]): the broker
//! sends the map's messages first. So with the last page nothing is missing but what came since it was read, and that is
//! at hand; what changed since the first page of several is read behind the last one. A page that is not the last one
//! leaves nothing behind.

use std::sync::Arc;

use super::joining::Join;
use super::source::Source;
use super::task::Task;
use super::{Brokered, Out};
use crate::base::ids::ShardId;
use crate::base::mutation::{Mutation, is_on};
use crate::channel::broker_op::{BrokerOp, BrokerReply, Read};
use crate::channel::dispatch::respond;
use crate::channel::map_op::{MapOp, MapPhase, MapState, MapSubscribeOp, MapSubscribed};
use crate::channel::name::ChannelName;
use crate::channel::op::{Answer, Recover, ReplyTo, Since};
use crate::channel::publication::{Position, Publication};
use crate::protocol::error::Error;

/// A page of changes that is read, and is not the last one.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) from: ShardId,
    pub(super) reply: ReplyTo,
    op: MapSubscribeOp,
}

/// What a subscriber on its way in wants of a map.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) op: MapSubscribeOp,
    /// The page of keys that was read.
    page: Option<MapState>,
}

/// What a page that was read comes to.
#[derive(Debug)]
pub(super) enum Page {
    /// It is not the last one, or too much changed since the first one.
    Alone(MapSubscribed),
    /// The subscriber goes live with it, from here.
    Live(Since),
    /// The same, of a map without positions.
    LiveAnywhere,
    /// The subscriber goes live with it, once what changed since the first page was read.
    LiveBehind(Since),
    /// It cannot go on.
    Refused,
}

impl Entry {
    pub(super) fn new(op: MapSubscribeOp) -> Self {
        Self { op, page: None }
    }

    pub(super) fn has_stream(&self) -> bool {
        self.op.options.stream.is_some()
    }

    /// Whether it begins with keys.
    pub(super) fn reads_keys(&self) -> bool {
        matches!(self.op.phase, MapPhase::State { .. })
    }

    /// Reads the page that the subscriber wants.
    pub(super) fn read_page(&self) -> BrokerOp {
        let (options, source) = (self.op.options, Source::Map(self.op.options));
        match &self.op.phase {
            MapPhase::State { page, .. } => {
                BrokerOp::Map(Box::new(MapOp::ReadState { options, key: None, page: page.clone() }))
            }
            MapPhase::Stream { since, limit, .. } => source.read(Some(since.offset), signed(*limit)),
            MapPhase::Live { .. } => source.read(None, 0),
        }
    }

    /// The same, as a read of changes: those of a page of keys are none.
    pub(super) fn page_read(&self) -> Read {
        let (since, limit) = match &self.op.phase {
            MapPhase::Stream { since, limit, .. } => (Some(since.offset), signed(*limit)),
            _ => (None, 0),
        };
        Read { since, limit, reverse: false, meta_ttl_s: 0 }
    }

    /// From where changes are read at once, without a page first.
    pub(super) fn recovers_from(&self) -> Option<&Since> {
        match &self.op.phase {
            MapPhase::Stream { since, aim: Some(_), .. } | MapPhase::Live { since } if self.has_stream() => Some(since),
            _ => None,
        }
    }

    /// A page of keys was read.
    pub(super) fn take(&mut self, page: MapState) {
        self.page = Some(page);
    }

    /// What the subscriber has, where it brings that with it.
    pub(super) fn since(&self) -> Option<&Since> {
        match &self.op.phase {
            MapPhase::State { .. } => None,
            MapPhase::Stream { since, .. } | MapPhase::Live { since } => Some(since),
        }
    }

    /// What the first page of changes comes to.
    fn changes_page(&self, changes: &[Arc<Publication>], position: Position) -> Page {
        let MapPhase::Stream { since, limit, .. } = &self.op.phase else { return Page::LiveAnywhere };
        if since.offset.wrapping_add(u64::from(*limit)) >= position.offset {
            return if changes.len() > self.op.live_limit as usize { Page::Refused } else { Page::Live(since.clone()) };
        }
        changes_page(since, changes.to_vec(), position, position.offset).map_or(Page::Refused, Page::Alone)
    }

    /// What the page that was read comes to.
    pub(super) fn page(&mut self, changes: &[Arc<Publication>], top: Position) -> Page {
        let has_stream = self.has_stream();
        let (MapPhase::State { page, begun }, Some(read)) = (&self.op.phase, &mut self.page) else {
            return self.changes_page(changes, top);
        };
        let position = read.position;
        if let Some(revision) = &page.revision {
            if *revision.epoch != *position.epoch.as_str() {
                return Page::Refused;
            }
            // Keys that changed since the first page come with the changes.
            if !is_on(Mutation::MapPageOfNow) {
                read.entries.retain(|entry| entry.offset <= revision.offset);
            }
        }
        let begun = begun.filter(|_| has_stream).unwrap_or(position);
        if begun.epoch != position.epoch {
            return Page::Refused;
        }
        let is_far = begun.offset.wrapping_add(page.limit.max(0) as u64) < position.offset;
        if !read.cursor.is_empty() || is_far {
            let (state, cursor) = (std::mem::take(&mut read.entries), std::mem::take(&mut read.cursor));
            let (publications, aim) = (Vec::new(), 0);
            return Page::Alone(MapSubscribed { live: false, position, state, cursor, publications, aim });
        }
        match begun == position {
            _ if !has_stream => Page::LiveAnywhere,
            true => Page::Live(since(begun)),
            false => Page::LiveBehind(since(begun)),
        }
    }

    /// What the subscriber gets when it is live.
    pub(super) fn live(self, position: Position, publications: Vec<Arc<Publication>>) -> MapSubscribed {
        let state = self.page.map_or_else(Vec::new, |page| page.entries);
        MapSubscribed { live: true, position, state, cursor: Box::default(), publications, aim: 0 }
    }

    /// Recovery from here, or none at all.
    pub(super) fn recover(&self, since: Since) -> Recover {
        Recover { since, limit: self.op.live_limit, cache: false, filter: None, or_fail: true }
    }
}

/// A page of changes, unless some before it are gone, or it is of another epoch. Upstream lets changes that are gone pass
/// where nothing is kept; here the client is told to read the keys anew.
fn changes_page(
    since: &Since,
    publications: Vec<Arc<Publication>>,
    position: Position,
    aim: u64,
) -> Option<MapSubscribed> {
    let follows = |first: &Arc<Publication>| first.offset == since.offset + 1;
    let meets = since.offset >= position.offset || publications.first().is_some_and(follows);
    if !since.matches(position.epoch) || !(meets || is_on(Mutation::MapGoesLiveAnyway)) {
        return None;
    }
    Some(MapSubscribed { live: false, position, state: Vec::new(), cursor: Box::default(), publications, aim })
}

fn signed(limit: u32) -> i32 {
    i32::try_from(limit).unwrap_or(i32::MAX)
}

pub(super) fn since(position: Position) -> Since {
    Since { offset: position.offset, epoch: position.epoch.as_str().into() }
}

impl Brokered {
    pub(super) fn map_subscribe(
        &mut self,
        from: ShardId,
        channel: &ChannelName,
        op: MapSubscribeOp,
        reply: ReplyTo,
        out: &mut Out<'_>,
    ) {
        let source = Source::Map(op.options);
        let read = match &op.phase {
            MapPhase::Stream { .. } if op.options.stream.is_none() => {
                return respond(from, reply, Answer::Failed(Error::BAD_REQUEST), out);
            }
            MapPhase::Stream { since, limit, aim: Some(aim) }
                if since.offset.wrapping_add(u64::from(*limit)) < *aim =>
            {
                source.read(Some(since.offset), signed(*limit))
            }
            _ => return self.enter(Join::to_map(from, channel, op, reply), out),
        };
        let step = Step { from, reply, op };
        self.ask(channel, read, Task::Step(Box::new(step)), out);
    }

    /// A page of changes was read.
    pub(super) fn stepped(&mut self, step: Step, reply: BrokerReply, out: &mut Out<'_>) {
        let Step { from, reply: to, op, .. } = step;
        let page = match (reply, &op.phase) {
            (BrokerReply::History(publications, position), MapPhase::Stream { since, aim, .. }) => {
                let page = changes_page(since, publications, position, aim.unwrap_or(position.offset));
                page.ok_or(Error::UNRECOVERABLE_POSITION)
            }
            _ => Err(Error::INTERNAL),
        };
        let answer = page.map_or_else(Answer::Failed, |page| Answer::MapSubscribed(Box::new(page)));
        respond(from, to, answer, out);
    }
}
