//! Connecting: finds a server, speaks TLS, says who we are.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::seq::SliceRandom;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::wire::{Incoming, MAX_PAYLOAD, PING, Said};
use crate::config::prepare::nats::told_address;
use crate::config::snapshot::{ClientTls, Nats, NatsLogin, NatsServer};
use crate::control::dial::{Socket, Tls, tcp};
use crate::control::link::{Door, Inlet, Opened, Opening};

/// Most servers that others tell of.
const MAX_TOLD: usize = 1024;

/// How servers are reached; made once.
#[derive(Debug)]
pub struct Dial {
    options: Nats,
    tls: Option<Tls>,
    /// Servers that others told of (`connect_urls`), as they were last told.
    told: Mutex<Vec<Place>>,
}

/// A server.
#[derive(Clone, Debug)]
struct Place {
    server: NatsServer,
    /// The host in its certificate.
    certified: Box<str>,
}

/// What servers say of themselves.
#[derive(Clone, Copy, Debug)]
pub struct News {
    /// Longest payload they take.
    pub max_payload: usize,
}

impl Dial {
    /// Reads what the options of TLS name.
    ///
    /// # Errors
    /// What is wrong with which option, in a sentence.
    pub fn new(options: &Nats) -> Result<Self, String> {
        let tls = options.tls.as_ref().map(Tls::new).transpose()?;
        Ok(Self { options: options.clone(), tls, told: Mutex::default() })
    }

    /// Longest time of one write.
    pub fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.options.write_timeout_ms)
    }

    /// Takes note of what a server says, on a connection to this one or to another one of its cluster.
    pub fn learn(&self, json: &[u8]) {
        if let (Ok(info), Some(first)) = (serde_json::from_slice(json), self.options.servers.first()) {
            self.learn_of_others(&info, &Place { server: first.clone(), certified: first.host.clone() });
        }
    }

    /// Others of the cluster are for us who we are for `by`, which told of them. Certificates name no addresses.
    fn learn_of_others(&self, info: &Value, by: &Place) {
        let Some(urls) = info["connect_urls"].as_array() else { return };
        let place = |url: &Value| {
            let (host, port) = told_address(url.as_str()?)?;
            let certified = if host.parse::<IpAddr>().is_ok() { by.certified.clone() } else { host.into() };
            Some(Place { server: NatsServer { host: host.into(), port, login: by.server.login.clone() }, certified })
        };
        if let Ok(mut told) = self.told.lock() {
            *told = urls.iter().take(MAX_TOLD).filter_map(place).collect();
        }
    }

    /// All known servers, in any order.
    fn places(&self) -> Vec<Place> {
        let written = &self.options.servers;
        let place = |server: &NatsServer| Place { server: server.clone(), certified: server.host.clone() };
        let mut places: Vec<_> = written.iter().map(place).collect();
        if let Ok(told) = self.told.lock() {
            let is_new = |place: &&Place| {
                let told = &place.server;
                written.iter().all(|server| (&server.host, server.port) != (&told.host, told.port))
            };
            places.extend(told.iter().filter(is_new).cloned());
        }
        places.shuffle(&mut rand::rng());
        places
    }

    /// Connects to whichever server lets us in.
    async fn connect(&self) -> Result<Opened<Self>, String> {
        let mut problem = String::new();
        for place in self.places() {
            let dial_timeout = Duration::from_millis(self.options.dial_timeout_ms);
            let entered = timeout(dial_timeout, self.enter(&place)).await;
            match entered.unwrap_or_else(|_| Err("no answer within dial_timeout".to_owned())) {
                Ok(opened) => return Ok(opened),
                Err(reason) => problem = format!("{}: {reason}", place.server),
            }
        }
        Err(problem)
    }

    async fn enter(&self, place: &Place) -> Result<Opened<Self>, String> {
        let NatsServer { host, port, login } = &place.server;
        let text = |error: std::io::Error| error.to_string();
        let mut stream = tcp(host, *port).await.map_err(text)?;
        let mut incoming = Incoming::default();
        let info = heard(&mut stream, &mut incoming, |said| match said {
            Said::Info(json) => {
                serde_json::from_slice::<Value>(json).map_err(|_| "it does not say what it is".to_owned())
            }
            _ => Err("it is no NATS server".to_owned()),
        });
        let info = info.await??;
        let is = |name: &str| info[name].as_bool().unwrap_or(false);
        let socket: Box<dyn Socket> = match &self.tls {
            Some(_) if !is("tls_required") && !is("tls_available") => return Err("it does not speak TLS".to_owned()),
            None if !is("tls_required") => Box::new(stream),
            tls => {
                let of_system = || Tls::new(&ClientTls::of_system("broker.nats.tls"));
                let tls = tls.clone().map_or_else(of_system, Ok)?;
                tls.over(stream, &place.certified).await.map_err(text)?
            }
        };
        self.learn_of_others(&info, place);
        let socket = self.introduce(socket, &mut incoming, login).await?;
        let max_payload = info["max_payload"].as_u64().and_then(|bytes| usize::try_from(bytes).ok());
        let news = News { max_payload: max_payload.unwrap_or(MAX_PAYLOAD).min(MAX_PAYLOAD) };
        Ok(Opened { socket, incoming, news })
    }

    /// Says who we are, and waits until that is taken.
    async fn introduce(
        &self,
        mut socket: Box<dyn Socket>,
        incoming: &mut Incoming,
        login: &NatsLogin,
    ) -> Result<Box<dyn Socket>, String> {
        let mut words = json!({
            "verbose": false, "pedantic": false, "tls_required": self.tls.is_some(), "name": "spindle",
            "lang": "rust", "version": env!("CARGO_PKG_VERSION"), "protocol": 1, "echo": true, "headers": false,
        });
        match login {
            NatsLogin::Nobody => {}
            NatsLogin::Token(token) => words["auth_token"] = Value::from(&**token),
            NatsLogin::User(user, password) => {
                words["user"] = Value::from(&**user);
                words["pass"] = Value::from(&**password);
            }
        }
        let mut out = format!("CONNECT {words}\r\n").into_bytes();
        out.extend_from_slice(PING);
        let sent = async {
            socket.write_all(&out).await?;
            socket.flush().await
        };
        sent.await.map_err(|error| error.to_string())?;
        loop {
            let is_in = heard(&mut socket, incoming, |said| match said {
                Said::Pong => Ok(true),
                Said::Failed(words) => Err(String::from_utf8_lossy(words).into_owned()),
                // It may say what it is once more.
                _ => Ok(false),
            });
            if is_in.await?? {
                return Ok(socket);
            }
        }
    }
}

/// Waits for the next thing that is said.
async fn heard<T>(
    socket: &mut (impl AsyncRead + Unpin),
    incoming: &mut Incoming,
    mut take: impl FnMut(Said<'_>) -> T,
) -> Result<T, String> {
    loop {
        if let Some(taken) = incoming.next(&mut take).map_err(|broken| broken.0.to_owned())? {
            return Ok(taken);
        }
        let read = socket.read_buf(incoming.buffer()).await;
        if read.map_err(|error| error.to_string())? == 0 {
            return Err("the connection was closed".to_owned());
        }
    }
}

impl Door for Dial {
    type Incoming = Incoming;
    type News = News;

    fn name(&self) -> String {
        self.options.servers.iter().map(NatsServer::to_string).collect::<Vec<_>>().join(",")
    }

    fn open(self: Arc<Self>) -> Opening<Self> {
        Box::pin(async move { self.connect().await })
    }
}
