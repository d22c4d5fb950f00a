//! How NATS is reached, and what is told there. Never printed with its secrets.

use std::fmt;

use super::ClientTls;

/// `broker.nats.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsBroker {
    /// How it is reached.
    pub nats: Nats,
    /// `allow_wildcards`.
    pub wildcards: bool,
    /// `raw_mode`, where it is enabled.
    pub raw: Option<NatsRawMode>,
}

/// A NATS system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nats {
    /// The section with its options, such as `broker.nats`, for messages.
    pub option: &'static str,
    /// The servers of one NATS system; any of them will do. At least one.
    pub servers: Vec<NatsServer>,
    /// TLS, if it is spoken in any case; servers may ask for it, too.
    pub tls: Option<ClientTls>,
    /// `dial_timeout`, milliseconds until a connection can be worked with; at least 1.
    pub dial_timeout_ms: u64,
    /// `write_timeout`, milliseconds; at least 1.
    pub write_timeout_ms: u64,
    /// `prefix` of subjects.
    pub prefix: Box<str>,
}

/// A server, and who we are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsServer {
    /// Its host, without brackets.
    pub host: Box<str>,
    /// Its port.
    pub port: u16,
    /// Who we are.
    pub login: NatsLogin,
}

impl fmt::Display for NatsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Who we are to a server.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum NatsLogin {
    /// Nobody in particular.
    #[default]
    Nobody,
    /// Whoever has the token.
    Token(Box<str>),
    /// A user, and the password.
    User(Box<str>, Box<str>),
}

impl fmt::Debug for NatsLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("Nobody"),
            Self::Token(_) => f.write_str("Token"),
            Self::User(user, _) => write!(f, "User({user:?})"),
        }
    }
}

/// `broker.nats.raw_mode`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsRawMode {
    /// `prefix`; may be empty.
    pub prefix: Box<str>,
    /// `channel_replacements`.
    pub replacements: Vec<(Box<str>, Box<str>)>,
}
