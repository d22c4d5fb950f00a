//! A simulated client's side of shared-poll channels: it tracks keys and stops to, drops out and comes back with the
//! versions it knows, and notices a version that is not newer, is not of the key, or comes unasked.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::setup::{POLL_SECRET, is_versioned};
use super::truth::Truth;
use super::wants::Wants;
use crate::auth::track::{Tracked, sign};
use crate::protocol::Protocol;
use crate::protocol::client::{
    Command, KeyedItem, Publication, Reply, SubRefreshRequest, SubscribeRequest, SubscribeResult, TrackBatch,
    UnsubscribeRequest,
};
use crate::protocol::disconnect::Unsubscribe;
use crate::protocol::error::Error;

const SHARED_POLL: i32 = 4;
const TRACK: i32 = 1;
const UNTRACK: i32 = 2;

/// What a client does with a channel.
pub(super) enum Act {
    Subscribe,
    Unsubscribe,
    /// Tracks keys; from the versions it knows, or from nothing.
    Track {
        keys: Vec<String>,
        anew: bool,
    },
    Untrack {
        keys: Vec<String>,
    },
}

/// A command that is not answered.
pub(super) enum Asked {
    Subscribe { channel: String },
    Unsubscribe { channel: String },
    Track { channel: String, life: u64, named: Vec<(String, u64)> },
    Untrack { channel: String, life: u64, keys: Vec<String> },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Step {
    #[default]
    Nothing,
    Asked,
    Live,
    Leaving,
}

/// A channel as a client has it.
#[derive(Default)]
pub(super) struct Watch {
    step: Step,
    /// Subscriptions that began or ended so far.
    life: u64,
    /// What versions count in, as it was told last.
    epoch: String,
    keys: BTreeMap<String, Known>,
}

/// A key as a client has it.
#[derive(Default)]
pub(super) struct Known {
    pub(super) is_tracked: bool,
    version: u64,
    /// Of that version.
    pub(super) data: Vec<u8>,
    /// Data that a patch may build upon: the server has sent it since the key is tracked.
    base: Option<Vec<u8>>,
}

/// All shared-poll channels of a client.
#[derive(Default)]
pub(super) struct Polls {
    watches: BTreeMap<String, Watch>,
    /// Versions that came.
    pub(super) versions: u64,
    /// Of those, patches.
    pub(super) patches: u64,
    /// Keys that were said to be gone.
    pub(super) removals: u64,
    /// Subscriptions that ended for another epoch.
    pub(super) resets: u64,
}

impl Watch {
    pub(super) fn is_live(&self) -> bool {
        self.step == Step::Live
    }

    /// The keys that it tracks.
    pub(super) fn tracked(&self) -> impl Iterator<Item = (&String, &Known)> {
        self.keys.iter().filter(|(_, known)| known.is_tracked)
    }

    /// Nothing is tracked any more; versions are remembered.
    fn end(&mut self) {
        self.step = Step::Nothing;
        self.life += 1;
        self.keys.values_mut().for_each(|known| known.is_tracked = false);
    }
}

impl Polls {
    /// The channel as far as the client has it.
    pub(super) fn watch(&self, channel: &str) -> Option<&Watch> {
        self.watches.get(channel)
    }

    pub(super) fn is_live(&self, channel: &str) -> bool {
        self.watch(channel).is_some_and(Watch::is_live)
    }

    /// Whether the client is not subscribed, nor waits for it.
    pub(super) fn may_subscribe(&self, channel: &str) -> bool {
        self.watch(channel).is_none_or(|watch| watch.step == Step::Nothing)
    }

    pub(super) fn disconnected(&mut self) {
        self.watches.values_mut().for_each(Watch::end);
    }

