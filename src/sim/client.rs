//! A simulated client: speaks the real protocol, remembers what it saw, and notices whatever should not be.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::maps::{self, Maps};
use super::polls::{self, Polls};
use super::setup::{TOKEN, USER};
use super::truth::Truth;
use super::wants::{Wants, is_unwanted};
use super::wire::{self, Received};
use crate::base::ids::ConnId;
use crate::protocol::Protocol;
use crate::protocol::client::{
    Command, ConnectRequest, Publication, PublishRequest, Push, Reply, SubscribeRequest, SubscribeResult,
    UnsubscribeRequest,
};
use crate::protocol::disconnect::{Disconnect, Unsubscribe};
use crate::protocol::error::Error;
use crate::protocol::raw::Raw;

/// What publications for delta have in common.
pub const SAME: &str = "something that stays the same in all publications";

/// Connections one client may have in a run.
const LIVES: u64 = 1_000_000;

/// What a client has seen in all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Publications that were pushed.
    pub publications: u64,
    /// Recoveries that were complete.
    pub recoveries: u64,
    /// Connections that ended because it was slow.
    pub slow: u64,
    /// Publications that came as patches.
    pub patches: u64,
    /// Times the server said that a position is lost.
    pub losses: u64,
}

/// A position as the client knows it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Seen {
    /// Offset of the last publication.
    pub offset: u64,
    /// Epoch of the stream.
    pub epoch: String,
}

/// A subscription as the client sees it.
#[derive(Clone, Debug)]
pub struct Subscription {
    state: State,
    /// Position, where the channel has history.
    pub seen: Option<Seen>,
    /// Last number seen of each publisher, where the channel has none.
    last_of: HashMap<u64, u64>,
    wants: Wants,
    /// The last publication of this subscription.
    last: Option<(u64, Vec<u8>)>,
    /// Clients whose join was pushed and whose leave was not.
    pub joined: BTreeSet<String>,
    /// It began with the connection; maps that mirror the channel do not show those, as upstream.
    pub with_connection: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Asked { id: u32 },
    Live,
    Leaving { id: u32 },
}

enum Asked {
    Connect { begun: Vec<(String, Option<Seen>)> },
    Subscribe { channel: String, since: Option<Seen> },
    Map { channel: String },
    Unsubscribe { channel: String },
    Publish,
    Poll(polls::Asked),
}

/// See the module.
pub struct Client {
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it is connected.
    pub at: Option<(usize, ConnId)>,
    /// The server named it.
    pub id: Option<String>,
    /// Takes no bytes for now.
    pub is_stuck: bool,
    /// Subscriptions of the present connection.
    pub subscriptions: BTreeMap<String, Subscription>,
    /// Positions from earlier connections, for recovery.
    pub remembered: BTreeMap<String, Seen>,
    /// Offset and payload of the last publication of each channel, from earlier connections too: patches build upon it.
    bases: HashMap<String, (u64, Vec<u8>)>,
    /// Its maps.
    pub(super) maps: Maps,
    /// Its shared-poll channels.
    pub(super) polls: Polls,
    /// The server said that the connection ends.
    pub saw_close: bool,
    /// Pings to be answered.
    pub owed_pongs: u32,
    /// Messages may be lost on their way from the broker, and requests fail.
    pub is_brokered: bool,
    number: u64,
    /// Connections so far: each publishes under a name of its own, because what was under way when one died may be
    /// lost.
    lives: u64,
    published: HashMap<String, u64>,
    received: Vec<u8>,
    asked: HashMap<u32, Asked>,
    next_id: u32,
    counts: Counts,
}

impl Client {
    /// A client that is not connected. The number tells publishers apart.
    pub fn new(number: u64, protocol: Protocol) -> Self {
        Self {
            protocol,
            at: None,
            id: None,
            is_stuck: false,
            subscriptions: BTreeMap::new(),
            remembered: BTreeMap::new(),
            bases: HashMap::new(),
            maps: Maps::default(),
            polls: Polls::default(),
            saw_close: false,
            owed_pongs: 0,
            is_brokered: false,
            number,
            lives: 0,
            published: HashMap::new(),
            received: Vec::new(),
            asked: HashMap::new(),
            next_id: 1,
            counts: Counts::default(),
        }
    }

    /// Forgets the connection; positions are kept for recovery.
    pub fn disconnected(&mut self) {
        self.at = None;
        self.id = None;
        self.lives += 1;
        self.published.clear();
        self.owed_pongs = 0;
        self.saw_close = false;
        self.received.clear();
        self.asked.clear();
        self.maps.disconnected();
        self.polls.disconnected();
        for (channel, subscription) in std::mem::take(&mut self.subscriptions) {
            if let Some(seen) = subscription.seen {
                self.remembered.insert(channel, seen);
            }
        }
    }

