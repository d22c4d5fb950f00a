//! How NATS is reached (upstream: internal/natsbroker; URLs as nats.go reads them).

use super::ms_or;
use super::tls::tls;
use crate::base::query;
use crate::config::error::Error;
use crate::config::snapshot::{ClientTls, Nats, NatsBroker, NatsLogin, NatsRawMode, NatsServer};
use crate::config::value::Section;

/// Where servers are if nothing is said.
const DEFAULT_URL: &str = "nats://127.0.0.1:4222";

const DEFAULT_PORT: u16 = 4222;

/// NATS as broker, by `broker.nats.*`.
pub(super) fn broker(all: &Section) -> Result<NatsBroker, Error> {
    const SECTION: &str = "broker.nats";
    let options = all.section(SECTION);
    let raw = options.section("raw_mode");
    let read = NatsRawMode {
        prefix: raw.text("prefix").into(),
        replacements: raw.map("channel_replacements").iter().map(|(from, to)| (&**from, &**to)).map(boxed).collect(),
    };
    Ok(NatsBroker {
        nats: nats(options, SECTION)?,
        wildcards: options.bool("allow_wildcards"),
        raw: raw.bool("enabled").then_some(read),
    })
}

/// NATS as controller, by `controller.nats.*`.
pub(super) fn controller(all: &Section) -> Result<Nats, Error> {
    const SECTION: &str = "controller.nats";
    nats(all.section(SECTION), SECTION)
}

fn nats(options: &Section, section: &'static str) -> Result<Nats, Error> {
    let (servers, is_secure) = servers(options.text("url"), section)?;
    let tls = tls(options, section, "tls");
    let prefix = options.text("prefix");
    if !is_subject(prefix) {
        return Err(Error::invalid(format!("{section}.prefix"), "must be words between dots, without blanks, * and >"));
    }
    Ok(Nats {
        option: section,
        servers,
        tls: tls.or_else(|| is_secure.then(|| ClientTls::of_system(&format!("{section}.tls")))),
        dial_timeout_ms: ms_or(options, "dial_timeout", 2_000),
        write_timeout_ms: ms_or(options, "write_timeout", 60_000),
        prefix: prefix.into(),
    })
}

fn boxed((from, to): (&str, &str)) -> (Box<str>, Box<str>) {
    (from.into(), to.into())
}

/// Whether a subject without wildcards may begin so.
fn is_subject(text: &str) -> bool {
    text.split('.').all(|word| !word.is_empty() && !word.bytes().any(|byte| byte <= b' ' || b"*>\x7f".contains(&byte)))
}

/// The servers, and whether one of their URLs asks for TLS, which then is for all.
fn servers(urls: &str, section: &str) -> Result<(Vec<NatsServer>, bool), Error> {
    let mut is_secure = false;
    let written = urls.split(',').map(|url| url.trim().trim_end_matches('/')).filter(|url| !url.is_empty());
    let mut servers = Vec::new();
    for (index, url) in written.enumerate() {
        let wrong =
            |problem: &str| Error::invalid(format!("{section}.url"), format!("address {}: {problem}", index + 1));
        let (scheme, rest) = url.split_once("://").unwrap_or(("nats", url));
        match scheme {
            "nats" => {}
            "tls" => is_secure = true,
            _ => return Err(wrong("must be host:port, or begin with nats:// or tls://")),
        }
        servers.push(server(rest).map_err(wrong)?);
    }
    if servers.is_empty() {
        return self::servers(DEFAULT_URL, section);
    }
    Ok((servers, is_secure))
}

/// What stands behind the scheme. It may hold secrets, which are not repeated.
fn server(text: &str) -> Result<NatsServer, &'static str> {
    // Paths and queries say nothing.
    let authority = text.split(['/', '?', '#']).next().unwrap_or_default();
    let (account, place) =
        authority.rsplit_once('@').map_or((None, authority), |(account, place)| (Some(account), place));
    let login = match account {
        None => NatsLogin::Nobody,
        Some(account) => {
            let read = |text| query::decoded(text).ok_or("a % in user, password or token begins no escape");
            match account.split_once(':') {
                // Without a password it is a token.
                None => NatsLogin::Token(read(account)?.into()),
                Some((user, password)) => NatsLogin::User(read(user)?.into(), read(password)?.into()),
            }
        }
    };
    let (host, port) = host_and_port(place).ok_or("must name a host, and perhaps a port")?;
    Ok(NatsServer { host: host.into(), port, login })
}

/// A host such as `localhost`, `::1` in brackets, and a port if it is not the usual one.
fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (host, port.strip_prefix(':').or_else(|| Some("").filter(|_| port.is_empty()))?)
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let is_plain = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"[]@,%".contains(&byte));
    let port = match port {
        "" => DEFAULT_PORT,
        port => port.parse().ok().filter(|_| port.bytes().all(|byte| byte.is_ascii_digit()))?,
    };
    Some((host, port)).filter(|_| is_plain)
}

/// An address as servers tell it of others: a host and a port.
pub fn told_address(text: &str) -> Option<(&str, u16)> {
    host_and_port(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn read(urls: &str) -> Vec<String> {
        let (servers, is_secure) = servers(urls, "broker.nats").unwrap();
        let login = |login: &NatsLogin| match login {
            NatsLogin::Nobody => String::new(),
            NatsLogin::Token(token) => format!("{token} @ "),
            NatsLogin::User(user, password) => format!("{user} {password} @ "),
        };
        let scheme = if is_secure { "tls " } else { "" };
        servers.iter().map(|server| format!("{scheme}{}{server}", login(&server.login))).collect()
    }

    #[test]
    fn urls() {
        for (urls, expected) in [
            ("", &["127.0.0.1:4222"][..]),
            ("nats://localhost:4222", &["localhost:4222"]),
            ("localhost", &["localhost:4222"]),
            ("localhost:", &["localhost:4222"]),
            ("a:1, nats://b:2/,,c", &["a:1", "b:2", "c:4222"]),
            ("nats://u:p%40q@h", &["u p@q @ h:4222"]),
            ("nats://u:@h", &["u  @ h:4222"]),
            ("nats://s3cr3t@h:1", &["s3cr3t @ h:1"]),
            ("tls://h,g", &["tls h:4222", "tls g:4222"]),
            ("nats://[::1]:5", &["[::1]:5"]),
            ("[::1]", &["[::1]:4222"]),
            ("nats://h/path?query", &["h:4222"]),
        ] {
            assert_eq!(read(urls), expected, "{urls}");
        }
        for (urls, problem) in [
            ("ws://h", "broker.nats.url: address 1: must be host:port, or begin with nats:// or tls://"),
            ("a,http://h", "address 2"),
            ("nats://u@,h", "must name a host"),
            ("h:x", "must name a host"),
            ("h:+1", "must name a host"),
            ("h:70000", "must name a host"),
            ("::1", "must name a host"),
            ("[::1", "must name a host"),
            ("[::1]5", "must name a host"),
            ("nats://%s3cr3t@h", "begins no escape"),
        ] {
            let error = servers(urls, "broker.nats").unwrap_err().to_string();
            assert!(error.contains(problem) && !error.contains("s3cr3t"), "{urls}: {error}");
        }
    }

    #[test]
    fn prefixes() {
        for (text, is) in [("a", true), ("a.b-c", true), ("", false), ("a.", false), ("a b", false), ("a.*", false)] {
            assert_eq!(is_subject(text), is, "{text}");
        }
    }
}
