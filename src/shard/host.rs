//! The shard as its HTTP tasks see it.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use super::clock::Clock;
use super::start::Shared;
use super::turn::Inner;
use crate::api::{self, Response, ScrapeForm};
use crate::base::ids::ConnId;
use crate::base::time::Now;
use crate::config::origin::Origins;
use crate::config::snapshot::Snapshot;
use crate::net::mux::{Mux, Side};
use crate::net::proxy;
use crate::net::routes::Host;
use crate::net::site::Sites;
use crate::net::stream::HttpSocket;
use crate::net::tasks::Tasks;

/// Connections of a shard to other servers at most.
const MAX_DIALED: usize = 64;

/// One shard, shared by its loop and its HTTP tasks; all on one thread.
pub(super) struct ShardHost {
    pub(super) inner: RefCell<Inner>,
    pub(super) tasks: Tasks,
    pub(super) clock: Clock,
    pub(super) shared: Arc<Shared>,
    /// Connections to other servers.
    pub(super) dialed: Cell<usize>,
}

impl ShardHost {
    /// Waits until the engine takes input: the server API's share of backpressure.
    async fn admitted(&self) {
        poll_fn(|cx| {
            let mut inner = self.inner.borrow_mut();
            if inner.engine.takes_input() {
                return Poll::Ready(());
            }
            inner.admission.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    async fn run_call(&self, start: impl FnOnce(&mut Inner) -> Option<ConnId>) -> Response {
        let call = {
            let mut inner = self.inner.borrow_mut();
            inner.engine.set_now(self.clock.now());
            start(&mut inner)
        };
        let Some(call) = call else { return Response::overloaded() };
        let waiting = Waiting { host: self, call };
        // What the call caused is written and handed over by the next turn.
        self.tasks.want_turn();
        poll_fn(|cx| {
            let mut inner = self.inner.borrow_mut();
            match inner.engine.take_response(waiting.call) {
                Some(response) => Poll::Ready(response),
                None => {
                    inner.callers.insert(waiting.call, cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// Tells the engine when a caller goes away before its response.
struct Waiting<'a> {
    host: &'a ShardHost,
    call: ConnId,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut inner = self.host.inner.borrow_mut();
        inner.callers.remove(&self.call);
        inner.engine.abandon_call(self.call);
    }
}

impl Host for ShardHost {
    fn config(&self) -> Arc<Snapshot> {
        self.inner.borrow().engine.config().clone()
    }

    fn mux(&self, side: Side) -> &Mux {
        let found = self.shared.muxes.iter().find(|(of, _)| *of == side);
        found.map_or(const { &Mux::EMPTY }, |(_, mux)| mux)
    }

    fn origins(&self) -> &Origins {
        &self.shared.origins
    }

    fn sites(&self) -> &Sites {
        &self.shared.sites
    }

    fn now(&self) -> Now {
        self.inner.borrow().engine.now()
    }

    fn admits_connection(&self) -> bool {
        if !self.shared.take_token() {
            return false;
        }
        let limit = self.inner.borrow().engine.config().client.connection_limit;
        let is_full = self.shared.is_full(limit);
        if is_full {
            self.inner.borrow_mut().engine.metrics().connection_refused();
            if self.shared.may_complain() {
                tracing::warn!(limit, "node connection limit reached");
            }
        }
        !is_full
    }

    fn count_request(&self, path: &str, method: &str, status: u16) {
        self.inner.borrow_mut().engine.metrics().http_request(path, method, status);
    }

    fn dial(&self, address: SocketAddr) -> Option<(ConnId, Rc<HttpSocket>)> {
        if self.dialed.get() >= MAX_DIALED {
            return None;
        }
        let fd = proxy::dial(address).ok()?;
        let mono_ms = self.clock.now().mono_ms;
        let (key, socket) = self.inner.borrow_mut().adopt(fd, mono_ms)?;
        self.dialed.set(self.dialed.get() + 1);
        // The ring is told with the next turn.
        self.tasks.want_turn();
        Some((key, socket))
    }

    fn hang_up(&self, key: ConnId) {
        self.dialed.set(self.dialed.get() - 1);
        let mut inner = self.inner.borrow_mut();
        let Inner { sockets, ring, .. } = &mut *inner;
        sockets.close(key, ring);
        self.tasks.want_turn();
    }

    fn is_stopping(&self) -> bool {
        self.inner.borrow().is_stopping
    }

    async fn call(&self, request: api::Request<'_>) -> Response {
        self.admitted().await;
        self.run_call(|inner| inner.engine.call(request)).await
    }

    async fn scrape(&self, form: ScrapeForm) -> Response {
        self.run_call(|inner| inner.engine.scrape(form)).await
    }
}