    /// Whether it connects with a token, so that it has a user.
    pub fn has_token(&self) -> bool {
        self.number.is_multiple_of(2)
    }

    /// Whether it may send commands beside connect.
    pub fn is_connected(&self) -> bool {
        self.id.is_some()
    }

    /// Whether the subscription was answered and not given up.
    pub fn is_live(&self, channel: &str) -> bool {
        self.subscriptions.get(channel).is_some_and(|subscription| subscription.state == State::Live)
    }

    /// What it has seen in all.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn ask<'c>(&mut self, asked: Asked, fill: impl FnOnce(&mut Command<'c>)) -> Command<'c> {
        let id = self.next_id;
        self.next_id += 1;
        self.asked.insert(id, asked);
        let mut command = Command { id, ..Command::default() };
        fill(&mut command);
        command
    }

    /// The connect command. Some clients begin with a subscription of the channel in the same step.
    pub fn connect(&mut self, channel: &str) -> Vec<u8> {
        let mut request = ConnectRequest::default();
        if self.has_token() {
            request.token = Cow::Borrowed(TOKEN);
        }
        let mut begun = Vec::new();
        if self.number.is_multiple_of(3) {
            let since = self.recall(channel);
            let mut wanted = self.subscribe_request(channel, since.as_ref());
            // A subscription that begins with the connection has no filter.
            wanted.tf = None;
            request.subs.push((Cow::Owned(channel.to_owned()), wanted));
            begun.push((channel.to_owned(), since));
        }
        let command = self.ask(Asked::Connect { begun }, |command| command.connect = Some(Box::new(request)));
        wire::frame(self.protocol, &[command])
    }

    /// The place to recover from. With delta it is one whose payload the client has: the server takes that for granted
    /// when nothing was missed, as upstream does.
    fn recall(&mut self, channel: &str) -> Option<Seen> {
        let seen = self.remembered.remove(channel)?;
        let has_base = self.bases.get(channel).is_some_and(|(offset, _)| *offset == seen.offset);
        (has_base || !Wants::of(self.number, channel).delta).then_some(seen)
    }

    fn subscribe_request(&self, channel: &str, since: Option<&Seen>) -> SubscribeRequest<'static> {
        let mut request = Wants::of(self.number, channel).request(channel);
        if let Some(seen) = since {
            request.recover = true;
            request.offset = seen.offset;
            request.epoch = Cow::Owned(seen.epoch.clone());
        }
        request
    }

    /// Subscribes to several channels in one frame; with recovery where a position is remembered.
    pub fn subscribe(&mut self, channels: &[&str]) -> Vec<u8> {
        let mut commands = Vec::new();
        for channel in channels {
            if self.subscriptions.contains_key(*channel) {
                continue;
            }
            let since = self.recall(channel);
            let request = self.subscribe_request(channel, since.as_ref());
            let asked = Asked::Subscribe { channel: (*channel).to_owned(), since: since.clone() };
            let command = self.ask(asked, |command| command.subscribe = Some(Box::new(request)));
            let state = State::Asked { id: command.id };
            let subscription = Subscription::new(state, since, Wants::of(self.number, channel));
            self.subscriptions.insert((*channel).to_owned(), subscription);
            commands.push(command);
        }
        if commands.is_empty() { Vec::new() } else { wire::frame(self.protocol, &commands) }
    }

    /// The next step of a map that is read; nothing when none is.
    pub(super) fn step_of_map(&mut self, limit: i32) -> Option<Vec<u8>> {
        let request = self.maps.next(limit)?;
        let asked = Asked::Map { channel: request.channel.to_string() };
        let command = self.ask(asked, |command| command.subscribe = Some(Box::new(request)));
        Some(wire::frame(self.protocol, &[command]))
    }

    /// Does something with a shared-poll channel.
    pub(super) fn poll(&mut self, channel: &str, act: polls::Act) -> Vec<u8> {
        let user = if self.has_token() { USER } else { "" };
        let (asked, filled) = self.polls.command(channel, act, user);
        let command = self.ask(Asked::Poll(asked), |command| *command = Command { id: command.id, ..filled });
        wire::frame(self.protocol, &[command])
    }

    /// Leaves a channel.
    pub fn unsubscribe(&mut self, channel: &str) -> Vec<u8> {
        if !self.is_live(channel) && !self.maps.leave(channel) {
            return Vec::new();
        }
        let request = UnsubscribeRequest { channel: Cow::Owned(channel.to_owned()) };
        let asked = Asked::Unsubscribe { channel: channel.to_owned() };
        let command = self.ask(asked, |command| command.unsubscribe = Some(request));
        if let Some(subscription) = self.subscriptions.get_mut(channel) {
            subscription.state = State::Leaving { id: command.id };
        }
        wire::frame(self.protocol, &[command])
    }

    /// Publishes its next numbers into a channel, several in one frame.
    pub fn publish(&mut self, channel: &str, count: u64) -> Vec<u8> {
        let commands: Vec<_> = (0..count)
            .map(|_| {
                let number = self.published.entry(channel.to_owned()).or_default();
                *number += 1;
                let same = if channel.starts_with("delta") { SAME } else { "" };
                let data = format!("{{\"same\":\"{same}\",\"p\":{},\"n\":{number}}}", self.number * LIVES + self.lives);
                let request = PublishRequest {
                    channel: Cow::Owned(channel.to_owned()),
                    data: Raw(Cow::Owned(data.into_bytes())),
                    ..Default::default()
                };
                self.ask(Asked::Publish, |command| command.publish = Some(request))
            })
            .collect();
        wire::frame(self.protocol, &commands)
    }

    /// Takes bytes from the server.
    ///
    /// # Errors
    /// What the server did wrong.
    pub fn take(&mut self, bytes: &[u8], truth: &mut Truth, history_size: u64) -> Result<(), String> {
        self.received.extend_from_slice(bytes);
        let mut received = std::mem::take(&mut self.received);
        let result = wire::receive(self.protocol, &mut received, |received| match received {
            Received::Ping => {
                self.owed_pongs += 1;
                Ok(())
            }
            // The connection ends; whoever owns the socket says so too.
            Received::Close(code) => {
                self.counts.slow += u64::from(code == Disconnect::SLOW.code);
                self.saw_close = true;
                Ok(())
            }
            Received::Reply(reply) => self.on_reply(&reply, truth, history_size),
        });
        self.received = received;
        result.map_err(|error| format!("client {}: {error}", self.number))
    }

    fn on_reply(&mut self, reply: &Reply<'_>, truth: &mut Truth, history_size: u64) -> Result<(), String> {
        if let Some(push) = &reply.push {
            return self.on_push(push, truth);
        }
        let asked = self.asked.remove(&reply.id).ok_or_else(|| format!("nobody asked for reply {}", reply.id))?;
        let asked = match asked {
            Asked::Poll(asked) => return self.polls.on_reply(asked, reply),
            asked => asked,
        };
        if let (Asked::Map { channel }, Some(error)) = (&asked, &reply.error) {
            return self.maps.on_error(channel, error.code, self.is_brokered, truth);
        }
        if let (Asked::Publish, true, Some(error)) = (&asked, self.is_brokered, &reply.error)
            && error.code == Error::INTERNAL.code
        {
            return Ok(());
        }
        if let Some(error) = &reply.error {
            return Err(format!("reply {} is error {} {}", reply.id, error.code, error.message));
        }
        match asked {
            Asked::Connect { begun } => {
                let result = reply.connect.as_ref().ok_or("the reply to connect holds something else")?;
                self.id = Some(result.client.to_string());
                for (channel, since) in begun {
                    let subscribed = result.subs.iter().find(|(name, _)| *name == channel);
                    let (_, subscribed) = subscribed.ok_or_else(|| format!("{channel} did not begin with connect"))?;
                    let wants = Wants { filter: false, ..Wants::of(self.number, &channel) };
                    let state = State::Asked { id: reply.id };
                    let begun = Subscription::new(state, since.clone(), wants);
                    self.subscriptions.insert(channel.clone(), Subscription { with_connection: true, ..begun });
                    self.on_subscribed(&channel, since, reply.id, subscribed, truth, history_size)?;
                }
            }
            Asked::Subscribe { channel, since } => {
                let result = reply.subscribe.as_ref().ok_or("the reply to subscribe holds something else")?;
                self.on_subscribed(&channel, since, reply.id, result, truth, history_size)?;
            }
            Asked::Map { channel } => {
                let result = reply.subscribe.as_ref().ok_or("the reply to subscribe holds something else")?;
                self.maps.on_answer(&channel, result, truth)?;
            }
            Asked::Unsubscribe { channel } if maps::kind(&channel).is_some() => self.maps.left(&channel),
            Asked::Unsubscribe { channel } => {
                reply.unsubscribe.as_ref().ok_or("the reply to unsubscribe holds something else")?;
                match self.subscriptions.get(&channel).map(|subscription| subscription.state) {
                    Some(State::Leaving { id }) if id == reply.id => {}
                    // It had lost its position meanwhile.
                    None if self.is_brokered => return Ok(()),
                    other => return Err(format!("unsubscribed from {channel} in state {other:?}")),
                }
                if let Some(Subscription { seen: Some(seen), .. }) = self.subscriptions.remove(&channel) {
                    self.remembered.insert(channel, seen);
                }
            }
            Asked::Poll(_) => unreachable!("taken above"),
            Asked::Publish => {
                reply.publish.as_ref().ok_or("the reply to publish holds something else")?;
            }
        }
        Ok(())
    }

    fn on_subscribed(
        &mut self,
        channel: &str,
        since: Option<Seen>,
        id: u32,
        result: &SubscribeResult<'_>,
        truth: &mut Truth,
        history_size: u64,
    ) -> Result<(), String> {
        let subscription = self.subscriptions.get_mut(channel).ok_or("subscribed to what was not asked for")?;
        if subscription.state != (State::Asked { id }) {
            return Err(format!("{channel} answered in state {:?}", subscription.state));
        }
        subscription.state = State::Live;
        if result.delta != subscription.wants.delta {
            return Err(format!("{channel}: delta is {}", result.delta));
        }
        let wants = subscription.wants;
        if !result.positioned {
            subscription.seen = None;
            return Ok(());
        }
        let epoch = result.epoch.to_string();
        let mut offset = result.offset;
        if let Some(since) = since {
            if !result.was_recovering {
                return Err(format!("{channel}: recovery was asked for and not mentioned"));
            }
            if result.recovered {
                self.counts.recoveries += 1;
                // The newest publication is good whatever its epoch.
                let is_cache = channel.starts_with("cache");
                if since.epoch != epoch && !since.epoch.is_empty() && !is_cache {
                    return Err(format!("{channel}: recovered across epochs {} and {epoch}", since.epoch));
                }
                if offset != since.offset {
                    return Err(format!("{channel}: recovered from {} though {} was asked", offset, since.offset));
                }
                if is_cache && result.publications.len() > 1 {
                    return Err(format!("{channel}: more than the newest publication"));
                }
                for publication in &result.publications {
                    let payload = wants.payload(
                        self.protocol,
                        publication,
                        self.bases.get(channel).map(|(_, payload)| payload),
                    )?;
                    let follows = publication.offset == offset + 1;
                    if !(follows || is_cache || wants.filter && publication.offset > offset) {
                        return Err(format!("{channel}: recovered {} behind {offset}", publication.offset));
                    }
                    if !is_cache {
                        look_at_tags(channel, &epoch, offset, publication, wants, truth)?;
                    }
                    offset = publication.offset;
                    truth.agree(channel, &epoch, offset, &payload)?;
                    subscription.goes_on(channel, &epoch, offset, &payload, truth)?;
                    self.counts.patches += u64::from(publication.delta);
                    self.bases.insert(channel.to_owned(), (publication.offset, payload));
                }
            } else if channel.starts_with("cache") {
                if offset > 0 {
                    return Err(format!("{channel}: the newest publication was not recovered"));
                }
            } else if since.epoch == epoch
                && offset.saturating_sub(since.offset) <= history_size
                && offset >= since.offset
                && truth.last_failover(channel) == 0
            {
                return Err(format!(
                    "{channel}: {} to {offset} is within the history and was not recovered",
                    since.offset
                ));
            }
        }
        subscription.seen = Some(Seen { offset, epoch });
        Ok(())
    }

    fn on_push(&mut self, push: &Push<'_>, truth: &mut Truth) -> Result<(), String> {
        let channel = &*push.channel;
        if self.polls.watch(channel).is_some() {
            return match (&push.r#pub, &push.unsubscribe) {
                (Some(told), _) => self.polls.on_push(self.protocol, channel, told, truth),
                (_, Some(end)) => self.polls.on_end(channel, end.code),
                _ => Err(format!("unexpected push {push:?}")),
            };
        }
        let is_map = maps::kind(channel).is_some();
        if let (Some(change), true) = (&push.r#pub, is_map) {
            return self.maps.on_push(channel, change, truth);
        }
        if let (Some(end), true) = (&push.unsubscribe, is_map) {
            return self.maps.on_end(channel, end.code);
        }
        // Joins of maps are those of channels.
        if is_map && (push.join.is_some() || push.leave.is_some()) {
            return Ok(());
        }
        if let (Some(ended), true) = (&push.unsubscribe, self.is_brokered)
            && ended.code == Unsubscribe::INSUFFICIENT_STATE.code
        {
            self.counts.losses += 1;
            let lost = self.subscriptions.remove(channel).ok_or_else(|| format!("{channel} ended, unasked"))?;
            self.remembered.extend(lost.seen.map(|seen| (channel.to_owned(), seen)));
            return Ok(());
        }
        if let Some(publication) = &push.r#pub {
            let subscription =
                self.subscriptions.get_mut(channel).ok_or_else(|| format!("publication for {channel}, unasked"))?;
            if matches!(subscription.state, State::Asked { .. }) {
                return Err(format!("{channel}: publication before the reply to subscribe"));
            }
            self.counts.publications += 1;
            self.counts.patches += u64::from(publication.delta);
            let payload = subscription.wants.payload(
                self.protocol,
                publication,
                self.bases.get(channel).map(|(_, payload)| payload),
            )?;
            subscription.on_publication(channel, publication, &payload, self.is_brokered, truth)?;
            self.bases.insert(channel.to_owned(), (publication.offset, payload));
            return Ok(());
        }
        if push.join.is_some() || push.leave.is_some() {
            return match self.subscriptions.get_mut(channel) {
                Some(_) if self.is_brokered => Ok(()),
                Some(subscription) if !matches!(subscription.state, State::Asked { .. }) => {
                    subscription.on_presence(channel, push)
                }
                _ => Err(format!("join or leave for {channel}, unasked")),
            };
        }
        Err(format!("unexpected push {push:?}"))
    }
}