    /// The command for it, without an id.
    pub(super) fn command(&mut self, channel: &str, act: Act, user: &str) -> (Asked, Command<'static>) {
        let watch = self.watches.entry(channel.to_owned()).or_default();
        let name = || Cow::Owned(channel.to_owned());
        let (channel, life) = (channel.to_owned(), watch.life);
        let mut command = Command::default();
        let asked = match act {
            Act::Subscribe => {
                watch.step = Step::Asked;
                let request = SubscribeRequest {
                    channel: name(),
                    r#type: SHARED_POLL,
                    delta: "fossil".into(),
                    ..SubscribeRequest::default()
                };
                command.subscribe = Some(Box::new(request));
                Asked::Subscribe { channel }
            }
            Act::Unsubscribe => {
                watch.step = Step::Leaving;
                command.unsubscribe = Some(UnsubscribeRequest { channel: name() });
                Asked::Unsubscribe { channel }
            }
            Act::Track { keys, anew } => {
                let signature = sign(POLL_SECRET, (0, 0), Tracked { user, channel: &channel, keys: &keys.join("\0") });
                let version = |key: &String| watch.keys.get(key).filter(|_| !anew).map_or(0, |known| known.version);
                let named: Vec<_> = keys.into_iter().map(|key| (key.clone(), version(&key))).collect();
                let items = named.iter().map(|(key, version)| KeyedItem { key: key.clone().into(), version: *version });
                let track = vec![TrackBatch { signature: signature.into(), items: items.collect() }];
                let request = SubRefreshRequest { channel: name(), r#type: TRACK, track, ..Default::default() };
                command.sub_refresh = Some(Box::new(request));
                Asked::Track { channel, life, named }
            }
            Act::Untrack { keys } => {
                let untrack = keys.iter().map(|key| Cow::Owned(key.clone())).collect();
                let request = SubRefreshRequest { channel: name(), r#type: UNTRACK, untrack, ..Default::default() };
                command.sub_refresh = Some(Box::new(request));
                Asked::Untrack { channel, life, keys }
            }
        };
        (asked, command)
    }

    /// Takes an answer.
    pub(super) fn on_reply(&mut self, asked: Asked, reply: &Reply<'_>) -> Result<(), String> {
        let (Asked::Subscribe { channel }
        | Asked::Unsubscribe { channel }
        | Asked::Track { channel, .. }
        | Asked::Untrack { channel, .. }) = &asked;
        let watch = self.watches.get_mut(channel).ok_or("a channel that nobody asked for")?;
        let is_over = matches!(asked, Asked::Track { life, .. } | Asked::Untrack { life, .. } if life != watch.life);
        match (&reply.error, asked) {
            (Some(error), _) if is_over && error.code == Error::PERMISSION_DENIED.code => {}
            // The broker cannot tell of them.
            (Some(error), Asked::Track { .. }) if error.code == Error::INTERNAL.code => {}
            (Some(error), Asked::Track { channel, .. } | Asked::Untrack { channel, .. }) => {
                return Err(format!("{channel}: keys refused with {} {}", error.code, error.message));
            }
            (Some(error), _) => return Err(format!("a shared-poll channel is refused with {}", error.code)),
            (None, Asked::Subscribe { channel }) => {
                let result = reply.subscribe.as_ref().ok_or("the reply to subscribe holds something else")?;
                watch.on_subscribed(&channel, result)?;
            }
            // It may have ended meanwhile.
            (None, Asked::Unsubscribe { .. }) => watch.end(),
            (None, Asked::Track { .. } | Asked::Untrack { .. }) if is_over => {
                return Err("keys of a subscription that is over are tracked, or not any more".to_owned());
            }
            (None, Asked::Track { named, .. }) => {
                for (key, version) in named {
                    let known = watch.keys.entry(key).or_default();
                    if version != known.version {
                        known.data.clear();
                    }
                    (known.is_tracked, known.version, known.base) = (true, version, None);
                }
            }
            (None, Asked::Untrack { keys, .. }) => {
                for key in keys {
                    watch.keys.entry(key).or_default().is_tracked = false;
                }
            }
        }
        Ok(())
    }

    /// Takes a version of a key.
    pub(super) fn on_push(
        &mut self,
        protocol: Protocol,
        channel: &str,
        told: &Publication<'_>,
        truth: &mut Truth,
    ) -> Result<(), String> {
        let key = &*told.key;
        let watch = self.watches.get_mut(channel).filter(|watch| matches!(watch.step, Step::Live | Step::Leaving));
        let watch = watch.ok_or_else(|| format!("{channel}: {key}, unasked"))?;
        let known = watch.keys.get_mut(key).filter(|known| known.is_tracked);
        let known = known.ok_or_else(|| format!("{channel}: {key} is not tracked"))?;
        if told.removed {
            self.removals += 1;
            watch.keys.remove(key);
            return Ok(());
        }
        if told.version <= known.version {
            return Err(format!("{channel}: {key} comes in version {} behind {}", told.version, known.version));
        }
        self.versions += 1;
        self.patches += u64::from(told.delta);
        let data = Wants { delta: true, filter: false }.payload(protocol, told, known.base.as_ref())?;
        let read: serde_json::Value = serde_json::from_slice(&data)
            .map_err(|error| format!("{channel}: {key} reads {:?}: {error}", String::from_utf8_lossy(&data)))?;
        if read["k"] != *key || is_versioned(channel) && read["v"] != told.version {
            return Err(format!("{channel}: {key} in version {} is {read}", told.version));
        }
        let epoch = if is_versioned(channel) { read["e"].to_string() } else { watch.epoch.clone() };
        truth.agree(&format!("{channel}/{key}"), &epoch, told.version, &data)?;
        (known.version, known.base) = (told.version, Some(data.clone()));
        known.data = data;
        Ok(())
    }

    /// The subscription ended because versions count in another epoch: nothing that was known counts.
    pub(super) fn on_end(&mut self, channel: &str, code: u32) -> Result<(), String> {
        match self.watches.get_mut(channel) {
            _ if code != Unsubscribe::INSUFFICIENT_STATE.code => Err(format!("{channel}: ended with {code}")),
            Some(watch) if matches!(watch.step, Step::Live | Step::Leaving) => {
                self.resets += 1;
                let step = watch.step;
                watch.end();
                watch.keys.clear();
                // Whoever is leaving still waits for the answer.
                if step == Step::Leaving {
                    watch.step = step;
                }
                Ok(())
            }
            _ => Err(format!("{channel}: ended, and was not live")),
        }
    }
}

impl Watch {
    fn on_subscribed(&mut self, channel: &str, result: &SubscribeResult<'_>) -> Result<(), String> {
        if self.step != Step::Asked || result.r#type != SHARED_POLL || !result.delta {
            return Err(format!("{channel}: in step {:?} came {result:?}", self.step));
        }
        self.step = Step::Live;
        if *result.epoch != self.epoch {
            self.keys.clear();
            self.epoch = result.epoch.to_string();
        }
        Ok(())
    }
}
