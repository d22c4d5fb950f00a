//! `publish` into a stream.

use bytes::Bytes;

use super::options_of;
use crate::channel::op::{Answer, Op, PublishOp};
use crate::channel::publication::Publication;
use crate::channel::rules;
use crate::protocol::client::{PublishRequest, PublishResult, Reply};
use crate::protocol::error::Error;
use crate::session::Cx;
use crate::session::state::{Outcome, Pending, Session, name_of};

impl Session {
    pub(super) fn publish(&mut self, cx: &mut Cx<'_>, id: u32, request: &PublishRequest<'_>) -> Outcome {
        let options = options_of(cx, &request.channel)?;
        if !rules::check_data(options.publication_data_format, request.data.as_bytes()) {
            return Err(Error::BAD_REQUEST.into());
        }
        if options.publish_proxied {
            // Without the backend nobody can decide.
            return Err(Error::NOT_AVAILABLE.into());
        }
        let channel = cx.hub.find(&request.channel);
        if !self.claim(cx, channel).may_publish(options) {
            return Err(Error::PERMISSION_DENIED.into());
        }
        let op = PublishOp {
            publication: Publication {
                info: Some(self.info_in(channel)),
                ..Publication::bare(Bytes::copy_from_slice(request.data.as_bytes()))
            },
            history: options.history,
            delta: options.delta_publish,
            idempotency_key: None,
            version_epoch: "".into(),
        };
        let name = name_of(cx, channel, &request.channel);
        self.wait_for(cx, name, Op::Publish(Box::new(op)), Pending::Publish { id });
        Ok(())
    }

    pub(in crate::session) fn on_published(&mut self, cx: &mut Cx<'_>, id: u32, answer: Answer) -> Outcome {
        if let Answer::Failed(error) = answer {
            return Err(error.into());
        }
        self.send(cx, &Reply { id, publish: Some(PublishResult {}), ..Reply::default() });
        Ok(())
    }
}
