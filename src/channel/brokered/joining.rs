//! A subscriber on its way in: the broker sends the channel's messages, it is present, its position is known and what
//! it missed was read; then it is answered.

use std::sync::Arc;

use super::course::Course;
use super::map_steps::{Entry, Page};
use super::piece::Piece;
use super::reading::Began;
use super::source::Source;
use super::task::Task;
use super::{Arrived, Brokered, Link, Out, task};
use crate::base::ids::{ClientId, ConnId, ShardId};
use crate::channel::broker_op::{BrokerOp, BrokerReply, Read, Ticket};
use crate::channel::dispatch::respond;
use crate::channel::map_op::{MapSubscribeOp, MapSubscribed};
use crate::channel::name::ChannelName;
use crate::channel::op::{Answer, Recover, ReplyTo, SubscribeOp, Subscribed};
use crate::channel::publication::{ClientInfo, Position, Publication};
use crate::channel::recovery;
use crate::protocol::error::Error;

/// How often a subscriber's read is repeated when what was published meanwhile is not at hand. Then it is answered as
/// one that could not be recovered.
const TRIES: u8 = 3;

/// See the module.
#[derive(Debug)]
pub(super) struct Join {
    from: ShardId,
    reply: ReplyTo,
    channel: ChannelName,
    /// The channel while it is held.
    pub(super) key: ConnId,
    pub(super) recover: Option<Recover>,
    wants_position: bool,
    pub(super) source: Source,
    /// What it wants of a map, if the channel is one.
    map: Option<Box<Entry>>,
    /// Perhaps with the milliseconds that it is present for.
    presence: Option<(Arc<ClientInfo>, u64)>,
    join: Option<Arc<ClientInfo>>,
    /// Replies that are still to come.
    left: u8,
    tries: u8,
    failed: Option<Error>,
    /// The channel's place remembers what comes, for this subscriber.
    is_reading: bool,
    read: Option<Arc<Piece>>,
    /// What others lack of it was asked for.
    has_filled: bool,
    /// How the channel stood when the read began.
    began: Began,
}

/// How a subscriber goes on.
enum Next {
    Answer(Subscribed),
    ReadAgain,
    /// When what is missing was read.
    Wait,
    /// The same, and that is to begin.
    Fill,
    /// Positions that subscribers have are of another stream. Then this.
    Lost(Subscribed),
    /// It does not go live yet.
    Page(MapSubscribed),
    Refuse,
}

impl Join {
    pub(super) fn new(from: ShardId, channel: &ChannelName, reply: ReplyTo, source: Source) -> Self {
        Self {
            from,
            reply,
            channel: channel.clone(),
            key: ConnId { slot: 0, generation: 0 },
            recover: None,
            wants_position: false,
            source,
            map: None,
            presence: None,
            join: None,
            left: 0,
            tries: 0,
            failed: None,
            is_reading: false,
            read: None,
            has_filled: false,
            began: Began::default(),
        }
    }

    /// A subscriber that goes live on a map, or begins to read its keys.
    pub(super) fn to_map(from: ShardId, channel: &ChannelName, op: MapSubscribeOp, reply: ReplyTo) -> Self {
        let join = Self::new(from, channel, reply, Source::Map(op.options));
        let (presence, shown) = (op.presence.clone(), op.join.clone());
        let entry = Entry::new(op);
        Self {
            recover: entry.recovers_from().map(|since| entry.recover(since.clone())),
            wants_position: entry.has_stream() || entry.reads_keys(),
            map: Some(Box::new(entry)),
            presence,
            join: shown,
            ..join
        }
    }

    /// It waits for a read of the stream, or of a page. True when it did not read before: what comes must be remembered
    /// for it.
    pub(super) fn begin_read(&mut self) -> bool {
        self.left += 1;
        self.has_filled = false;
        !std::mem::replace(&mut self.is_reading, true)
    }

    /// The stream was read, by a read that began so, or it was not.
    pub(super) fn take(&mut self, read: Result<Arc<Piece>, Error>, began: Began) {
        self.left -= 1;
        self.began = began;
        match read {
            Ok(piece) => self.read = Some(piece),
            Err(error) => self.failed = Some(error),
        }
    }

    /// The page was read, or not.
    pub(super) fn take_page(&mut self, reply: BrokerReply) {
        self.left -= 1;
        match (reply, &mut self.map) {
            (BrokerReply::History(found, top), Some(entry)) => {
                self.read = Some(Arc::new(Piece::new(entry.page_read(), found, top)));
            }
            (BrokerReply::MapState(state), Some(entry)) => {
                self.read = Some(Arc::new(Piece::at(state.position, state.newest.clone())));
                entry.take(state);
            }
            (reply, _) => self.failed = task::failure(reply),
        }
    }

