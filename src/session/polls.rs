//! The keys of shared-poll channels that a connection tracks (upstream: centrifuge client_keyed.go).
//!
//! A key is a channel of its own in the shard's second hub: it has interest and members there, under the name that
//! [`key_name`] gives it. So finding those who track a key costs what finding a channel's subscribers does.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::IntoIter;

use super::departure::Departure;
use super::state::{Pending, Session};
use super::subscriptions::{Subscription, Traits};
use super::{Cx, Effect};
use crate::base::mutation::{Mutation, is_on};
use crate::channel::name::ChannelName;
use crate::channel::op::Op;
use crate::channel::poll::key_name;
use crate::channel::poll::op::{KeyPublication, PollOp};
use crate::channel::rules;
use crate::fanout::hub::{Hub, LocalChannel};
use crate::fanout::member::{MemberFlags, MemberId};
use crate::fanout::tailor::Form;
use crate::protocol::Protocol;

/// All keys of a connection, by the channel of the subscription.
pub(super) type Polls = HashMap<LocalChannel, Polled, FixedState>;

/// The keys of one subscription.
#[derive(Debug, Default)]
pub(super) struct Polled {
    /// By the key's place in the second hub. Each holds one interest there and is a member.
    keys: HashMap<LocalChannel, Tracked, FixedState>,
    /// No key expires earlier, Unix seconds; 0 = none expires.
    expires_from: i64,
}

/// A key and what the client knows of it.
#[derive(Clone, Copy, Debug)]
struct Tracked {
    member: MemberId,
    version: u64,
    /// Unix seconds; 0 = never.
    expire_at: i64,
    /// The client has the data of that version from us.
    has_data: bool,
}

/// A key that a client wants to track.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Holds one interest of the second hub.
    pub(super) key: LocalChannel,
    pub(super) version: u64,
    pub(super) expire_at: i64,
}

/// A command to track keys that waits for the channel's home.
#[derive(Debug)]
pub(super) struct Tracking {
    pub(super) channel: ChannelName,
    pub(super) local: LocalChannel,
    pub(super) wanted: Vec<Wanted>,
    /// The soonest end of a signature in the command, Unix seconds; 0 = none ends.
    pub(super) expire_at: i64,
    /// The subscription ended while the home was asked.
    pub(super) is_void: bool,
}

/// Keys that outlive their connection for a few turns.
#[derive(Debug)]
pub(super) struct Leftover {
    channel: ChannelName,
    keys: IntoIter<LocalChannel, Tracked>,
}

impl Leftover {
    /// Ends one more key. False when none is left.
    pub(super) fn end_next(&mut self, tracked: &mut Hub, tell: &mut dyn FnMut(ChannelName, Op)) -> bool {
        let Some((key, Tracked { member, .. })) = self.keys.next() else { return false };
        tracked.leave(key, member);
        if let (true, Some(name)) = tracked.release_named(key, false) {
            tell(self.channel.clone(), untrack(vec![name]));
        }
        true
    }
}

impl Session {
    /// How many keys are tracked in the channel.
    pub(super) fn tracked_keys(&self, channel: LocalChannel) -> usize {
        self.polled(channel).map_or(0, |polled| polled.keys.len())
    }

    /// Whether the key is tracked in the channel.
    pub(super) fn tracks(&self, channel: LocalChannel, key: Option<LocalChannel>) -> bool {
        key.is_some_and(|key| self.polled(channel).is_some_and(|polled| polled.keys.contains_key(&key)))
    }

