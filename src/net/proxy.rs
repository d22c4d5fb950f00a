//! Passing a request on to another server and its response back (`admin.web_proxy_address`), for the development of
//! admin pages. Speaks HTTP/1.0 to it, so that a response ends with its connection.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::rt::{Read, ReadBuf, Write};
use hyper::{Method, StatusCode};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use super::http::{Body, Reply};
use super::reply::{plain_status, reply};
use super::routes::{Host, collect};
use super::stream::{HttpSocket, HttpStream};
use crate::base::ids::ConnId;
use crate::config::snapshot::WebProxy;

/// Bytes of a request's body, and of a whole response, that are passed on at most.
const MAX_BODY: usize = 1 << 20;
const MAX_RESPONSE: usize = 16 << 20;
/// Headers of a response that are passed on at most.
const MAX_HEADERS: usize = 100;

/// Headers that concern one connection alone, and those that are made anew.
const OF_THE_CONNECTION: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Begins to connect: the socket can be written to when it is connected.
pub fn dial(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// Hangs up when the exchange is over, or nobody waits for it any more.
struct Call<'h, H: Host> {
    host: &'h H,
    key: ConnId,
    socket: Rc<HttpSocket>,
}

impl<H: Host> Drop for Call<'_, H> {
    fn drop(&mut self) {
        self.host.hang_up(self.key);
    }
}

/// The other server's response; 502 when there is none that can be passed on, 503 when too many are asked for at once.
pub async fn pass_on<H: Host>(host: &H, to: &WebProxy, request: hyper::Request<Body>) -> Reply {
    let (head, body) = request.into_parts();
    let body = match collect(body, MAX_BODY).await {
        Ok(body) => body,
        Err(status) => return plain_status(status),
    };
    let mut bytes = request_head(to, &head, body.len());
    bytes.extend_from_slice(&body);
    let Some((key, socket)) = host.dial(to.address) else { return plain_status(StatusCode::SERVICE_UNAVAILABLE) };
    let call = Call { host, key, socket };
    match exchange(&call.socket, &bytes).await.and_then(|response| parse(response, &head.method)) {
        Ok(reply) => reply,
        Err(error) => {
            tracing::error!(%error, address = %to.address, "admin web proxy error");
            plain_status(StatusCode::BAD_GATEWAY)
        }
    }
}

fn request_head(to: &WebProxy, head: &hyper::http::request::Parts, body: usize) -> Vec<u8> {
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut out = format!("{} {}{target} HTTP/1.0\r\nHost: {}\r\n", head.method, to.path, to.authority).into_bytes();
    for (name, value) in head.headers.iter().filter(|(name, _)| !OF_THE_CONNECTION.contains(&name.as_str())) {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if body > 0 || !matches!(head.method, Method::GET | Method::HEAD) {
        out.extend_from_slice(format!("Content-Length: {body}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Writes the request and reads the response to its end.
async fn exchange(socket: &Rc<HttpSocket>, mut request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = HttpStream(socket.clone());
    while !request.is_empty() {
        let written = poll_fn(|cx| Pin::new(&mut stream).poll_write(cx, request)).await?;
        request = &request[written..];
    }
    let mut response = Vec::new();
    let mut piece = vec![0; 16 << 10];
    loop {
        let read = poll_fn(|cx| {
            let mut buffer = ReadBuf::new(&mut piece);
            Pin::new(&mut stream).poll_read(cx, buffer.unfilled()).map_ok(|()| buffer.filled().len())
        })
        .await?;
        if read == 0 {
            return Ok(response);
        }
        if response.len() + read > MAX_RESPONSE {
            return Err(io::Error::other("the response is longer than 16 MiB"));
        }
        response.extend_from_slice(&piece[..read]);
    }
}

/// The response as ours.
fn parse(response: Vec<u8>, method: &Method) -> io::Result<Reply> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let end = memchr::memmem::find(&response, b"\r\n\r\n").ok_or_else(|| bad("the response has no head"))?;
    let head = std::str::from_utf8(&response[..end]).map_err(|_| bad("the head of the response is no text"))?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let is_http = words.next().is_some_and(|version| version.starts_with("HTTP/1."));
    let status = words.next().and_then(|code| code.parse().ok()).and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.filter(|_| is_http).ok_or_else(|| bad("the response is no HTTP"))?;
    if status.is_informational() {
        return Err(bad("the response changes the protocol"));
    }
    let (mut out, mut content_length) = (reply(status, "", Bytes::new()), None);
    for line in lines.take(MAX_HEADERS) {
        let (name, value) = line.split_once(':').ok_or_else(|| bad("a header has no colon"))?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("a header has a bad name"))?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| bad("a header has a bad value"))?;
        match name.as_str() {
            "transfer-encoding" => return Err(bad("the response comes in chunks, which HTTP/1.0 does not know")),
            "content-length" => content_length = value.to_str().ok().and_then(|text| text.parse::<usize>().ok()),
            known if OF_THE_CONNECTION.contains(&known) => {}
            _ => _ = out.headers_mut().append(name, value),
        }
    }
    let body = &response[end + 4..];
    if *method != Method::HEAD && content_length.is_some_and(|length| length > body.len()) {
        return Err(bad("the response is cut off"));
    }
    out.headers_mut().remove(header::CONTENT_LENGTH);
    *out.body_mut() = Bytes::copy_from_slice(body).into();
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(response: &str, expected: Result<(u16, &str), &str>) {
        let parsed = parse(response.as_bytes().to_vec(), &Method::GET);
        let found = parsed.as_ref().map(|reply| {
            let kind = reply.headers().get("x-kind").and_then(|value| value.to_str().ok());
            (reply.status().as_u16(), kind.unwrap_or(""))
        });
        assert_eq!(found.map_err(ToString::to_string), expected.map_err(str::to_owned), "{response}");
        if let Ok(reply) = &parsed {
            assert!(reply.headers().keys().all(|name| !OF_THE_CONNECTION.contains(&name.as_str())), "{response}");
        }
    }

    #[test]
    fn responses_are_taken_apart() {
        check("HTTP/1.1 200 OK\r\nX-Kind: a\r\nConnection: close\r\n\r\nbody", Ok((200, "a")));
        check("HTTP/1.0 404 Not Found\r\n\r\n", Ok((404, "")));
        check("HTTP/1.1 301\r\nContent-Length: 0\r\n\r\n", Ok((301, "")));
        for (response, why) in [
            ("", "the response has no head"),
            ("HTTP/1.1 200 OK\r\n", "the response has no head"),
            ("SSH-2.0 200\r\n\r\n", "the response is no HTTP"),
            ("HTTP/1.1 abc\r\n\r\n", "the response is no HTTP"),
            ("HTTP/1.1 101 Switching\r\n\r\n", "the response changes the protocol"),
            ("HTTP/1.1 200 OK\r\nnothing\r\n\r\n", "a header has no colon"),
            ("HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n", "a header has a bad name"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbody", "the response is cut off"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "the response comes in chunks, which HTTP/1.0 does not know",
            ),
        ] {
            check(response, Err(why));
        }
    }
}