impl Subscription {
    fn new(state: State, seen: Option<Seen>, wants: Wants) -> Self {
        Self {
            state,
            seen,
            last_of: HashMap::new(),
            wants,
            last: None,
            joined: BTreeSet::new(),
            with_connection: false,
        }
    }

    /// Another publication behind the last one.
    fn goes_on(&mut self, channel: &str, epoch: &str, offset: u64, data: &[u8], truth: &Truth) -> Result<(), String> {
        let last = self.last.replace((offset, data.to_vec()));
        last.map_or(Ok(()), |(at, last)| truth.follows(channel, epoch, (at, &last), (offset, data)))
    }

    /// Who joined is not joined already: nobody's leave was lost.
    fn on_presence(&mut self, channel: &str, push: &Push<'_>) -> Result<(), String> {
        let joined = push.join.as_ref().and_then(|join| join.info.as_ref());
        let left = push.leave.as_ref().and_then(|leave| leave.info.as_ref());
        if let Some(info) = joined
            && !self.joined.insert(info.client.to_string())
        {
            return Err(format!("{channel}: {} joined twice", info.client));
        }
        if let Some(info) = left {
            self.joined.remove(&*info.client);
        }
        Ok(())
    }

    fn on_publication(
        &mut self,
        channel: &str,
        publication: &Publication<'_>,
        data: &[u8],
        is_brokered: bool,
        truth: &mut Truth,
    ) -> Result<(), String> {
        if let Some(seen) = &mut self.seen {
            let follows = publication.offset == seen.offset + 1;
            if !(follows || self.wants.filter && publication.offset > seen.offset) {
                return Err(format!("{channel}: {} behind {}", publication.offset, seen.offset));
            }
            look_at_tags(channel, &seen.epoch, seen.offset, publication, self.wants, truth)?;
            seen.offset = publication.offset;
            truth.agree(channel, &seen.epoch, seen.offset, data)?;
            let epoch = seen.epoch.clone();
            return self.goes_on(channel, &epoch, publication.offset, data, truth);
        }
        let (publisher, number) = numbers(data).ok_or_else(|| format!("{channel}: a payload nobody published"))?;
        let last = self.last_of.insert(publisher, number);
        if last.is_some_and(|last| if is_brokered { number <= last } else { number != last + 1 }) {
            return Err(format!("{channel}: publisher {publisher} sent {number} after {last:?}"));
        }
        Ok(())
    }
}

/// What came is what the client wants, and what did not come between is what it does not want.
fn look_at_tags(
    channel: &str,
    epoch: &str,
    seen: u64,
    publication: &Publication<'_>,
    wants: Wants,
    truth: &mut Truth,
) -> Result<(), String> {
    if is_unwanted(publication) {
        return if wants.filter { Err(format!("{channel}: the filter let {publication:?} through")) } else { Ok(()) };
    }
    truth.saw_wanted(channel, epoch, publication.offset)?;
    if wants.filter { truth.skipped(channel, epoch, seen + 1..publication.offset) } else { Ok(()) }
}

/// Publisher and number of a payload.
fn numbers(data: &[u8]) -> Option<(u64, u64)> {
    let value: serde_json::Value = serde_json::from_slice(data).ok()?;
    Some((value.get("p")?.as_u64()?, value.get("n")?.as_u64()?))
}
