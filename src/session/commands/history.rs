//! `history`.

use super::options_of;
use crate::channel::op::{Answer, Op, Since};
use crate::protocol::client::{HistoryRequest, HistoryResult, Publication, Reply};
use crate::protocol::error::Error;
use crate::session::Cx;
use crate::session::state::{Outcome, Pending, Session, name_of};

impl Session {
    pub(super) fn history(&mut self, cx: &mut Cx<'_>, id: u32, request: &HistoryRequest<'_>) -> Outcome {
        let options = options_of(cx, &request.channel)?;
        if !options.history.is_on() {
            return Err(Error::NOT_AVAILABLE.into());
        }
        let channel = cx.hub.find(&request.channel);
        if !self.claim(cx, channel).may_see_history(options) {
            return Err(Error::PERMISSION_DENIED.into());
        }
        let op = Op::History {
            since: request.since.as_ref().map(|since| Since { offset: since.offset, epoch: (*since.epoch).into() }),
            limit: limited(request.limit, cx.config.client.history_max_publication_limit),
            reverse: request.reverse,
            // Upstream prolongs the stream's life by the default here, not by the namespace's own time.
            meta_ttl_s: cx.config.channel.history_meta_ttl_s,
        };
        let name = name_of(cx, channel, &request.channel);
        self.wait_for(cx, name, op, Pending::History { id });
        Ok(())
    }

    pub(in crate::session) fn on_history(&mut self, cx: &mut Cx<'_>, id: u32, answer: Answer) -> Outcome {
        let (publications, top) = match answer {
            Answer::History(publications, top) => (publications, top),
            Answer::Failed(error) => return Err(error.into()),
            _ => return Err(Error::INTERNAL.into()),
        };
        let result = HistoryResult {
            publications: publications.iter().map(|publication| Publication::of(publication)).collect(),
            epoch: top.epoch.as_str(),
            offset: top.offset,
        };
        self.send(cx, &Reply { id, history: Some(Box::new(result)), ..Reply::default() });
        Ok(())
    }
}

/// A negative limit asks for everything, and gets as much as is allowed (0 = all).
fn limited(asked: i32, max: u32) -> i32 {
    let max = i32::try_from(max).unwrap_or(i32::MAX);
    match (asked, max) {
        (asked, 0) => asked.max(-1),
        (asked, max) if asked < 0 => max,
        (asked, max) => asked.min(max),
    }
}

#[cfg(test)]
mod tests {
    use super::limited;

    #[test]
    fn limits_are_cut() {
        for (asked, max, expected) in [
            (0, 300, 0),
            (10, 300, 10),
            (301, 300, 300),
            (-1, 300, 300),
            (-7, 0, -1),
            (5000, 0, 5000),
            (5, u32::MAX, 5),
        ] {
            assert_eq!(limited(asked, max), expected, "{asked} {max}");
        }
    }
}
