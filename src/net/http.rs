//! One HTTP connection: hyper reads requests, [`super::routes`] answers them, an upgrade takes the socket back.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;

use super::routes::{self, Host, Side, Upgrade};
use super::stream::{HttpSocket, HttpStream};

/// A response with its whole body.
pub type Reply = hyper::Response<Full<Bytes>>;

/// Bytes of a request head that are taken at most.
const MAX_HEAD: usize = 64 * 1024;

/// What is left of an HTTP connection that became a WebSocket.
pub struct Upgraded {
    /// What the handshake agreed on.
    pub upgrade: Upgrade,
    /// Bytes that came behind the handshake.
    pub early: Bytes,
}

/// Serves requests until the peer leaves, the connection fails, or it is upgraded.
pub async fn serve<H: Host>(host: Rc<H>, socket: Rc<HttpSocket>, side: Side) -> Option<Upgraded> {
    let agreed: Rc<RefCell<Option<Upgrade>>> = Rc::default();
    let service = service_fn({
        let (agreed, socket) = (agreed.clone(), socket.clone());
        move |request: hyper::Request<Incoming>| {
            let (host, agreed, socket) = (host.clone(), agreed.clone(), socket.clone());
            Box::pin(async move {
                socket.begin_request();
                let (reply, upgrade) = routes::answer(&*host, side, request).await;
                socket.end_request(host.mono_ms());
                if upgrade.is_some() {
                    agreed.replace(upgrade);
                }
                Ok::<Reply, Infallible>(reply)
            })
        }
    });
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD)
        // As the reference writes them, for whoever compares bytes.
        .title_case_headers(true)
        .serve_connection(HttpStream(socket), service);
    // An error is the peer's doing: a broken request, or a reset.
    poll_fn(|cx| connection.poll_without_shutdown(cx)).await.ok()?;
    let upgrade = agreed.take()?;
    Some(Upgraded { upgrade, early: connection.into_parts().read_buf })
}
