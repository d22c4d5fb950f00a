//! Reading files and the environment for [`crate::config`], which does neither.

use crate::config::env::Env;
use crate::config::error::Error;
use crate::config::load::{Loaded, Sources, load};
use crate::config::prepare::Host;
use std::fs;
use std::io::{self, Read};
use std::net::{IpAddr, ToSocketAddrs};

/// Largest configuration file, bytes.
const FILE_MAX: u64 = 16 << 20;

/// The variables of the process whose name and value are UTF-8.
pub fn environment() -> Env {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Loads the options from a file, which may be missing, and what lies above it. An empty path means no file.
///
/// Returns whether the file is missing beside the options.
pub fn options(path: &str, env: &Env, flags: &[(String, String)]) -> Result<(Loaded, bool), Error> {
    let content = match path {
        "" => None,
        path => text(path).map_err(|error| Error::Syntax { file: path.to_owned(), detail: error.to_string() })?,
    };
    let missing = content.is_none() && !path.is_empty();
    let file = content.as_deref().map(|content| (path, content));
    Ok((load(Sources { file, env, flags })?, missing))
}

/// The text of a file; `None` when there is no such file.
pub fn text(path: &str) -> io::Result<Option<String>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut content = String::new();
    let read = file.take(FILE_MAX + 1).read_to_string(&mut content)?;
    if read as u64 > FILE_MAX {
        return Err(io::Error::other(format!("the file is larger than {FILE_MAX} bytes")));
    }
    Ok(Some(content))
}

/// Name of this machine; `?` when the kernel does not tell.
pub fn host_name() -> String {
    match fs::read_to_string("/proc/sys/kernel/hostname") {
        Ok(name) if !name.trim().is_empty() => name.trim().to_owned(),
        _ => "?".to_owned(),
    }
}

/// Runs `use_host` with what a snapshot needs to know of this machine.
pub fn with_host<T>(use_host: impl FnOnce(&Host<'_>) -> T) -> T {
    let name = host_name();
    let resolve = |host: &str| -> Option<IpAddr> {
        let mut found: Vec<_> = (host, 0).to_socket_addrs().ok()?.map(|address| address.ip()).collect();
        // As Go does: an IPv4 address is preferred to listen on.
        found.sort_by_key(IpAddr::is_ipv6);
        found.into_iter().next()
    };
    use_host(&Host { name: &name, resolve: &resolve })
}
