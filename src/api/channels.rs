//! `channels`: which channels have subscribers, and how many (upstream: internal/survey).

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::control::{Control, ControlAnswer};
use super::step::{Outcome, Step, Wait, write};
use crate::base::glob::Glob;
use crate::channel::name::ChannelName;
use crate::protocol::api::{ChannelInfo, ChannelsRequest, ChannelsResult};
use crate::protocol::error::Error;
use crate::protocol::json::write::{Style, Writer};
use crate::protocol::proto;

/// Bytes of an entry beside its name.
const ENTRY_BYTES: usize = r#""":{"num_clients":100000},"#.len();

/// Adds up the subscribers of all shards. Everything happens in pieces: names come in, stand in order, and leave for
/// the response one by one, so that a million of them cost no turn more than a few.
#[derive(Debug, Default)]
pub(super) struct Channels {
    clients: BTreeMap<ByText, u32>,
    /// Bytes that the result will have, if no name has to be escaped: so it need not move while it grows.
    bytes: usize,
    has_begun: bool,
    /// Another node asks: a [`crate::protocol::api::ChannelsResult`] in Protobuf.
    is_answer: bool,
    /// Another node did not answer.
    has_failed: bool,
}

/// A name in the order of its text.
#[derive(Debug, PartialEq, Eq)]
struct ByText(ChannelName);

impl Ord for ByText {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.as_str().cmp(other.0.as_str())
    }
}

impl PartialOrd for ByText {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

pub(super) fn channels(request: &ChannelsRequest<'_>) -> Step {
    let pattern = match &*request.pattern {
        "" => None,
        pattern => match Glob::new(pattern) {
            Ok(glob) => Some(glob),
            Err(_) => return Step::Failed(Error::INTERNAL),
        },
    };
    let text = (*request.pattern).into();
    Step::Survey(Control::Channels { pattern, text }, Wait::Channels(Channels::default()))
}

/// This node's channels, for another node.
pub(super) fn answer(pattern: Option<Glob>) -> Step {
    let wait = Wait::Channels(Channels { is_answer: true, ..Channels::default() });
    Step::Survey(Control::Channels { pattern, text: Box::default() }, wait)
}

impl Channels {
    pub(super) fn add(&mut self, answer: ControlAnswer) {
        match answer {
            ControlAnswer::Channels(channels) => {
                for (channel, clients) in channels {
                    self.bytes += channel.as_str().len() + ENTRY_BYTES;
                    *self.clients.entry(ByText(channel)).or_default() += clients;
                }
            }
            ControlAnswer::Failed => self.has_failed = true,
            _ => {}
        }
    }

    /// Writes so many channels of a `ChannelsResult`. None while some are left.
    pub(super) fn write(&mut self, budget: &mut usize, out: &mut Vec<u8>) -> Option<Outcome> {
        if self.has_failed {
            return Some(Err(Error::INTERNAL.into()));
        }
        if self.is_answer {
            return self.write_answer(budget, out);
        }
        if !std::mem::replace(&mut self.has_begun, true) {
            out.reserve(self.bytes + ENTRY_BYTES);
            out.extend_from_slice(b"{\"channels\":{");
        }
        while *budget > 0 {
            let Some((channel, num_clients)) = self.clients.pop_first() else {
                out.extend_from_slice(b"}}");
                return Some(Ok(()));
            };
            *budget -= 1;
            let mut writer = Writer::new(out, Style::Api);
            writer.comma(b'{');
            writer.string(channel.0.as_str());
            writer.token(":");
            if let Err(failed) = write(&ChannelInfo { num_clients }, out) {
                return Some(Err(failed));
            }
        }
        None
    }

    fn write_answer(&mut self, budget: &mut usize, out: &mut Vec<u8>) -> Option<Outcome> {
        while *budget > 0 {
            let Some((channel, num_clients)) = self.clients.pop_first() else { return Some(Ok(())) };
            *budget -= 1;
            let channels = vec![(channel.0.as_str().into(), ChannelInfo { num_clients })];
            // One entry of a map is a map of one entry: messages are merged by writing them one behind the other.
            proto::encode(&ChannelsResult { channels }, out);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_message() {
        for count in [0_u32, 1, 2, 7] {
            let names: Vec<String> = (0..count).map(|n| format!("<{n}\"")).collect();
            let mut channels = Channels::default();
            for (at, name) in names.iter().enumerate().rev() {
                channels.add(ControlAnswer::Channels(vec![(ChannelName::new(name), at as u32 + 1)]));
            }
            let mut out = Vec::new();
            let mut steps = 0;
            while channels.write(&mut 3, &mut out).is_none() {
                steps += 1;
            }
            assert_eq!(steps, count / 3);
            let info = |num_clients| ChannelInfo { num_clients };
            let message = ChannelsResult {
                channels: names.iter().zip(1..).map(|(name, clients)| (name.as_str().into(), info(clients))).collect(),
            };
            let mut expected = Vec::new();
            write(&message, &mut expected).unwrap();
            assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&expected));
        }
    }
}