    /// The client, where others see it.
    fn shown(&self) -> Option<ClientId> {
        self.join.as_ref().or(self.presence.as_ref().map(|(info, _)| info)).map(|info| info.client)
    }

    /// The client is present, or not.
    pub(super) fn take_presence(&mut self, failed: Option<Error>) {
        self.left -= 1;
        self.failed = failed.or(self.failed.take());
    }

    /// What is special about maps. None: it goes on as with streams.
    fn next_of_map(&mut self, course: &Course) -> Option<Next> {
        let (entry, piece) = (self.map.as_mut()?, self.read.as_ref()?);
        let top = piece.top;
        if self.recover.is_none() {
            match entry.page(&piece.found, top) {
                Page::Alone(page) => return Some(Next::Page(page)),
                Page::Refused => return Some(Next::Refuse),
                Page::Live(since) => self.recover = Some(entry.recover(since)),
                Page::LiveAnywhere => {
                    let is_whole = course.resumptions == self.began.resumptions;
                    let later = course.place.all_since(self.began.moment).filter(|_| is_whole);
                    let subscribed = |publications| Subscribed { publications, ..Subscribed::default() };
                    return Some(later.map_or(Next::ReadAgain, |later| Next::Answer(subscribed(later))));
                }
                Page::LiveBehind(since) => {
                    self.recover = Some(entry.recover(since));
                    return Some(Next::ReadAgain);
                }
            }
        }
        // Whoever comes back must name the epoch.
        let is_other = entry.since().is_some_and(|since| *since.epoch != *top.epoch.as_str());
        is_other.then_some(Next::Refuse)
    }

    fn next(&mut self, course: &mut Course) -> Next {
        if course.place.is_doubtful() {
            if course.place.is_filling() {
                return Next::Wait;
            }
            let moment = self.began.moment;
            let mut goes_on = |piece: &Arc<Piece>| course.place.goes_on_in(&piece.found, piece.top, moment);
            if !self.read.as_ref().is_some_and(&mut goes_on) {
                return Next::Fill;
            }
        }
        if let Some(next) = self.next_of_map(course) {
            return next;
        }
        let place = &mut course.place;
        if place.is_filling() {
            return Next::Wait;
        }
        let Some(piece) = self.read.take() else {
            return match place.at() {
                Some(at) if self.recover.is_none() => {
                    Next::Answer(Subscribed { position: at, ..Subscribed::default() })
                }
                Some(at) if self.is_at(at) => {
                    Next::Answer(Subscribed { position: at, recovered: true, publications: Vec::new() })
                }
                _ => Next::ReadAgain,
            };
        };
        let began = self.began;
        if course.resumptions != began.resumptions && place.at().is_none() {
            return Next::ReadAgain;
        }
        let Piece { top, ref found, .. } = *piece;
        let Some(at) = place.at().or_else(|| place.settle_first(top, found, began.moment)) else {
            return Next::ReadAgain;
        };
        if at.epoch == top.epoch && top.offset > at.offset {
            // Filled, and still ahead: the stream fell back since it was read.
            if std::mem::replace(&mut self.has_filled, true) {
                return Next::ReadAgain;
            }
            self.read = Some(piece);
            return Next::Fill;
        }
        // A read that began where subscribers are does not end before it.
        if began.at.is_some_and(|began| began.epoch == top.epoch && began.offset > top.offset) {
            return Next::Fill;
        }
        let Some(publications) = self.found_in(&piece) else { return Next::ReadAgain };
        let subscribed = |publications, position| match &self.recover {
            None => Subscribed { position, ..Subscribed::default() },
            Some(recover) => recovery::from_read(publications, position, recover),
        };
        if at.epoch != top.epoch {
            return match began.at {
                // The stream began anew and no message said so.
                Some(began) if began.epoch == at.epoch => {
                    place.settle(top, found);
                    Next::Lost(subscribed(publications, top))
                }
                _ => Next::ReadAgain,
            };
        }
        if !place.agrees(found, began.moment) {
            // Keys that were read may be of what was lost as well.
            if self.map.as_ref().is_some_and(|entry| entry.reads_keys()) {
                self.recover = None;
            }
            return Next::ReadAgain;
        }
        place.know(found);
        let recover = self.recover.as_ref();
        let position_alone = Subscribed { position: at, ..Subscribed::default() };
        match (place.since(top.offset, began.moment), recover) {
            (_, None) => Next::Answer(position_alone),
            (Some(later), Some(recover)) => {
                let mut subscribed = subscribed(publications, top);
                recovery::extend(&mut subscribed, later, recover);
                subscribed.position = at;
                Next::Answer(subscribed)
            }
            (None, _) if self.tries < TRIES => Next::ReadAgain,
            (None, _) => Next::Answer(position_alone),
        }
    }

