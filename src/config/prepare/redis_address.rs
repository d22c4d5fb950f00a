//! The addresses of `address`: `host:port`, or a URL whose user, path and query say more (upstream: centrifuge
//! redis_shard.go `optionsFromAddress`). URLs may hold passwords and are never repeated in messages.

use crate::base::query;
use crate::config::duration;
use crate::config::error::Error;
use crate::config::snapshot::{ClientTls, RedisAddress, RedisLogin, RedisPlace, RedisServer};
use crate::config::text;

const SCHEMES: [&str; 7] =
    ["redis://", "rediss://", "redis+sentinel://", "rediss+sentinel://", "redis+cluster://", "unix://", "tcp://"];

/// An address as it stands in the list of an option.
#[derive(Clone, Copy)]
pub(super) struct Written<'a> {
    pub text: &'a str,
    pub option: &'a str,
    /// Its place in the list, from 0.
    pub index: usize,
}

impl Written<'_> {
    fn wrong(&self, problem: &str) -> Error {
        Error::invalid(self.option, format!("address {}: {problem}", self.index + 1))
    }

    /// A yes or no in the query.
    fn switch(&self, query: &str, name: &str) -> Result<Option<bool>, Error> {
        let Some(value) = param(query, name) else { return Ok(None) };
        let value = text::parse_bool(&value).ok_or_else(|| self.wrong(&format!("{name} must be true or false")))?;
        Ok(Some(value))
    }

    /// A time span in the query, in milliseconds.
    fn ms(&self, query: &str, name: &str, default: u64) -> Result<Option<u64>, Error> {
        let Some(value) = param(query, name) else { return Ok(None) };
        match duration::parse(&value).map(|ns| u64::try_from(ns).unwrap_or(0)) {
            Some(0) => Ok(Some(default)),
            Some(ns) => Ok(Some((ns / 1_000_000).max(1))),
            None => Err(self.wrong(&format!("{name} must be a duration such as 500ms"))),
        }
    }
}

/// The server at an address; `server` holds what the other options say. `tls_option` names the section of TLS.
pub(super) fn server(at: Written<'_>, mut server: RedisServer, tls_option: &str) -> Result<RedisServer, Error> {
    let Some(scheme) = SCHEMES.into_iter().find(|scheme| at.text.starts_with(scheme)) else {
        let address = host_and_port(at.text).filter(|_| !at.text.starts_with(':'));
        let wanted =
            "must be host:port, or begin with redis://, rediss://, redis+sentinel://, redis+cluster:// or unix://";
        server.place = RedisPlace::Server(address.ok_or_else(|| at.wrong(wanted))?);
        return Ok(server);
    };
    let rest = at.text[scheme.len()..].split_once('#').map_or(&at.text[scheme.len()..], |(rest, _)| rest);
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let (account, host) = authority.rsplit_once('@').map_or((None, authority), |(account, host)| (Some(account), host));
    let path = query::decoded(path).ok_or_else(|| at.wrong("a % in the path begins no escape"))?;

    let master = param(query, "sentinel_master_name").unwrap_or_default();
    let is_sentinel = scheme.contains("sentinel") || !master.is_empty();
    if is_sentinel && master.is_empty() {
        return Err(at.wrong("sentinel_master_name must be set where Redis is found through Sentinels"));
    }
    let mut addresses = Vec::new();
    if scheme == "unix://" {
        addresses.push(RedisAddress::Unix(path.into()));
        server.tls = None;
    } else {
        let address = host_and_port(host).ok_or_else(|| at.wrong("must name a host and a port"))?;
        addresses.push(address);
        if !path.is_empty() {
            let number = path[1..].parse();
            server.db = number.map_err(|_| at.wrong("the path must be the number of a database"))?;
        }
    }
    if let Some(account) = account {
        let (user, password) = account.split_once(':').map_or((account, None), |(user, word)| (user, Some(word)));
        let read = |text| query::decoded(text).ok_or_else(|| at.wrong("a % in user or password begins no escape"));
        let user = read(user)?;
        if !user.is_empty() {
            server.login.user = user.into();
        }
        if let Some(password) = password {
            server.login.password = read(password)?.into();
        }
    }
    for address in query::all(query, "addr") {
        let address = String::from_utf8(address).ok().and_then(|address| host_and_port(&address));
        addresses.push(address.ok_or_else(|| at.wrong("addr must be host:port"))?);
    }
    if let Some(ms) = at.ms(query, "connect_timeout", 1_000)? {
        server.connect_timeout_ms = ms;
    }
    if let Some(ms) = at.ms(query, "io_timeout", 4_000)? {
        server.io_timeout_ms = ms;
    }
    if let Some(forced) = at.switch(query, "force_resp2")? {
        server.forces_resp2 = forced;
    }
    let of_system = || Some(ClientTls::of_system(tls_option));
    let is_secure = scheme.starts_with("rediss");
    let wants_tls = at.switch(query, "tls_enabled")?.unwrap_or(false);
    if server.tls.is_none() && (is_secure || wants_tls && scheme != "unix://") {
        server.tls = of_system();
    }
    let asks_securely = at.switch(query, "sentinel_tls_enabled")?.unwrap_or(false) || is_secure;
    if let Some(reads_replicas) = at.switch(query, "replica_client_enabled")? {
        if reads_replicas && !is_sentinel && scheme != "redis+cluster://" {
            return Err(at.wrong("replica_client_enabled is for Sentinel and Cluster only"));
        }
        server.reads_replicas = reads_replicas;
    }
    server.place = if is_sentinel {
        let login = RedisLogin {
            user: param(query, "sentinel_user").unwrap_or_default().into(),
            password: param(query, "sentinel_password").unwrap_or_default().into(),
            client_name: Box::default(),
        };
        let tls = if asks_securely { of_system() } else { None };
        RedisPlace::Sentinel { addresses, master: master.into(), login, tls }
    } else if scheme == "redis+cluster://" || addresses.len() > 1 {
        // Several addresses of one server can only be members of a Cluster.
        RedisPlace::Cluster(addresses)
    } else {
        RedisPlace::Server(addresses.remove(0))
    };
    Ok(server)
}

/// The first value of a name in a query.
fn param(query: &str, name: &str) -> Option<String> {
    query::first(query, name).map(|value| String::from_utf8_lossy(&value).into_owned())
}

/// An address such as `localhost:6379`, `[::1]:6379` or `:6379`.
pub(super) fn host_and_port(text: &str) -> Option<RedisAddress> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    let is_plain = host.bytes().all(|byte| byte.is_ascii_graphic() && !b"[]/@,?#%".contains(&byte));
    let host = if host.is_empty() { "localhost" } else { host };
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then_some(())?;
    Some(RedisAddress::Tcp(host.into(), port.parse().ok().filter(|_| is_number)?))
}

#[cfg(test)]
#[path = "redis_tests.rs"]
mod tests;
