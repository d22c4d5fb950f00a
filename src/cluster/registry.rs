//! The other nodes that are there.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::NodeInfo;
use crate::base::time::Now;
use crate::protocol::control;

/// A node that was silent for so long is forgotten, milliseconds (upstream: `nodeInfoMaxDelay`).
const MAX_SILENCE_MS: u64 = 7_000;

/// Nodes known at most; further ones are passed over.
const MAX_NODES: usize = 10_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Registry {
    nodes: BTreeMap<Box<str>, Known>,
}

#[derive(Debug)]
struct Known {
    info: Arc<NodeInfo>,
    heard_ms: u64,
}

impl Registry {
    /// Nodes beside this one.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// What they last said.
    pub fn list(&self) -> Vec<Arc<NodeInfo>> {
        self.nodes.values().map(|known| known.info.clone()).collect()
    }

    /// A node says that it is there. Whether it is new. It tells its metrics only once for each interval.
    pub fn heard_of(&mut self, node: &control::Node<'_>, now: Now) -> bool {
        let before = self.nodes.get(&*node.uid);
        if before.is_none() && self.nodes.len() == MAX_NODES {
            return false;
        }
        let mut info = NodeInfo::of(node);
        info.metrics = info.metrics.or_else(|| before.and_then(|known| known.info.metrics.clone()));
        let known = Known { info: Arc::new(info), heard_ms: now.mono_ms };
        self.nodes.insert((*node.uid).into(), known).is_none()
    }

    /// A node ended.
    pub fn forget(&mut self, uid: &str) {
        self.nodes.remove(uid);
    }

    /// Nodes that ended without a word.
    pub fn forget_silent(&mut self, now: Now) {
        self.nodes.retain(|_, known| known.heard_ms + MAX_SILENCE_MS >= now.mono_ms);
    }
}
