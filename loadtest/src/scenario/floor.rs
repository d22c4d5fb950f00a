//! The floor: what the kernel charges for sending the same frames to as many sockets, with no server around it.
//!
//! One thread on one core runs a bare send loop, as a server's fan-out must at least; another reads. Compare a server's
//! CPU a delivery with this figure from the same machine and minute, never with another day's.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use rustix::event::{Timespec, epoll};

use crate::Failure;
use crate::payload::{SMALLEST, Stamp};
use crate::process::{allow_files, pin_to, thread_cpu};
use crate::report::Report;
use crate::target::Protocol;
use crate::{wire, ws};

/// See the module.
#[derive(Args)]
pub struct Floor {
    /// Core of the send loop: the one the server would run on.
    #[arg(long)]
    core: Option<usize>,
    /// Core of the reader.
    #[arg(long)]
    reader_core: Option<usize>,
    /// Encoding of the frames.
    #[arg(long, default_value = "json")]
    protocol: Protocol,
    /// Sockets.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=25_000))]
    subscribers: u32,
    /// Rounds over all sockets a second.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    duration: u32,
    /// Bytes of a publication's data.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(SMALLEST as i64..=60_000))]
    size: u32,
    /// The channel whose name the frames carry.
    #[arg(long, default_value = "fanout")]
    channel: String,
}

impl Floor {
    /// Runs it.
    pub fn run(&self) -> Result<Report, Failure> {
        allow_files(2 * self.subscribers as usize)?;
        let (mut senders, receivers) = pairs(self.subscribers)?;
        let frame = self.frame();
        let stop = AtomicBool::new(false);
        let (sends, cpu, elapsed, late) = std::thread::scope(|scope| {
            let reader = scope.spawn(|| self.read_all(receivers, &stop).map_err(|failure| failure.to_string()));
            let sent = self.send_all(&mut senders, &frame);
            stop.store(true, Ordering::Release);
            reader.join().map_err(|_| "the reader failed")??;
            sent
        })?;
        let mut report = Report::new("floor");
        report.count("sockets", u64::from(self.subscribers), "");
        report.count("frame", frame.len() as u64, "bytes");
        report.count("sends", sends, "");
        report.measure("sends", sends as f64 / elapsed.as_secs_f64(), "per_s");
        report.cpu_each("cpu_a_send", cpu, sends);
        if late > 0 {
            report.count("rounds_late", late, "");
        }
        Ok(report)
    }

    /// The frame that a server would send to each subscriber.
    fn frame(&self) -> Vec<u8> {
        let data = Stamp { number: 0, due: Duration::ZERO }.encode(self.size as usize);
        let mut frame = Vec::new();
        let push = wire::push(self.protocol, &self.channel, data.as_bytes());
        ws::write_server_message(&mut frame, self.protocol, &push);
        frame
    }

    /// The loop that is measured: its CPU time stands for the sends alone, the waiting between rounds is left out.
    fn send_all(&self, sockets: &mut [TcpStream], frame: &[u8]) -> Result<(u64, Duration, Duration, u64), Failure> {
        self.core.map_or(Ok(()), pin_to)?;
        let interval = Duration::from_secs(1) / self.rate;
        let (mut sends, mut cpu, mut late) = (0, Duration::ZERO, 0);
        let origin = Instant::now();
        for round in 0..self.rate * self.duration {
            let wait = (interval * round).saturating_sub(origin.elapsed());
            if wait.is_zero() && round > 0 {
                late += 1;
            }
            std::thread::sleep(wait);
            let before = thread_cpu();
            for socket in &mut *sockets {
                match socket.write(frame) {
                    Ok(count) if count == frame.len() => sends += 1,
                    Ok(_) => return Err("a socket took half a frame: the reader cannot follow".into()),
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {
                        return Err("a socket is full: the reader cannot follow".into());
                    }
                    Err(e) => return Err(e.into()),
                }
            }
            cpu += thread_cpu() - before;
        }
        Ok((sends, cpu, origin.elapsed(), late))
    }

    fn read_all(&self, mut sockets: Vec<TcpStream>, stop: &AtomicBool) -> Result<(), Failure> {
        self.reader_core.map_or(Ok(()), pin_to)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (i, socket) in sockets.iter().enumerate() {
            epoll::add(&epoll, socket, epoll::EventData::new_u64(i as u64), epoll::EventFlags::IN)?;
        }
        let mut events = Vec::with_capacity(1024);
        let mut buffer = vec![0; 64 * 1024];
        let timeout = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        while !stop.load(Ordering::Acquire) {
            events.clear();
            epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout))?;
            for event in &events {
                let i = event.data.u64() as usize;
                // What it says does not matter, only that it was taken.
                let _ = sockets[i].read(&mut buffer)?;
            }
        }
        Ok(())
    }
}

/// Connected socket pairs over loopback TCP: the server's ends, the clients' ends.
fn pairs(count: u32) -> Result<(Vec<TcpStream>, Vec<TcpStream>), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let (mut senders, mut receivers) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let receiver = TcpStream::connect(address)?;
        let (sender, _) = listener.accept()?;
        for socket in [&sender, &receiver] {
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
        }
        senders.push(sender);
        receivers.push(receiver);
    }
    Ok((senders, receivers))
}
