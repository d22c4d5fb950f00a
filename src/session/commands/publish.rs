//! `publish`: into a stream; maps come later.

use bytes::Bytes;

use super::options_of;
use crate::channel::op::{Answer, Op, PublishOp};
use crate::channel::publication::{Epoch, Publication};
use crate::channel::rules;
use crate::config::snapshot::SubscriptionType;
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
        let channel = cx.hub.find(&request.channel);
        if !self.claim(cx, channel).may_publish(options) {
            return Err(Error::PERMISSION_DENIED.into());
        }
        let op = PublishOp {
            publication: Publication {
                data: Bytes::copy_from_slice(request.data.as_bytes()),
                info: Some(self.info_in(channel)),
                tags: None,
                offset: 0,
                epoch: Epoch::NONE,
                unix_ms: 0,
                taken_us: 0,
            },
            history: options.history,
            delta: options.delta_publish,
            idempotency_key: None,
            version: 0,
            version_epoch: "".into(),
        };
        let name = name_of(cx, channel, &request.channel);
        self.wait_for(cx, name, Op::Publish(Box::new(op)), Pending::Publish { id });
        Ok(())
    }

    /// Maps are not served yet. Where a namespace has none, nobody may publish into one, and insecure mode only comes
    /// as far as the missing map (upstream: client.go `handleMapPublish`).
    pub(super) fn publish_to_map(&mut self, cx: &mut Cx<'_>, request: &PublishRequest<'_>) -> Outcome {
        let options = options_of(cx, &request.channel)?;
        let is_map = !matches!(options.subscription_type, SubscriptionType::Stream | SubscriptionType::SharedPoll);
        Err(match (is_map, cx.config.client.insecure) {
            (true, _) => Error::NOT_AVAILABLE,
            (false, false) => Error::PERMISSION_DENIED,
            (false, true) if request.key.is_empty() => Error::BAD_REQUEST,
            (false, true) => Error::INTERNAL,
        }
        .into())
    }

    pub(in crate::session) fn on_published(&mut self, cx: &mut Cx<'_>, id: u32, answer: Answer) -> Outcome {
        if let Answer::Failed(error) = answer {
            return Err(error.into());
        }
        self.send(cx, &Reply { id, publish: Some(PublishResult {}), ..Reply::default() });
        Ok(())
    }
}
