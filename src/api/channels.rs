//! `channels`: which channels have subscribers, and how many (upstream: internal/survey).

use std::borrow::Cow;
use std::collections::HashMap;

use super::control::{Control, ControlAnswer};
use super::step::{Outcome, Step, Wait, write};
use crate::base::glob::Glob;
use crate::channel::name::ChannelName;
use crate::protocol::api::{ChannelInfo, ChannelsRequest, ChannelsResult};
use crate::protocol::error::Error;

/// Adds up the subscribers of all shards.
#[derive(Debug, Default)]
pub(super) struct Channels {
    clients: HashMap<ChannelName, u32>,
}

pub(super) fn channels(request: &ChannelsRequest<'_>) -> Step {
    let pattern = match &*request.pattern {
        "" => None,
        pattern => match Glob::new(pattern) {
            Ok(glob) => Some(glob),
            Err(_) => return Step::Failed(Error::INTERNAL),
        },
    };
    Step::Survey(Control::Channels { pattern }, Wait::Channels(Channels::default()))
}

impl Channels {
    pub(super) fn add(&mut self, answer: ControlAnswer) {
        if let ControlAnswer::Channels(channels) = answer {
            for (channel, clients) in channels {
                *self.clients.entry(channel).or_default() += clients;
            }
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Outcome {
        let mut channels: Vec<_> = self
            .clients
            .iter()
            .map(|(channel, clients)| (channel.as_str().into(), ChannelInfo { num_clients: *clients }))
            .collect();
        channels.sort_unstable_by(|a: &(Cow<'_, str>, ChannelInfo), b| a.0.cmp(&b.0));
        write(&ChannelsResult { channels }, out)
    }
}