    /// What must be read for the subscriber.
    pub(super) fn read_op(&self) -> Read {
        let meta_ttl_s = match self.source {
            Source::Stream { meta_ttl_s } => meta_ttl_s,
            Source::Map(_) => 0,
        };
        match &self.recover {
            None => Read { since: None, limit: 0, reverse: true, meta_ttl_s },
            Some(recover) => recovery::read_for(recover, meta_ttl_s),
        }
    }

    /// The page that is read before anything else, if it comes to a map that way.
    fn page(&self) -> Option<BrokerOp> {
        self.map.as_ref().filter(|_| self.recover.is_none()).map(|entry| entry.read_page())
    }

    /// What its own read would have found, or nothing if it missed more than it may recover. None where that cannot be
    /// said.
    pub(super) fn found_in(&self, piece: &Piece) -> Option<Vec<Arc<Publication>>> {
        let read = self.read_op();
        let is_too_far = || {
            let limit = u64::try_from(read.limit).ok().filter(|limit| !read.reverse && *limit > 0)?;
            (piece.top.offset > read.since?.checked_add(limit)?).then(Vec::new)
        };
        if read.limit == 0 { Some(Vec::new()) } else { piece.answer(read).or_else(is_too_far) }
    }

    /// Whether it is there and missed nothing.
    fn is_at(&self, at: Position) -> bool {
        let Some(Recover { since, cache: false, .. }) = &self.recover else { return false };
        // Whoever comes back to a map must name the epoch.
        let is_same = if self.map.is_some() { *since.epoch == *at.epoch.as_str() } else { since.matches(at.epoch) };
        is_same && since.offset == at.offset
    }

    /// Whether it was told of something that the stream did not have yet, or not under this epoch. Then a read that
    /// found this top was carried out before it came, and it needs another one.
    pub(super) fn is_ahead_of(&self, top: Position) -> bool {
        let is_ahead = |recover: &Recover| recover.since.offset > top.offset || !recover.since.matches(top.epoch);
        self.recover.as_ref().is_some_and(is_ahead)
    }

    /// Whether it may take part in a read that began before it did. Who has a page needs one that began behind that.
    pub(super) fn may_be_late(&self) -> bool {
        self.map.as_ref().is_none_or(|entry| !entry.reads_keys())
    }

    /// What is read: the newest publication, or the one that the subscriber has, is always among it, so that the place
    /// knows where it begins.
    pub(super) fn wider_read(&self) -> Read {
        let read = self.read_op();
        match read.since {
            None if read.limit == 0 => Read { limit: 1, ..read },
            None => read,
            Some(since) if read.limit < 0 => Read { since: Some(since.saturating_sub(1)), ..read },
            Some(since) => Read { since: Some(since.saturating_sub(1)), limit: read.limit.saturating_add(1), ..read },
        }
    }
}

impl Brokered {
    pub(super) fn subscribe(
        &mut self,
        from: ShardId,
        channel: &ChannelName,
        op: SubscribeOp,
        reply: ReplyTo,
        out: &mut Out<'_>,
    ) {
        let join = Join::new(from, channel, reply, Source::Stream { meta_ttl_s: op.meta_ttl_s });
        let join = Join {
            wants_position: op.position || op.recover.is_some(),
            recover: op.recover,
            presence: op.presence,
            join: op.join,
            ..join
        };
        self.enter(join, out);
    }

    pub(super) fn enter(&mut self, mut join: Join, out: &mut Out<'_>) {
        let (from, reply, channel, realm) = (join.from, join.reply, join.channel.clone(), join.source.realm());
        let (slot, key) = match self.find_or_begin(&channel, realm) {
            Ok(found) => found,
            Err(error) => return respond(from, reply, Answer::Failed(error), out),
        };
        join.key = key;
        let shown = join.shown();
        let ticket = self.tasks.insert(Task::Join(Box::new(join)));
        let Some(found) = self.table.get(slot) else { return };
        // The shard takes its interest back as it does for any subscriber that leaves.
        found.interest.insert(from);
        let Ok(ticket) = ticket.map(Ticket) else {
            return respond(from, reply, Answer::Failed(Error::INTERNAL), out);
        };
        if let Some(client) = shown {
            found.joining.insert(client, ticket);
        }
        match &mut found.link {
            Link::Up => self.start(ticket, out),
            Link::Asked(waiting) => waiting.push(ticket),
            Link::Down => match self.tasks.insert(Task::Link(key)) {
                Ok(link) => {
                    found.link = Link::Asked(vec![ticket]);
                    self.request(&channel, BrokerOp::Subscribe(realm), Some(Ticket(link)));
                }
                Err(_) => self.fail_join(ticket, Error::INTERNAL, out),
            },
        }
    }

