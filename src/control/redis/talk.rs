//! Speaking with a server before the connection goes to work: TLS, logging in, one request at a time.

use std::collections::HashMap;
use std::io;

use rand::seq::IndexedRandom;
use redis::{Cmd, FromRedisValue, InfoDict, Value, cmd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::advice;
use super::resp::{Incoming, Sha};
use crate::broker::Script;
use crate::config::snapshot::{RedisAddress, RedisLogin};
use crate::control::dial::{Socket, Tls, tcp};
use crate::control::link::Inlet;

/// Connects, and shakes hands where TLS is spoken.
///
/// # Errors
/// Why not.
pub async fn connect(address: &RedisAddress, tls: Option<&Tls>) -> io::Result<Box<dyn Socket>> {
    match (address, tls) {
        (RedisAddress::Unix(path), _) => Ok(Box::new(UnixStream::connect(&**path).await?)),
        (RedisAddress::Tcp(host, port), None) => Ok(Box::new(tcp(host, *port).await?)),
        (RedisAddress::Tcp(host, port), Some(tls)) => tls.over(tcp(host, *port).await?, host).await,
    }
}

/// One request at a time, before the connection goes to work.
pub struct Talk {
    /// The connection.
    pub socket: Box<dyn Socket>,
    /// What came and was not taken yet.
    pub incoming: Incoming,
    /// What the server says it is: `standalone`, `cluster`, `sentinel`; empty when it does not say.
    pub mode: Box<str>,
}

impl Talk {
    /// Over a connection on which nothing was said.
    pub fn over(socket: Box<dyn Socket>) -> Self {
        Self { socket, incoming: Incoming::default(), mode: Box::default() }
    }

    /// RESP3 and who we are in one request, where the server knows it.
    ///
    /// # Errors
    /// Why not, in a few words without secrets.
    pub async fn log_in(&mut self, login: &RedisLogin, forces_resp2: bool) -> Result<(), String> {
        let RedisLogin { user, password, client_name } = login;
        if !forces_resp2 {
            let mut hello = cmd("HELLO");
            hello.arg(3);
            if !password.is_empty() {
                let user = if user.is_empty() { "default" } else { user };
                hello.arg("AUTH").arg(user).arg(&**password);
            }
            if !client_name.is_empty() {
                hello.arg("SETNAME").arg(&**client_name);
            }
            match self.ask::<HashMap<String, Value>>(&hello).await {
                Ok(mut hello) => {
                    let mode = hello.remove("mode").and_then(|mode| String::from_redis_value(mode).ok());
                    self.mode = mode.unwrap_or_default().into();
                    return Ok(());
                }
                Err(error) if is_unknown(&error) => {}
                Err(error) => return Err(error),
            }
        }
        if !password.is_empty() {
            let mut auth = cmd("AUTH");
            if !user.is_empty() {
                auth.arg(&**user);
            }
            self.ask::<()>(auth.arg(&**password)).await?;
        }
        if !client_name.is_empty() {
            self.ask::<()>(cmd("CLIENT").arg("SETNAME").arg(&**client_name)).await?;
        }
        // Old servers cannot say what they are, and neither can all that speak their protocol.
        let info: Result<InfoDict, _> = self.ask(cmd("INFO").arg("server")).await;
        self.mode = info.ok().and_then(|info| mode_of(&info)).unwrap_or_default().into();
        Ok(())
    }

    /// Asks a Sentinel for a replica that is well; another one each time.
    ///
    /// # Errors
    /// Why not, in a few words without secrets.
    pub async fn replica(&mut self, master: &str) -> Result<RedisAddress, String> {
        let known: Vec<HashMap<String, String>> = self.ask(cmd("SENTINEL").arg("REPLICAS").arg(master)).await?;
        let is_well = |replica: &&HashMap<String, String>| {
            let flags = replica.get("flags").map_or("", String::as_str);
            let is_linked = replica.get("master-link-status").is_none_or(|status| status == "ok");
            is_linked && !["s_down", "o_down", "disconnected"].iter().any(|flag| flags.contains(flag))
        };
        let well: Vec<_> = known.iter().filter(is_well).collect();
        let chosen =
            well.choose(&mut rand::rng()).ok_or_else(|| format!("it knows no replica of {master:?} that is well"))?;
        let place = chosen.get("ip").zip(chosen.get("port").and_then(|port| port.parse().ok()));
        let (host, port) = place.ok_or("it does not say where a replica is")?;
        Ok(RedisAddress::Tcp(host.as_str().into(), port))
    }

    /// Loads all scripts, and gives the SHA-1 of each at its number.
    ///
    /// # Errors
    /// Why not, in a few words without secrets.
    pub async fn load_scripts(&mut self) -> Result<Vec<Sha>, String> {
        let mut out = Vec::new();
        for script in Script::ALL {
            out.extend(cmd("SCRIPT").arg("LOAD").arg(script.text()).get_packed_command());
        }
        self.send(&out).await?;
        let mut found = Vec::with_capacity(Script::ALL.len());
        for _ in Script::ALL {
            let sha: String = self.reply().await.map_err(|error| format!("a script cannot be loaded: {error}"))?;
            found.push(Sha::try_from(sha.as_bytes()).map_err(|_| "a script's SHA-1 has another length")?);
        }
        Ok(found)
    }

    /// Asks.
    ///
    /// # Errors
    /// Why not, in a few words without secrets.
    pub async fn ask<T: FromRedisValue>(&mut self, request: &Cmd) -> Result<T, String> {
        self.send(&request.get_packed_command()).await?;
        self.reply().await
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        let sent = async {
            self.socket.write_all(bytes).await?;
            self.socket.flush().await
        };
        sent.await.map_err(|error: io::Error| error.to_string())
    }

    async fn reply<T: FromRedisValue>(&mut self) -> Result<T, String> {
        loop {
            if let Some(frame) = self.incoming.frame().map_err(|broken| broken.0.to_owned())? {
                let reply = match redis::parse_redis_value(&frame).map_err(|error| error.to_string())? {
                    Value::ServerError(error) => return Err(text(error.code(), error.details())),
                    value => T::from_redis_value(value),
                };
                return reply.map_err(|error| error.to_string());
            }
            let read = self.socket.read_buf(self.incoming.buffer()).await;
            if read.map_err(|error| error.to_string())? == 0 {
                return Err(advice::CLOSED.to_owned());
            }
        }
    }
}

/// An error of a server. One that does not know a command repeats its arguments, which may be a password.
fn text(code: &str, details: Option<&str>) -> String {
    let details = details.map(|details| details.split(", with args").next().unwrap_or_default());
    details.map_or_else(|| code.to_owned(), |details| format!("{code} {details}"))
}

/// Whether a server says that it does not know RESP3.
fn is_unknown(error: &str) -> bool {
    error.starts_with("NOPROTO") || error.to_ascii_lowercase().contains("unknown command")
}

/// What a server says it is: `standalone`, `sentinel` or `cluster`. Valkey calls the line by another name.
fn mode_of(info: &InfoDict) -> Option<String> {
    info.get("redis_mode").or_else(|| info.get("server_mode"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redis_and_valkey_say_what_they_are() {
        let check = |info: &str, mode| assert_eq!(mode_of(&InfoDict::new(info)).as_deref(), mode, "{info}");
        check("# Server\r\nredis_version:7.0.15\r\nredis_mode:cluster\r\nos:Linux\r\n", Some("cluster"));
        check("# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nserver_mode:cluster\r\n", Some("cluster"));
        check("# Server\r\nredis_version:2.8.24\r\n", None);
    }
}
