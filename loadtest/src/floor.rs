//! The floor: what the kernel alone charges for sending frames to sockets.
//!
//! A second process of this program, on the server's core, does nothing but send frames of the same size to as many
//! sockets, before and after the measured part of the same run. Its CPU time counts like the server's.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{Timespec, epoll};

use crate::Failure;
use crate::clock::{self, SECOND};
use crate::process::{self, allow_files, own_cpu};

/// Length of one measurement.
const LENGTH: u64 = 3 * SECOND;

/// The sending process and the sockets' other ends.
pub struct Floor {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    sockets: Vec<TcpStream>,
    sends: u64,
    cpu: Duration,
}

impl Floor {
    /// Starts the process on `core` and connects.
    pub fn start(sockets: usize, core: usize) -> Result<Floor, Failure> {
        let mine = process::cores()?;
        process::pin_to(core)?;
        let spawned = Command::new(std::env::current_exe()?)
            .args(["floor-sender", &sockets.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        process::use_cores(&mine)?;
        let mut child = spawned?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the floor's process has no pipes".into());
        };
        let mut floor = Floor {
            child,
            orders,
            answers: BufReader::new(answers),
            sockets: Vec::new(),
            sends: 0,
            cpu: Duration::ZERO,
        };
        let port: u16 = floor.answer()?.parse()?;
        for _ in 0..sockets {
            let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            socket.set_nonblocking(true)?;
            floor.sockets.push(socket);
        }
        Ok(floor)
    }

    /// Measures frames of `size` bytes in total, `rate` rounds over all sockets a second (0: as fast as they are read).
    pub fn measure(&mut self, size: usize, rate: f64) -> Result<(), Failure> {
        writeln!(self.orders, "{size} {rate}")?;
        self.orders.flush()?;
        let stop = AtomicBool::new(false);
        let sockets = std::mem::take(&mut self.sockets);
        let (answer, read) = std::thread::scope(|scope| {
            let reader = scope.spawn(|| read_all(&sockets, &stop).map_err(|failure| failure.to_string()));
            let answer = self.answer();
            stop.store(true, Ordering::Release);
            (answer, reader.join())
        });
        self.sockets = sockets;
        read.map_err(|_| "the floor's reader failed")??;
        let answer = answer?;
        let (sends, nanoseconds) = answer.split_once(' ').ok_or("the floor's process speaks strangely")?;
        self.sends += sends.parse::<u64>()?;
        self.cpu += Duration::from_nanos(nanoseconds.parse()?);
        Ok(())
    }

    /// Microseconds of CPU a send, over all measurements.
    pub fn each(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.sends.max(1) as f64
    }

    fn answer(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err("the floor's process ended; its words are above".into());
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // It only ever does what it is told; both fail only where it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_all(sockets: &[TcpStream], stop: &AtomicBool) -> Result<(), Failure> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (i, socket) in sockets.iter().enumerate() {
        epoll::add(&epoll, socket, epoll::EventData::new_u64(i as u64), epoll::EventFlags::IN)?;
    }
    let mut events: Vec<epoll::Event> = Vec::with_capacity(1024);
    let mut buffer = vec![0; 64 * 1024];
    let timeout = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    while !stop.load(Ordering::Acquire) {
        events.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout))?;
        for event in &events {
            // What it says does not matter, only that it was taken.
            if (&sockets[event.data.u64() as usize]).read(&mut buffer)? == 0 {
                return Err("the floor's process hung up".into());
            }
        }
    }
    Ok(())
}

/// The other process: accepts, then sends as ordered, one line an order, one line an answer.
pub fn send(sockets: usize) -> Result<(), Failure> {
    allow_files(sockets)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?.port());
    let accepted: Result<Vec<TcpStream>, _> = (0..sockets).map(|_| listener.accept().map(|pair| pair.0)).collect();
    let mut accepted = accepted?;
    for socket in &accepted {
        socket.set_nodelay(true)?;
    }
    for order in std::io::stdin().lines() {
        let order = order?;
        let (size, rate) = order.split_once(' ').ok_or("an order has a size and a rate")?;
        let (frame, rate) = (vec![b'x'; size.parse()?], rate.parse::<f64>()?);
        let (before, begin) = (own_cpu(), clock::now());
        let mut sends = 0;
        for round in 0.. {
            if rate > 0.0 {
                clock::sleep_until(begin + (round as f64 / rate * SECOND as f64) as u64);
            }
            if clock::now() - begin >= LENGTH {
                break;
            }
            for socket in &mut accepted {
                socket.write_all(&frame)?;
            }
            sends += accepted.len();
        }
        println!("{sends} {}", (own_cpu() - before).as_nanos());
    }
    Ok(())
}
