//! What a method needs once it is checked, and what it waits for.

use smallvec::SmallVec;

use super::control::{Control, ControlAnswer};
use super::request::ApiCx;
use super::{channels, history, info, maps, pages, presence, publish, scrape, sessions};
use crate::channel::name::ChannelName;
use crate::channel::op::{Answer, Op};
use crate::channel::rules;
use crate::config::snapshot::ChannelOptions;
use crate::protocol::NotJson;
use crate::protocol::error::Error;
use crate::protocol::json::encode;
use crate::protocol::json::write::Style;
use crate::protocol::message::Message;

/// Requests for homes, in order.
pub(super) type Ops = SmallVec<[(ChannelName, Op); 1]>;

/// A method after its checks.
#[derive(Debug)]
pub(super) enum Step {
    /// It failed.
    Failed(Error),
    /// It succeeded without asking anyone: the encoded result.
    Done(Vec<u8>),
    /// It asks homes.
    Ops(Ops, Wait),
    /// It asks every shard.
    Survey(Control, Wait),
}

/// What a method makes of the answers.
#[derive(Debug)]
pub(super) enum Wait {
    Publish,
    Map(maps::MapWait),
    Pages(Box<pages::Pages>),
    Broadcast(publish::Broadcast),
    Presence(Box<presence::Present>),
    PresenceStats,
    HistoryRemove,
    Sessions(sessions::Sessions),
    Channels(channels::Channels),
    Info(info::Info),
    Scrape(scrape::Scrape),
}

/// Why a method has no result.
#[derive(Debug, PartialEq)]
pub(super) enum Failed {
    /// An error for the caller.
    Error(Error),
    /// A payload in the result is no JSON: the whole response fails.
    NotJson,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed::Error(error)
    }
}

impl From<NotJson> for Failed {
    fn from(_: NotJson) -> Self {
        Failed::NotJson
    }
}

/// How a method ended; the result itself is appended to a buffer.
pub(super) type Outcome = Result<(), Failed>;

impl Step {
    /// A result that is known at once.
    pub(super) fn result(write: impl FnOnce(&mut Vec<u8>) -> Outcome) -> Step {
        let mut out = Vec::new();
        match write(&mut out) {
            Ok(()) => Step::Done(out),
            Err(Failed::Error(error)) => Step::Failed(error),
            Err(Failed::NotJson) => Step::Failed(Error::INTERNAL),
        }
    }
}

impl Wait {
    /// A home answered the request at this place in [`Ops`]. The outcome when it was the last answer.
    pub(super) fn on_answer(
        &mut self,
        cx: &mut ApiCx<'_>,
        at: usize,
        answer: Answer,
        out: &mut Vec<u8>,
    ) -> Option<Outcome> {
        match self {
            Wait::Map(wait) => Some(wait.answered(answer, out)),
            Wait::Publish => Some(publish::published(answer, out)),
            Wait::Broadcast(broadcast) => broadcast.on_answer(cx, at, answer, out),
            Wait::Presence(present) => present.take(answer, out),
            Wait::PresenceStats => Some(presence::counted(answer, out)),
            Wait::Pages(pages) => pages.on_answer(answer, out),
            Wait::HistoryRemove => Some(history::removed(answer, out)),
            Wait::Sessions(_) | Wait::Channels(_) | Wait::Info(_) | Wait::Scrape(_) => None,
        }
    }

    /// A shard answered.
    pub(super) fn on_shard(&mut self, answer: ControlAnswer) {
        match self {
            Wait::Sessions(sessions) => sessions.add(answer),
            Wait::Channels(channels) => channels.add(answer),
            Wait::Info(info) => info.add(answer),
            Wait::Scrape(scrape) => scrape.add(answer),
            Wait::Publish
            | Wait::Map(_)
            | Wait::Pages(_)
            | Wait::Broadcast(_)
            | Wait::Presence(_)
            | Wait::PresenceStats
            | Wait::HistoryRemove => {}
        }
    }

    /// Everything was answered, and the result is long: [`Wait::write`] goes on with it.
    pub(super) fn goes_on(&self) -> bool {
        matches!(self, Wait::Presence(present) if present.goes_on())
    }

    /// All have answered: goes on with the result, within the budget. The outcome when it is whole.
    pub(super) fn write(&mut self, cx: &ApiCx<'_>, budget: &mut usize, out: &mut Vec<u8>) -> Option<Outcome> {
        match self {
            Wait::Channels(channels) => channels.write(budget, out),
            Wait::Info(info) => info.write(cx, budget, out),
            Wait::Scrape(scrape) => scrape.write(cx, budget, out),
            Wait::Sessions(sessions) => Some(sessions.write(out)),
            Wait::Presence(present) => present.write(budget, out),
            _ => Some(Ok(())),
        }
    }
}

/// One request and what is made of its answer.
pub(super) fn ask(channel: &str, op: Op, wait: Wait) -> Step {
    let mut ops = Ops::new();
    ops.push((ChannelName::new(channel), op));
    Step::Ops(ops, wait)
}

/// The options of the channel's namespace.
///
/// # Errors
/// 107 without a channel, 102 when the namespace is not configured.
pub(super) fn options<'c>(cx: &ApiCx<'c>, channel: &str) -> Result<&'c ChannelOptions, Error> {
    if channel.is_empty() {
        return Err(Error::BAD_REQUEST);
    }
    rules::options(&cx.config.channel, channel).ok_or(Error::UNKNOWN_CHANNEL)
}

/// Appends a result.
pub(super) fn write<'a>(result: &impl Message<'a>, out: &mut Vec<u8>) -> Outcome {
    Ok(encode(result, Style::Api, out)?)
}

impl From<Result<Step, Error>> for Step {
    fn from(checked: Result<Step, Error>) -> Self {
        checked.unwrap_or_else(Step::Failed)
    }
}
