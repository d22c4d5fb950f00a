//! A way to Redis that can be cut in the middle of what it says, or made slow.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::redis::Redis;

/// Bytes that a slow way passes on at once.
const TRICKLE: usize = 512;

/// And the pause between two of them.
const PAUSE: Duration = Duration::from_millis(1);

/// See the module. Each connection over it is one to Redis.
pub struct Way {
    pub port: u16,
    state: Arc<State>,
}

struct State {
    /// So many bytes pass to the nodes before the connection that they are on is cut; the largest number = all do.
    left: AtomicUsize,
    is_slow: AtomicBool,
}

impl Way {
    pub fn to(redis: &Redis) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (port, socket) = (listener.local_addr().expect("an address").port(), redis.socket());
        let state = Arc::new(State { left: AtomicUsize::new(usize::MAX), is_slow: AtomicBool::new(false) });
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = UnixStream::connect(&socket) else { return };
                let (Ok(mut up), Ok(mut down)) = (client.try_clone(), server.try_clone()) else { return };
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut up, &mut down);
                    let _ = down.shutdown(Shutdown::Both);
                });
                let shared = shared.clone();
                std::thread::spawn(move || shared.pass(server, client));
            }
        });
        Self { port, state }
    }

    /// Cuts the connection on which Redis has said so many more bytes, and no other one.
    pub fn cut_after(&self, bytes: usize) {
        self.state.left.store(bytes, Ordering::SeqCst);
    }

    /// Whether nothing is to be cut any more.
    pub fn was_cut(&self) -> bool {
        self.state.left.load(Ordering::SeqCst) == usize::MAX
    }

    /// From now on what Redis says comes in pieces with pauses, or not any more.
    pub fn be_slow(&self, is_slow: bool) {
        self.state.is_slow.store(is_slow, Ordering::SeqCst);
    }
}

impl State {
    fn pass(&self, mut from: UnixStream, mut to: TcpStream) {
        let mut buffer = [0; 16 * 1024];
        loop {
            let is_slow = self.is_slow.load(Ordering::SeqCst);
            let room = if is_slow { TRICKLE } else { buffer.len() };
            let Ok(count @ 1..) = from.read(&mut buffer[..room]) else { break };
            if is_slow {
                std::thread::park_timeout(PAUSE);
            }
            let before = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                Some(if left == usize::MAX { left } else { left.saturating_sub(count) })
            });
            let allowed = before.unwrap_or(usize::MAX).min(count);
            if to.write_all(&buffer[..allowed]).is_err() {
                break;
            }
            if allowed < count {
                self.left.store(usize::MAX, Ordering::SeqCst);
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }
}
