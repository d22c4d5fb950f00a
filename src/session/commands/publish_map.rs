//! `publish` into a map: a key is set or removed (upstream: centrifuge client.go `handleMapPublish`,
//! `handleMapRemove`; centrifugo internal/client/handler.go `OnMapPublish`, `OnMapRemove`).

use std::borrow::Cow;

use bytes::Bytes;

use super::options_of;
use crate::channel::map_op::{MapOp, MapPublishOp};
use crate::channel::op::Op;
use crate::channel::publication::{MapEntry, Publication};
use crate::config::snapshot::ClientKey;
use crate::protocol::client::PublishRequest;
use crate::protocol::error::Error;
use crate::session::Cx;
use crate::session::state::{Outcome, Pending, Session, name_of};

impl Session {
    pub(super) fn publish_to_map(&mut self, cx: &mut Cx<'_>, id: u32, request: &PublishRequest<'_>) -> Outcome {
        let options = options_of(cx, &request.channel)?;
        let rules = &options.map_rules;
        let permission = if request.removed { rules.remove } else { rules.publish };
        if permission.proxied {
            // Without the backend nobody can decide.
            return Err(Error::NOT_AVAILABLE.into());
        }
        let channel = cx.hub.find(&request.channel);
        if !self.claim(cx, channel).may_change_map(permission) {
            return Err(Error::PERMISSION_DENIED.into());
        }
        let key = match rules.client_key {
            ClientKey::Named => Cow::Borrowed(&*request.key),
            ClientKey::ClientId => Cow::Owned(self.client.to_string()),
            ClientKey::UserId if self.user().is_empty() => return Err(Error::PERMISSION_DENIED.into()),
            ClientKey::UserId => Cow::Borrowed(self.user()),
        };
        if key.is_empty() {
            return Err(Error::BAD_REQUEST.into());
        }
        // Where a namespace has no maps, insecure mode comes as far as here.
        let kept = options.map.ok_or(Error::INTERNAL)?;
        let op = if request.removed {
            MapOp::Remove { options: kept, key: key.into(), idempotency_key: None }
        } else {
            let publication = Publication {
                info: Some(self.info_in(channel)),
                entry: MapEntry::set(&key),
                ..Publication::bare(Bytes::copy_from_slice(request.data.as_bytes()))
            };
            MapOp::Publish(MapPublishOp { delta: options.delta_publish, ..MapPublishOp::plain(kept, publication) })
        };
        let name = name_of(cx, channel, &request.channel);
        self.wait_for(cx, name, Op::Map(Box::new(op)), Pending::Publish { id });
        Ok(())
    }
}