    /// The broker sends the channel's messages from now on, or cannot.
    pub(super) fn linked(&mut self, slot: u32, failed: Option<Error>, out: &mut Out<'_>) {
        let Some(channel) = self.table.get(slot) else { return };
        let link = if failed.is_none() { Link::Up } else { Link::Down };
        let Link::Asked(waiting) = std::mem::replace(&mut channel.link, link) else { return };
        for ticket in waiting {
            match &failed {
                None => self.start(ticket, out),
                Some(error) => self.fail_join(ticket, error.clone(), out),
            }
        }
    }

    /// Asks for all that the subscriber needs at once.
    fn start(&mut self, ticket: Ticket, out: &mut Out<'_>) {
        let Some(Task::Join(join)) = self.tasks.get_mut(ticket.0) else { return };
        let channel = join.channel.clone();
        // Who comes to a map is present behind its answer, as upstream.
        let presence = join.presence.clone().filter(|_| join.map.is_none());
        let is_certain = |course: &Course| course.place.at().is_some() || course.place.is_filling();
        let reads = join.wants_position && {
            let found = self.table.slot(join.key).and_then(|slot| self.table.get(slot));
            let Some(found) = found else { return self.fail_join(ticket, Error::INTERNAL, out) };
            let course = found.course.get_or_insert_with(|| {
                Box::new(Course::new(join.source, self.marks.take(&channel, join.source.realm())))
            });
            match join.recover {
                // It is found first whether the stream goes on from there; whoever was there reads that himself.
                _ if course.place.is_doubtful() && join.page().is_none() => {
                    course.place.left_at().is_some_and(|at| join.is_at(at))
                }
                // Whoever is where everybody is missed nothing.
                Some(_) => !course.place.at().is_some_and(|at| join.is_at(at)),
                None => join.map.is_some() || !is_certain(course),
            }
        };
        let Some(Task::Join(join)) = self.tasks.get_mut(ticket.0) else { return };
        join.left = 0;
        if let (Some((info, ttl_ms)), Some(present)) = (&presence, &mut self.present) {
            if let Answer::Failed(error) = present.add(&channel, info.clone(), *ttl_ms, self.now) {
                return self.fail_join(ticket, error, out);
            }
        } else if let Some((info, _)) = presence {
            join.left = 1;
            match self.tasks.insert(Task::Presence(ticket)) {
                Ok(key) => self.request(&channel, BrokerOp::AddPresence(info), Some(Ticket(key))),
                Err(_) => return self.fail_join(ticket, Error::INTERNAL, out),
            }
        }
        if reads { self.read(ticket, out) } else { self.go_on(ticket, out) }
    }

    /// Reads what the subscriber needs: a page for itself, the stream with others.
    fn read(&mut self, ticket: Ticket, out: &mut Out<'_>) {
        let Some(Task::Join(join)) = self.tasks.get_mut(ticket.0) else { return };
        let Some(page) = join.page() else { return self.read_stream(ticket, out) };
        let channel = join.channel.clone();
        if let Some(course) = self.table.slot(join.key).and_then(|slot| self.table.course(slot)) {
            join.began = Began::now(course);
            if join.begin_read() {
                course.place.begin_read();
            }
        }
        self.request(&channel, page, Some(ticket));
    }

