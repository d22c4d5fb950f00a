//! The server API: publications to channels without subscribers over keep-alive connections, as fast as they are
//! answered.

use std::time::{Duration, Instant};

use clap::Args;
use hdrhistogram::Histogram;
use rustix::event::{Timespec, epoll};

use crate::Failure;
use crate::api::ApiConnection;
use crate::payload::{SMALLEST, Stamp};
use crate::report::Report;
use crate::target::Target;

/// See the module.
#[derive(Args)]
pub struct Api {
    #[command(flatten)]
    target: Target,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,
    /// Channels that the publications go to, in turn.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    channels: u32,
    /// Seconds before the measured ones.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=600))]
    warmup: u32,
    /// Measured seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    duration: u32,
    /// Bytes of a publication's data.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(SMALLEST as i64..=60_000))]
    size: u32,
}

impl Api {
    /// Runs it.
    pub fn run(&self) -> Result<Report, Failure> {
        self.target.pin()?;
        let process = self.target.process();
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut connections = Vec::new();
        for i in 0..self.connections {
            let connection = ApiConnection::open(&self.target)?;
            epoll::add(&epoll, connection.socket(), epoll::EventData::new_u64(u64::from(i)), epoll::EventFlags::IN)?;
            connections.push((connection, Instant::now()));
        }
        let channels: Vec<String> = (0..self.channels).map(|i| format!("api{i}")).collect();
        let data = Stamp { number: 0, due: Duration::ZERO }.encode(self.size as usize);
        let mut number = 0;
        let mut next_channel = || {
            number = (number + 1) % channels.len();
            &channels[number]
        };
        for (connection, asked) in &mut connections {
            *asked = Instant::now();
            connection.publish(next_channel(), &data)?;
        }

        let mut latency = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3)?;
        let begin = Instant::now() + Duration::from_secs(u64::from(self.warmup));
        let mut cpu_before = None;
        let mut began = None;
        let mut events = Vec::with_capacity(1024);
        let timeout = Timespec { tv_sec: 10, tv_nsec: 0 };
        loop {
            events.clear();
            epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout))?;
            if events.is_empty() {
                return Err("no answer for 10 seconds".into());
            }
            let now = Instant::now();
            if began.is_none() && now >= begin {
                began = Some(now);
                cpu_before = process.as_ref().map(|p| p.cpu()).transpose()?;
            }
            if began.is_some_and(|began| now - began >= Duration::from_secs(u64::from(self.duration))) {
                break;
            }
            for event in &events {
                let (connection, asked) = &mut connections[event.data.u64() as usize];
                if connection.receive()? > 0 {
                    if began.is_some() {
                        latency.saturating_record((asked.elapsed().as_nanos() as u64).max(1));
                    }
                    *asked = Instant::now();
                    connection.publish(next_channel(), &data)?;
                }
            }
        }
        let elapsed = began.ok_or("nothing was measured")?.elapsed();

        let mut report = Report::new("api");
        report.count("connections", u64::from(self.connections), "");
        report.count("channels", u64::from(self.channels), "");
        report.count("payload", u64::from(self.size), "bytes");
        report.count("requests_measured", latency.len(), "");
        report.measure("requests", latency.len() as f64 / elapsed.as_secs_f64(), "per_s");
        report.latency(&latency);
        if let (Some(process), Some(before)) = (&process, cpu_before) {
            let cpu = process.cpu()? - before;
            report.measure("server_cpu", cpu.as_secs_f64() * 100.0 / elapsed.as_secs_f64(), "percent");
            report.cpu_each("server_cpu_a_request", cpu, latency.len());
        }
        Ok(report)
    }
}
