//! What is read of a channel at its broker: the history of a stream, or the changes of a map.

use crate::channel::broker_op::{BrokerOp, Read, Realm};
use crate::channel::map_op::{MapOp, MapOptions};
use crate::channel::op::Since;
use crate::channel::publication::Epoch;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// History, whose offset and epoch are kept for so many seconds.
    Stream {
        /// 0 = for ever.
        meta_ttl_s: u32,
    },
    /// Changes of a map.
    Map(MapOptions),
}

impl Source {
    pub(super) fn realm(self) -> Realm {
        match self {
            Self::Stream { .. } => Realm::Streams,
            Self::Map(_) => Realm::Maps,
        }
    }

    /// Asks for this.
    pub(super) fn op(self, read: Read) -> BrokerOp {
        match self {
            Self::Stream { .. } => BrokerOp::History(read),
            Self::Map(options) => {
                let since = read.since.map(|offset| Since { offset, epoch: Box::default() });
                let (limit, reverse) = (read.limit, read.reverse);
                BrokerOp::Map(Box::new(MapOp::ReadStream { options, since, limit, reverse }))
            }
        }
    }

    /// Has it go on under another epoch than this.
    pub(super) fn change_epoch(self, of: Epoch) -> BrokerOp {
        match self {
            Self::Stream { meta_ttl_s } => BrokerOp::ChangeEpoch { of, meta_ttl_s },
            Self::Map(options) => BrokerOp::ChangeMapEpoch { of, options },
        }
    }

    /// Reads forwards, from behind `since`; at most `limit`, 0 = the position alone, negative = all.
    pub(super) fn read(self, since: Option<u64>, limit: i32) -> BrokerOp {
        let meta_ttl_s = match self {
            Self::Stream { meta_ttl_s } => meta_ttl_s,
            Self::Map(_) => 0,
        };
        self.op(Read { since, limit, reverse: false, meta_ttl_s })
    }
}