    /// In which form the client gets a version of the key, if it is news; if so it is known from now on. A patch is
    /// only for who has the data of the version before from us.
    pub fn takes_version(
        &mut self,
        channel: LocalChannel,
        key: LocalChannel,
        flags: MemberFlags,
        told: &KeyPublication,
    ) -> Option<Form> {
        let polls = &mut self.background.as_mut()?.polls;
        let known = polls.get_mut(&channel)?.keys.get_mut(&key)?;
        let version = told.publication.version;
        if version <= known.version && !is_on(Mutation::PollTellsAgain) {
            return None;
        }
        let has_base = known.has_data && told.before.as_ref().is_some_and(|(_, base)| *base == known.version);
        (known.version, known.has_data) = (version, true);
        Some(match flags.contains(MemberFlags::DELTA) {
            false => Form::Plain,
            true if has_base => Form::Patch,
            true => Form::Whole,
        })
    }

    /// The key is gone: the client was told, and does not track it any more.
    pub fn on_key_removed(&mut self, cx: &mut Cx<'_>, channel: LocalChannel, key: LocalChannel) {
        self.forget_keys(cx, channel, vec![key]);
    }

    /// The versions of the channel's keys count in another epoch. Ends the subscription of a client that tracks any:
    /// it begins anew. How many keys that were.
    ///
    /// As upstream, a client that tracks none goes on. It ends when it then names versions
    /// ([`Session::names_void_versions`]).
    pub fn on_poll_reset(&mut self, cx: &mut Cx<'_>, channel: LocalChannel) -> usize {
        let keys = self.tracked_keys(channel);
        if keys > 0 {
            self.on_insufficient_state(cx, channel);
        } else if let Some(subscription) = self.subscriptions.get_mut(channel) {
            subscription.traits = subscription.traits.with(Traits::VOID_VERSIONS);
        }
        keys
    }

    /// Whether the client names versions that may count in an epoch that is over. Upstream takes them for versions of
    /// the new one, and so keeps from the client whatever comes below them.
    pub(super) fn names_void_versions(&self, tracking: &Tracking) -> bool {
        let subscription = self.subscriptions.get(tracking.local);
        subscription.is_some_and(|found| found.traits.has(Traits::VOID_VERSIONS))
            && tracking.wanted.iter().any(|wanted| wanted.version > 0)
            && !is_on(Mutation::PollMissesReset)
    }

    /// Tracks what the home agreed to. Keys that were tracked before start again from the version the client names.
    pub(super) fn begin_tracking(&mut self, cx: &mut Cx<'_>, tracking: Tracking) {
        let traits = self.subscriptions.get(tracking.local).map_or(Traits::default(), |found| found.traits);
        let flags = MemberFlags::NONE
            .with_if(self.protocol == Protocol::Protobuf, MemberFlags::PROTOBUF)
            .with_if(traits.has(Traits::DELTA), MemberFlags::DELTA);
        let polled = self.background.get_or_insert_default().polls.entry(tracking.local).or_default();
        for Wanted { key, version, expire_at } in tracking.wanted {
            match polled.keys.get_mut(&key) {
                Some(known) => {
                    (known.version, known.expire_at, known.has_data) = (version, expire_at, false);
                    // The interest of before stays.
                    cx.tracked.release(key);
                }
                None => {
                    let member = cx.tracked.join(key, cx.conn, flags);
                    polled.keys.insert(key, Tracked { member, version, expire_at, has_data: false });
                }
            }
            if expire_at > 0 && (polled.expires_from == 0 || expire_at < polled.expires_from) {
                polled.expires_from = expire_at;
            }
        }
        self.tidy_polls(tracking.local);
    }