    /// Goes on with a subscriber: answers it when nothing is missing.
    pub(super) fn go_on(&mut self, ticket: Ticket, out: &mut Out<'_>) {
        let Some(Task::Join(join)) = self.tasks.get_mut(ticket.0) else { return };
        if join.left > 0 {
            return;
        }
        if let Some(error) = join.failed.take() {
            return self.fail_join(ticket, error, out);
        }
        let Some(slot) = self.table.slot(join.key) else {
            return self.fail_join(ticket, Error::INTERNAL, out);
        };
        let subscribed = if !join.wants_position {
            Subscribed::default()
        } else {
            let Some(course) = self.table.course(slot) else {
                return self.fail_join(ticket, Error::INTERNAL, out);
            };
            match join.next(course) {
                Next::Answer(subscribed) => subscribed,
                Next::ReadAgain => {
                    join.tries += 1;
                    if join.tries > TRIES {
                        return self.fail_join(ticket, Error::INTERNAL, out);
                    }
                    return self.read(ticket, out);
                }
                Next::Wait => return course.parked.push(ticket),
                Next::Fill => {
                    course.parked.push(ticket);
                    return self.begin_fill(slot, out);
                }
                Next::Lost(subscribed) => {
                    self.lose(slot, out);
                    subscribed
                }
                Next::Page(page) => {
                    let Some(join) = self.end_join(ticket) else { return };
                    return respond(join.from, join.reply, Answer::MapSubscribed(Box::new(page)), out);
                }
                Next::Refuse => return self.fail_join(ticket, Error::UNRECOVERABLE_POSITION, out),
            }
        };
        let Some(Task::Join(join)) = self.tasks.get_mut(ticket.0) else { return };
        if join.recover.as_ref().is_some_and(|recover| recover.or_fail && !recover.cache && !subscribed.recovered) {
            return self.fail_join(ticket, Error::UNRECOVERABLE_POSITION, out);
        }
        let Some(join) = self.end_join(ticket) else { return };
        let Some(entry) = join.map else {
            respond(join.from, join.reply, Answer::Subscribed(Box::new(subscribed)), out);
            if let Some(info) = join.join {
                self.request(&join.channel, BrokerOp::Join(info), None);
            }
            return;
        };
        let answer = entry.live(subscribed.position, subscribed.publications);
        respond(join.from, join.reply, Answer::MapSubscribed(Box::new(answer)), out);
        self.arrive_at_map(
            slot,
            Arrived { from: join.from, channel: join.channel, presence: join.presence, join: join.join },
        );
    }

    /// A subscriber of a map was answered: it is present from now on, and others are told that it joined. Where streams
    /// are kept elsewhere, that is the business of those who keep them, presence included unless it is at the broker.
    fn arrive_at_map(&mut self, slot: u32, mut arrived: Arrived) {
        let Arrived { from, channel, presence, join } = &mut arrived;
        let is_there = self.arrived.is_some() && self.present.is_some();
        if let Some((info, ttl_ms)) = presence.take_if(|_| !is_there) {
            match &mut self.present {
                Some(present) => drop(present.add(channel, info, ttl_ms, self.now)),
                None => self.request(&channel.clone(), BrokerOp::AddPresence(info), None),
            }
        }
        if self.arrived.is_none() {
            if let Some(info) = join.take() {
                self.request(&channel.clone(), BrokerOp::Join(info), None);
            }
            return;
        }
        // Unless its shard left meanwhile.
        let is_interested = self.table.get(slot).is_some_and(|it| it.interest.iter().any(|shard| shard == *from));
        if let Some(all) = self.arrived.as_mut().filter(|_| is_interested) {
            all.push(arrived);
        }
    }

    pub(super) fn fail_join(&mut self, ticket: Ticket, error: Error, out: &mut Out<'_>) {
        if let Some(join) = self.end_join(ticket) {
            if let Some((info, _)) = join.presence.filter(|_| join.map.is_none()) {
                self.remove_presence(&join.channel, info);
            }
            respond(join.from, join.reply, Answer::Failed(error), out);
        }
    }

    fn end_join(&mut self, ticket: Ticket) -> Option<Join> {
        let Some(Task::Join(join)) = self.tasks.remove(ticket.0) else { return None };
        if let Some(slot) = self.table.slot(join.key)
            && let Some(channel) = self.table.get(slot)
        {
            if join.is_reading
                && let Some(course) = &mut channel.course
            {
                course.place.end_read();
            }
            if let Some(client) = join.shown()
                && channel.joining.get(&client) == Some(&ticket)
            {
                channel.joining.remove(&client);
            }
        }
        Some(*join)
    }

    /// A client leaves that is perhaps still on its way in: then nobody hears of it, and its presence is the business
    /// of whoever says that it leaves. False when it had arrived.
    pub(super) fn forget_join(&mut self, slot: u32, client: ClientId) -> bool {
        let joining = self.table.get(slot).and_then(|channel| channel.joining.remove(&client));
        let Some(Task::Join(join)) = joining.and_then(|ticket| self.tasks.get_mut(ticket.0)) else { return false };
        join.join = None;
        join.presence = None;
        true
    }
}
