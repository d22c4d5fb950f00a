//! A simulated client's side of maps: it reads one page by page while it changes, goes live, drops out, recovers or
//! begins anew when it is told to, and notices every change that is missing or comes twice.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::client::Seen;
use super::truth::Truth;
use crate::channel;
use crate::protocol::client::{Publication, SubscribeRequest, SubscribeResult};
use crate::protocol::disconnect::Unsubscribe;
use crate::protocol::error::Error;

const LIVE: i32 = 0;
const STREAM: i32 = 1;
const STATE: i32 = 2;

/// Keys and data of a map.
pub(super) type Content = BTreeMap<String, Vec<u8>>;

/// A map as a client has it.
#[derive(Default)]
pub(super) struct View {
    step: Step,
    /// As of `seen`, once all pages of keys are read.
    pub(super) content: Content,
    seen: Seen,
    /// The last change, if one came since the keys.
    last: Option<Vec<u8>>,
    /// The last failover that lost changes when the client asked for the map, or came back to it.
    failover: u64,
    /// A failover lost changes while the client was not live: nobody could know that it has them.
    is_doubtful: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
enum Step {
    /// Not asked for; nothing to come back to.
    #[default]
    Nothing,
    /// Was live once.
    Left,
    /// Asked for keys behind this one.
    Keys {
        cursor: String,
    },
    /// Asked for changes; coming back, or behind the keys.
    Changes {
        comes_back: bool,
    },
    /// Comes back and asked for all changes at once.
    Rest,
    Live,
    Leaving,
}

/// The type of a subscription to a channel of this name; nothing for channels that are no maps.
pub(super) fn kind(channel: &str) -> Option<i32> {
    match channel.split(':').next()? {
        "map" => Some(1),
        "here" => Some(2),
        "users" => Some(3),
        _ => None,
    }
}

impl View {
    pub(super) fn is_live(&self) -> bool {
        self.step == Step::Live
    }

    /// Whether it is live and must have what its home has.
    pub(super) fn is_certain(&self) -> bool {
        self.is_live() && !self.is_doubtful
    }

    /// The epoch of the map that it has.
    pub(super) fn epoch(&self) -> &str {
        &self.seen.epoch
    }

    /// Whether the client waits for an answer.
    fn is_asked(&self) -> bool {
        !matches!(self.step, Step::Nothing | Step::Left | Step::Live)
    }

    /// The connection is gone: what was live can be recovered.
    fn drop_out(&mut self) {
        match self.step {
            Step::Live | Step::Leaving | Step::Left | Step::Rest | Step::Changes { comes_back: true } => {
                self.step = Step::Left;
            }
            _ => *self = Self::default(),
        }
    }

    /// What comes next.
    fn request(&self, channel: &str, limit: i32) -> SubscribeRequest<'static> {
        let (phase, cursor, recover) = match &self.step {
            Step::Keys { cursor } => (STATE, cursor.clone(), false),
            Step::Changes { comes_back } => (STREAM, String::new(), *comes_back),
            _ => (LIVE, String::new(), true),
        };
        SubscribeRequest {
            channel: Cow::Owned(channel.to_owned()),
            r#type: kind(channel).unwrap_or_default(),
            phase,
            cursor: cursor.into(),
            limit,
            recover,
            offset: self.seen.offset,
            epoch: self.seen.epoch.clone().into(),
            ..SubscribeRequest::default()
        }
    }

    /// Takes an answer. True when there is more to ask for.
    fn on_answer(&mut self, channel: &str, result: &SubscribeResult<'_>, truth: &mut Truth) -> Result<bool, String> {
        let was_keys = matches!(self.step, Step::Keys { .. });
        self.is_doubtful |= truth.last_failover(channel) != self.failover;
        if was_keys && self.seen.epoch.is_empty() {
            // What is read keeps to the first page; a page that is the last one, too, may bring changes along.
            let first = result.publications.first().map_or(result.offset, |first| first.offset - 1);
            self.seen = Seen { offset: first, epoch: result.epoch.to_string() };
        }
        if *result.epoch != *self.seen.epoch {
            return Err(format!("{channel}: went on across epochs {} and {}", self.seen.epoch, result.epoch));
        }
        for entry in &result.state {
            if entry.offset > self.seen.offset || !was_keys {
                return Err(format!("{channel}: a page shows {} though it is of {}", entry.offset, self.seen.offset));
            }
            self.content.insert(entry.key.to_string(), entry.data.as_bytes().to_vec());
        }
        for change in &result.publications {
            self.apply(channel, change, truth)?;
        }
        match result.phase {
            STATE if was_keys && result.cursor.is_empty() => self.step = Step::Changes { comes_back: false },
            STATE if was_keys => self.step = Step::Keys { cursor: result.cursor.to_string() },
            STREAM if matches!(self.step, Step::Changes { .. }) => {}
            LIVE if self.seen.offset != result.offset => {
                let (seen, offset) = (self.seen.offset, result.offset);
                return Err(format!("{channel}: live at {offset}, yet changes came only up to {seen}"));
            }
            LIVE => self.step = Step::Live,
            phase => return Err(format!("{channel}: phase {phase} answers {:?}", self.step)),
        }
        Ok(self.step != Step::Live)
    }

