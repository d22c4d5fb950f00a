//! One HTTP connection: hyper reads requests, [`super::routes`] answers them, an upgrade takes the socket back.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;

use super::clients::Upgrade;
use super::mux::Side;
use super::routes::{self, Host};
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

/// How an HTTP connection ended.
pub enum Ended {
    /// It became a WebSocket.
    Upgraded(Upgraded),
    /// We said the last word, and the peer may still be sending.
    ByUs,
    /// There is nobody left to write to.
    ByPeer,
}

/// The body of a request. Tells the socket when it has arrived.
pub struct Body {
    incoming: Incoming,
    socket: Rc<HttpSocket>,
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            self.socket.end_body();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// Serves requests until the peer leaves, the connection fails, or it is upgraded.
pub async fn serve<H: Host>(host: Rc<H>, socket: Rc<HttpSocket>, side: Side) -> Ended {
    let agreed: Rc<RefCell<Option<Upgrade>>> = Rc::default();
    let service = service_fn({
        let (agreed, socket) = (agreed.clone(), socket.clone());
        move |request: hyper::Request<Incoming>| {
            let (host, agreed, socket) = (host.clone(), agreed.clone(), socket.clone());
            Box::pin(async move {
                socket.begin_request(!request.body().is_end_stream());
                let body_of = |incoming| Body { incoming, socket: socket.clone() };
                let (mut reply, upgrade) = routes::answer(&*host, side, request.map(body_of)).await;
                if upgrade.is_none() && host.is_stopping() {
                    // The next request finds another server.
                    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                socket.end_request(host.now().mono_ms);
                if upgrade.is_some() {
                    agreed.replace(upgrade);
                }
                Ok::<Reply, Infallible>(reply)
            })
        }
    });
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        // A client that ends its side after the request still gets the response, as with Go's server.
        .half_close(true)
        .max_buf_size(MAX_HEAD)
        // As the reference writes them, for whoever compares bytes.
        .title_case_headers(true)
        .serve_connection(HttpStream(socket.clone()), service);
    // An error is the peer's doing: a broken request, or a reset.
    let result = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
    match agreed.take() {
        Some(upgrade) if result.is_ok() => {
            Ended::Upgraded(Upgraded { upgrade, early: connection.into_parts().read_buf })
        }
        _ if socket.is_over() => Ended::ByPeer,
        _ => Ended::ByUs,
    }
}
