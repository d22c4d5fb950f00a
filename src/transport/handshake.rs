//! The WebSocket handshake over HTTP/1.1 as a decision: headers in, accept or refusal out.
//!
//! Mirrors the order of checks of centrifuge internal/websocket/server.go, so that a client sees the same status.

use base64::Engine;
use tungstenite::handshake::derive_accept_key;

use crate::base::query;
use crate::protocol::Protocol;

/// Subprotocols in the order the server names them.
const SUBPROTOCOLS: [(&str, Protocol); 2] =
    [("centrifuge-json", Protocol::Json), ("centrifuge-protobuf", Protocol::Protobuf)];

/// What the handshake needs to know of the request. Header values are as sent; several headers of one name are joined
/// by commas.
#[derive(Clone, Copy, Debug)]
pub struct Handshake<'a> {
    /// The method is GET.
    pub is_get: bool,
    /// `Connection`.
    pub connection: &'a str,
    /// `Upgrade`.
    pub upgrade: &'a str,
    /// `Sec-WebSocket-Version`.
    pub version: &'a str,
    /// `Sec-WebSocket-Key`.
    pub key: &'a str,
    /// `Sec-WebSocket-Protocol`.
    pub subprotocols: &'a str,
    /// The query string, without the question mark.
    pub query: &'a str,
    /// The origin check let the request pass.
    pub origin_allowed: bool,
}

/// A handshake that succeeds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accept {
    /// Value of `Sec-WebSocket-Accept`.
    pub accept_key: String,
    /// Value of `Sec-WebSocket-Protocol`, if one is named.
    pub subprotocol: Option<&'static str>,
    /// What the connection speaks.
    pub protocol: Protocol,
    /// Pings are WebSocket ping frames (`cf_ws_frame_ping_pong=true`).
    pub native_ping: bool,
}

/// A handshake that fails, as an HTTP status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused(pub u16);

/// Decides. A POST fails with 400, not 405: no `Upgrade` comes with it, and that is looked at first.
pub fn decide(request: &Handshake<'_>) -> Result<Accept, Refused> {
    if !has_token(request.connection, "upgrade") || !has_token(request.upgrade, "websocket") {
        return Err(Refused(400));
    }
    if !request.is_get {
        return Err(Refused(405));
    }
    if !has_token(request.version, "13") || !is_valid_key(request.key) {
        return Err(Refused(400));
    }
    if !request.origin_allowed {
        return Err(Refused(403));
    }
    let chosen = request
        .subprotocols
        .split(',')
        .map(str::trim)
        .find_map(|wanted| SUBPROTOCOLS.into_iter().find(|(name, _)| *name == wanted));
    let by_query = query_is(request.query, "format", "protobuf") || query_is(request.query, "cf_protocol", "protobuf");
    let protocol = match chosen {
        Some((_, Protocol::Protobuf)) => Protocol::Protobuf,
        _ if by_query => Protocol::Protobuf,
        _ => Protocol::Json,
    };
    Ok(Accept {
        accept_key: derive_accept_key(request.key.as_bytes()),
        subprotocol: chosen.map(|(name, _)| name),
        protocol,
        native_ping: query_is(request.query, "cf_ws_frame_ping_pong", "true"),
    })
}

fn has_token(list: &str, token: &str) -> bool {
    list.split(',').any(|item| item.trim().eq_ignore_ascii_case(token))
}

fn is_valid_key(key: &str) -> bool {
    base64::engine::general_purpose::STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16)
}

/// Whether the first value of a query parameter is this one.
fn query_is(query: &str, name: &str, value: &str) -> bool {
    query::first(query, name).is_some_and(|found| found == value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Handshake<'static> = Handshake {
        is_get: true,
        connection: "keep-alive, Upgrade",
        upgrade: "websocket",
        version: "13",
        key: "dGhlIHNhbXBsZSBub25jZQ==",
        subprotocols: "",
        query: "",
        origin_allowed: true,
    };

    fn check(request: Handshake<'_>, expected: Result<(Option<&str>, Protocol, bool), u16>) {
        let decided = decide(&request).map(|accept| (accept.subprotocol, accept.protocol, accept.native_ping));
        assert_eq!(decided, expected.map_err(Refused), "{request:?}");
    }

    #[test]
    fn the_accept_key_is_the_one_of_the_rfc() {
        assert_eq!(decide(&GOOD).unwrap().accept_key, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn protocols_are_negotiated() {
        let with = |subprotocols, query| Handshake { subprotocols, query, ..GOOD };
        check(GOOD, Ok((None, Protocol::Json, false)));
        check(with("centrifuge-protobuf", ""), Ok((Some("centrifuge-protobuf"), Protocol::Protobuf, false)));
        check(with("x, centrifuge-json,centrifuge-protobuf", ""), Ok((Some("centrifuge-json"), Protocol::Json, false)));
        check(with("chat", ""), Ok((None, Protocol::Json, false)));
        check(with("", "format=protobuf"), Ok((None, Protocol::Protobuf, false)));
        check(
            with("centrifuge-json", "a=1&cf_protocol=protobuf"),
            Ok((Some("centrifuge-json"), Protocol::Protobuf, false)),
        );
        check(with("", "cf_ws_frame_ping_pong=true"), Ok((None, Protocol::Json, true)));
        check(with("", "format=json&format=protobuf"), Ok((None, Protocol::Json, false)));
        check(with("", "a=%zz&cf%5Fprotocol=%70rotobuf"), Ok((None, Protocol::Protobuf, false)));
    }

    #[test]
    fn bad_handshakes_are_refused_in_order() {
        check(Handshake { is_get: false, upgrade: "", ..GOOD }, Err(400));
        check(Handshake { is_get: false, ..GOOD }, Err(405));
        check(Handshake { connection: "close", ..GOOD }, Err(400));
        check(Handshake { version: "12", ..GOOD }, Err(400));
        check(Handshake { key: "dGhl", ..GOOD }, Err(400));
        check(Handshake { key: "not base64", ..GOOD }, Err(400));
        check(Handshake { origin_allowed: false, ..GOOD }, Err(403));
        check(Handshake { origin_allowed: false, version: "8", ..GOOD }, Err(400));
    }
}