    /// Stops to track the keys that are tracked.
    pub(super) fn untrack<'k>(
        &mut self,
        cx: &mut Cx<'_>,
        channel: LocalChannel,
        keys: impl IntoIterator<Item = &'k str>,
    ) {
        let name = cx.hub.name(channel).clone();
        let known = keys.into_iter().filter_map(|key| cx.tracked.find_name(&key_name(name.as_str(), key))).collect();
        self.forget_keys(cx, channel, known);
    }

    /// Silently drops keys whose signature is past its time, as upstream: clients renew them by themselves.
    pub(super) fn expire_keys(&mut self, cx: &mut Cx<'_>, channel: LocalChannel) {
        let options = rules::options(&cx.config.channel, cx.hub.name(channel).as_str());
        let Some(grace_s) = options.map(|options| options.poll.grace_s) else { return };
        let Some(polled) = self.background.as_mut().and_then(|background| background.polls.get_mut(&channel)) else {
            return;
        };
        let unix_s = cx.now.unix_s();
        let is_over = |expire_at: i64| expire_at > 0 && unix_s > expire_at.saturating_add(grace_s);
        if !is_over(polled.expires_from) {
            return;
        }
        let ends = |tracked: &Tracked| tracked.expire_at;
        let left = polled.keys.values().map(ends).filter(|at| *at > 0 && !is_over(*at)).min();
        polled.expires_from = left.unwrap_or(0);
        let over = polled.keys.iter().filter(|(_, tracked)| is_over(tracked.expire_at)).map(|(key, _)| *key).collect();
        self.forget_keys(cx, channel, over);
    }

    /// Gives back what a command to track took when nothing comes of it.
    pub(super) fn abandon_tracking(cx: &mut Cx<'_>, tracking: Tracking) {
        let gone = tracking.wanted.into_iter().filter_map(|wanted| cx.tracked.release_named(wanted.key, false).1);
        let gone: Vec<_> = gone.collect();
        tell_home(cx, tracking.channel, gone);
    }

    /// A subscription ended: so does all that belongs to it.
    pub(super) fn end_polled(&mut self, cx: &mut Cx<'_>, subscription: &Subscription) {
        if !subscription.traits.has(Traits::POLL) {
            return;
        }
        if let Pending::Track { tracking, .. } = &mut self.pending
            && tracking.local == subscription.channel
        {
            tracking.is_void = true;
        }
        let polled = self.polled(subscription.channel);
        let keys = polled.map_or_else(Vec::new, |polled| polled.keys.keys().copied().collect());
        self.forget_keys(cx, subscription.channel, keys);
    }

    fn polled(&self, channel: LocalChannel) -> Option<&Polled> {
        self.background.as_ref()?.polls.get(&channel)
    }

    fn forget_keys(&mut self, cx: &mut Cx<'_>, channel: LocalChannel, keys: Vec<LocalChannel>) {
        let Some(polled) = self.background.as_mut().and_then(|background| background.polls.get_mut(&channel)) else {
            return;
        };
        let mut gone = Vec::new();
        for key in keys {
            if let Some(Tracked { member, .. }) = polled.keys.remove(&key) {
                cx.tracked.leave(key, member);
                gone.extend(cx.tracked.release_named(key, false).1);
            }
        }
        let name = cx.hub.name(channel).clone();
        tell_home(cx, name, gone);
        self.tidy_polls(channel);
    }

    /// Gives the memory back when no key is left.
    fn tidy_polls(&mut self, channel: LocalChannel) {
        if let Some(background) = &mut self.background
            && background.polls.get(&channel).is_some_and(|polled| polled.keys.is_empty())
        {
            background.polls.remove(&channel);
        }
        self.tidy_background();
    }
}

impl Departure {
    /// The keys of a connection that is gone, each with the name of its channel.
    pub(super) fn leftovers(cx: &Cx<'_>, polls: Polls) -> Vec<Leftover> {
        let named = |(local, polled): (LocalChannel, Polled)| Leftover {
            channel: cx.hub.name(local).clone(),
            keys: polled.keys.into_iter(),
        };
        polls.into_iter().map(named).collect()
    }
}

fn tell_home(cx: &mut Cx<'_>, channel: ChannelName, gone: Vec<ChannelName>) {
    if !gone.is_empty() {
        cx.effects.push(Effect::Op { channel, op: untrack(gone), tag: 0 });
    }
}

fn untrack(keys: Vec<ChannelName>) -> Op {
    Op::Poll(Box::new(PollOp::Untrack { keys }))
}
