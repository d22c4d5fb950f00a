//! Local addresses and ports to connect from: one address has some 28,000 ports towards one listener.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::Failure;
use crate::advice;

/// Ports used, by turns.
const FIRST_PORT: u16 = 10_000;
const PORTS: u32 = 50_000;
/// Connections that one source address is good for without `--sources`.
pub const PER_ADDRESS: u32 = 25_000;
/// How many ports in a row may be taken by others.
const ATTEMPTS: u32 = 1000;

/// Where the next connection comes from.
#[derive(Clone, Debug)]
pub struct Sources {
    addresses: u32,
    next: u32,
}

impl Sources {
    /// Takes turns on `addresses` addresses (127.0.0.1, 127.0.0.2 and so on); 1 leaves the choice to the kernel.
    /// `first` moves the beginning, so that runs and workers do not meet.
    pub fn new(addresses: u32, first: u32) -> Sources {
        Sources { addresses, next: first % (PORTS * addresses.max(1)) }
    }

    /// The next address and port; no pair comes again before all were used.
    fn pick(&mut self) -> SocketAddrV4 {
        let at = self.next;
        self.next = (at + 1) % (PORTS * self.addresses);
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + at % self.addresses);
        SocketAddrV4::new(address, FIRST_PORT + (at / self.addresses) as u16)
    }

    /// A socket for a connection to `target`, bound where there are several sources.
    pub fn socket(&mut self, target: SocketAddr, receive_buffer: Option<u32>) -> Result<OwnedFd, Failure> {
        let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        for _ in 0..ATTEMPTS {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)
                .map_err(|e| advice::unreachable(target, &e.into()))?;
            sockopt::set_tcp_nodelay(&socket, true)?;
            if let Some(bytes) = receive_buffer {
                sockopt::set_socket_recv_buffer_size(&socket, bytes as usize)?;
            }
            if self.addresses > 1 && target.is_ipv4() {
                sockopt::set_socket_reuseaddr(&socket, true)?;
                match rustix::net::bind(&socket, &self.pick()) {
                    Err(Errno::ADDRINUSE) => continue,
                    result => result?,
                }
            }
            return Ok(socket);
        }
        Err(advice::unreachable(target, &Errno::ADDRNOTAVAIL.into()))
    }

    /// A socket on its way to `target`; it does not wait.
    pub fn connect(&mut self, target: SocketAddr, receive_buffer: Option<u32>) -> Result<OwnedFd, Failure> {
        for _ in 0..ATTEMPTS {
            let socket = self.socket(target, receive_buffer)?;
            match start(&socket, target) {
                Err(Errno::ADDRNOTAVAIL) if self.addresses > 1 => {}
                result => return result.map(|()| socket).map_err(|e| advice::unreachable(target, &e.into())),
            }
        }
        Err(advice::unreachable(target, &Errno::ADDRNOTAVAIL.into()))
    }
}

/// Starts connecting.
pub fn start(socket: &OwnedFd, target: SocketAddr) -> Result<(), Errno> {
    match rustix::net::connect(socket, &target) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(()),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_pair_comes_twice_before_all_were_used() {
        let mut sources = Sources::new(3, 149_000);
        let seen: HashSet<SocketAddrV4> = (0..150_000).map(|_| sources.pick()).collect();
        assert_eq!(seen.len(), 150_000);
        assert!(seen.contains(&"127.0.0.3:10000".parse().expect("an address")));
        assert!(seen.iter().all(|source| source.ip().is_loopback()));
    }
}