    fn apply(&mut self, channel: &str, change: &Publication<'_>, truth: &mut Truth) -> Result<(), String> {
        if change.offset != self.seen.offset + 1 {
            return Err(format!("{channel}: change {} behind {}", change.offset, self.seen.offset));
        }
        let before = std::mem::replace(&mut self.seen.offset, change.offset);
        let what = told(change.removed, &change.key, change.data.as_bytes());
        truth.agree(channel, &self.seen.epoch, change.offset, &what)?;
        if let Some(last) = self.last.take().filter(|_| !self.is_doubtful) {
            truth.follows(channel, &self.seen.epoch, (before, &last), (change.offset, &what))?;
        }
        self.last = Some(what);
        if change.removed {
            self.content.remove(&*change.key);
        } else {
            self.content.insert(change.key.to_string(), change.data.as_bytes().to_vec());
        }
        Ok(())
    }
}

/// A change as the truth knows it.
fn told(removed: bool, key: &str, data: &[u8]) -> Vec<u8> {
    format!("{removed}{key}={}", String::from_utf8_lossy(data)).into_bytes()
}

/// The same, of a change as the broker has it.
pub(super) fn of_change(change: &channel::publication::Publication) -> Vec<u8> {
    let entry = change.entry.as_ref();
    told(entry.is_some_and(|entry| entry.removed), entry.map_or("", |entry| &entry.key), &change.data)
}

/// All maps of a client.
#[derive(Default)]
pub(super) struct Maps {
    views: HashMap<String, View>,
    /// Steps that are to be taken next.
    owed: Vec<String>,
    pub(super) recoveries: u64,
    /// Times it was told that changes are gone.
    pub(super) told: u64,
    /// Times a map that was live ended: another one has taken its place.
    pub(super) ended: u64,
}

impl Maps {
    /// The map as far as the client has it.
    pub(super) fn view(&self, channel: &str) -> Option<&View> {
        self.views.get(channel)
    }

    pub(super) fn disconnected(&mut self) {
        self.owed.clear();
        self.views.values_mut().for_each(View::drop_out);
    }

    /// Begins to read a map, or comes back to it one way or the other. True unless it is there or on its way.
    pub(super) fn begin(&mut self, channel: &str, by_pages: bool, truth: &Truth) -> bool {
        let view = self.views.entry(channel.to_owned()).or_default();
        if view.is_live() || view.is_asked() {
            return false;
        }
        let failover = truth.last_failover(channel);
        if view.step == Step::Left {
            let Seen { offset, epoch } = &view.seen;
            view.is_doubtful |= match &view.last {
                Some(last) => truth.is_lost(channel, epoch, *offset, last),
                None => failover != view.failover,
            };
        }
        view.failover = failover;
        view.step = match view.step {
            Step::Left if by_pages => Step::Changes { comes_back: true },
            Step::Left => Step::Rest,
            _ => Step::Keys { cursor: String::new() },
        };
        self.owed.push(channel.to_owned());
        true
    }

    /// Leaves a map that is live.
    pub(super) fn leave(&mut self, channel: &str) -> bool {
        let Some(view) = self.views.get_mut(channel).filter(|view| view.is_live()) else { return false };
        view.step = Step::Leaving;
        true
    }

    pub(super) fn left(&mut self, channel: &str) {
        if let Some(view) = self.views.get_mut(channel) {
            view.step = Step::Left;
        }
    }

    /// The subscription ended because the home has another map now.
    pub(super) fn on_end(&mut self, channel: &str, code: u32) -> Result<(), String> {
        match self.views.get_mut(channel) {
            _ if code != Unsubscribe::INSUFFICIENT_STATE.code => Err(format!("{channel}: ended with {code}")),
            Some(view) if matches!(view.step, Step::Live | Step::Leaving) => {
                self.ended += 1;
                // Whoever is leaving still waits for the answer.
                if view.is_live() {
                    view.step = Step::Left;
                }
                Ok(())
            }
            _ => Err(format!("{channel}: ended, and was not live")),
        }
    }

    pub(super) fn is_owing(&self) -> bool {
        !self.owed.is_empty()
    }

    /// The next request.
    pub(super) fn next(&mut self, limit: i32) -> Option<SubscribeRequest<'static>> {
        let channel = self.owed.pop()?;
        Some(self.views.get(&channel)?.request(&channel, limit))
    }

    pub(super) fn on_answer(
        &mut self,
        channel: &str,
        result: &SubscribeResult<'_>,
        truth: &mut Truth,
    ) -> Result<(), String> {
        let view = self.views.get_mut(channel).ok_or("a map that nobody asked for")?;
        if view.on_answer(channel, result, truth)? {
            self.owed.push(channel.to_owned());
        } else {
            self.recoveries += u64::from(result.recovered);
        }
        Ok(())
    }

    /// The client is told to begin anew: changes are gone, or it took too long and its place was forgotten, or a
    /// broker could not be asked.
    pub(super) fn on_error(
        &mut self,
        channel: &str,
        code: u32,
        is_brokered: bool,
        truth: &Truth,
    ) -> Result<(), String> {
        let is_known = [Error::UNRECOVERABLE_POSITION.code, Error::PERMISSION_DENIED.code].contains(&code);
        let is_far = is_brokered && code == Error::INTERNAL.code;
        if !is_known && !is_far {
            return Err(format!("{channel}: error {code}"));
        }
        self.told += u64::from(code == Error::UNRECOVERABLE_POSITION.code);
        self.views.insert(channel.to_owned(), View::default());
        self.begin(channel, false, truth);
        Ok(())
    }

    pub(super) fn on_push(&mut self, channel: &str, change: &Publication<'_>, truth: &mut Truth) -> Result<(), String> {
        match self.views.get_mut(channel) {
            Some(view) if matches!(view.step, Step::Live | Step::Leaving) => view.apply(channel, change, truth),
            _ => Err(format!("{channel}: a change, unasked")),
        }
    }
}
