//! What to change when the machine or the server says no: plain words for codes and error numbers. Pure.

use std::io::ErrorKind;
use std::net::SocketAddr;

use crate::Failure;

/// A connection to the server that could not be made.
pub fn unreachable(address: SocketAddr, error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::ConnectionRefused => format!(
            "{address} refuses connections: nothing listens there. Start the server, let --server start it, or name \
             its address with --url"
        ),
        ErrorKind::AddrNotAvailable => format!(
            "no free local port is left towards {address}: give more source addresses with --sources, or wait a \
             minute until the ports of earlier runs are free again"
        ),
        _ if error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => {
            "too many open files: raise the limit (ulimit -n), or open fewer connections".to_owned()
        }
        _ => format!("{address}: {error}"),
    }
    .into()
}

/// An upgrade that the server refused with this status line.
pub fn upgrade_refused(status: &str) -> Failure {
    let change = if status.contains(" 404") {
        "is this the port for clients, and websocket not disabled there?"
    } else if status.contains(" 403") {
        "the server's client.allowed_origins may keep connections out"
    } else if status.contains(" 503") || status.contains(" 429") {
        "the server's limits of connections are too low for this load"
    } else {
        "does a Centrifugo-compatible server run at this address?"
    };
    format!("the upgrade to WebSocket was refused ({status}): {change}").into()
}

/// A connection that the server ended with a close frame.
pub fn closed(code: u16, reason: &str) -> Failure {
    let change = match code {
        3500 => {
            "the token is wrong: give --hmac-secret the server's client.token.hmac_secret_key, or --token one that it \
             accepts"
        }
        3501 => "the request was bad to it; is it compatible with Centrifugo v6?",
        3507 => {
            "clients without a token are kept out: give --hmac-secret, or set \
             client.allow_anonymous_connect_without_token"
        }
        3008 => "the connection was too slow for it: this machine reads too slowly, or client.queue_max_size is small",
        3012 => "no pong came in time: this machine is overloaded",
        3001 => "the server is shutting down",
        3505 => "a connection limit of the server was reached (client.connection_limit)",
        _ => return format!("the server ended the connection: {code} {reason}").into(),
    };
    format!("the server ended the connection: {code} {reason}; {change}").into()
}

/// A command that the server answered with an error.
pub fn refused(code: u64, message: &str) -> Failure {
    let change = match code {
        101 | 109 => {
            "the token is not accepted: give --hmac-secret the server's client.token.hmac_secret_key, or a fresh --token"
        }
        102 => "the namespace does not exist: this scenario wants the channels of loadtest/server.json",
        103 => "the server's channel options forbid it: see loadtest/server.json for what the scenarios need",
        106 => "more channels on one connection than client.channel_limit allows",
        108 => "the channel option for it is off: see loadtest/server.json for what the scenarios need",
        112 => "history was trimmed or lost: the channel's history_size and history_ttl are too small for this load",
        _ => return format!("the server answered with error {code} {message}").into(),
    };
    format!("the server answered with error {code} {message}: {change}").into()
}

/// An HTTP answer of the server API that is no success.
pub fn api_refused(status: &str) -> Failure {
    let change = if status.contains(" 401") {
        "--api-key must be the server's http_api.key"
    } else if status.contains(" 404") {
        "the server API is elsewhere: name its address with --api-url (http_server.internal_port?)"
    } else {
        "what does the server's log say?"
    };
    format!("the server API answered {status}: {change}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_says_what_to_change() {
        let address = "127.0.0.1:8000".parse().expect("an address");
        let io = |kind| std::io::Error::from(kind);
        for (failure, expected) in [
            (unreachable(address, &io(ErrorKind::ConnectionRefused)), "--url"),
            (unreachable(address, &io(ErrorKind::AddrNotAvailable)), "--sources"),
            (unreachable(address, &std::io::Error::from_raw_os_error(24)), "ulimit -n"),
            (upgrade_refused("HTTP/1.1 404 Not Found"), "port for clients"),
            (closed(3500, "invalid token"), "--hmac-secret"),
            (closed(3008, "slow"), "queue_max_size"),
            (closed(3999, "other"), "3999 other"),
            (refused(103, "permission denied"), "server.json"),
            (refused(100, "internal"), "100 internal"),
            (api_refused("HTTP/1.1 401 Unauthorized"), "--api-key"),
        ] {
            assert!(failure.to_string().contains(expected), "{failure}");
        }
    }
}
