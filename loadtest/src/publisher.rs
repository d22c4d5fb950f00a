//! The publishing side of a spread: prepared requests over one API connection, in turn over the channels, so that each
//! channel's publications keep their order.

use crate::Failure;
use crate::api::{ApiConnection, Request};
use crate::bench::Bench;
use crate::pace::Pace;
use crate::spread::{Drive, PATIENCE, Spread};
use crate::tally::{Tally, Window};

/// See the module.
pub struct Publisher {
    /// Its connection.
    pub api: ApiConnection,
    requests: Vec<Request>,
    batch: usize,
    drive: Drive,
    pace: Option<Pace>,
    ramp: u64,
    asked: u64,
    /// Publications to each channel so far.
    pub published: Vec<u64>,
    /// Subscribers of each channel among this worker's connections, and what they are owed.
    subscribers: Vec<u64>,
    owed: u64,
    average: u64,
}

impl Publisher {
    /// For a spread of which this worker has so many connections.
    pub fn new(spread: &Spread, bench: &Bench, own_connections: usize) -> Result<Publisher, Failure> {
        let size = bench.options.size as usize;
        let requests = (0..spread.channels / spread.batch)
            .map(|group| {
                let numbers = group * spread.batch..(group + 1) * spread.batch;
                let names = bench.channels(&spread.namespace, numbers.clone());
                if spread.batch == 1 {
                    Request::publish(&bench.target, &names[0], group as u32, size)
                } else {
                    let pairs: Vec<(String, u32)> =
                        names.into_iter().zip(numbers).map(|(name, number)| (name, number as u32)).collect();
                    Request::batch(&bench.target, &pairs, size)
                }
            })
            .collect();
        let mut subscribers = vec![0; spread.channels];
        for connection in 0..own_connections {
            spread.streams(connection).into_iter().for_each(|stream| subscribers[stream as usize] += 1);
        }
        let average = (subscribers.iter().sum::<u64>() / spread.channels as u64).max(1);
        Ok(Publisher {
            api: ApiConnection::open(&bench.target)?,
            requests,
            batch: spread.batch,
            drive: spread.drive,
            pace: None,
            ramp: bench.options.ramp,
            asked: 0,
            published: vec![0; spread.channels],
            subscribers,
            owed: 0,
            average,
        })
    }

    /// Publishes what is due; the moment when something is due next. `heard` counts this worker's deliveries.
    pub fn pump(&mut self, now: u64, window: Window, heard: u64, tally: &mut Tally) -> Result<u64, Failure> {
        let mut next_due = u64::MAX;
        match self.drive {
            Drive::Rate(rate) => {
                let ramp = self.ramp;
                let requests_a_second = rate / self.batch as f64;
                let pace = *self.pace.get_or_insert_with(|| Pace::new(window.origin, requests_a_second, ramp));
                loop {
                    let due = pace.due(self.asked);
                    if due >= window.end {
                        break;
                    }
                    if due > now {
                        next_due = due;
                        break;
                    }
                    self.publish(now, due, tally);
                }
            }
            Drive::Saturate { in_flight, ahead } => {
                while now < window.end
                    && now >= window.origin
                    && self.api.open_requests() < in_flight
                    && self.owed.saturating_sub(heard) < ahead * self.average
                {
                    self.publish(now, now, tally);
                }
            }
            Drive::AtEnd => {
                while now >= window.end && self.asked < self.requests.len() as u64 && self.api.open_requests() < 4 {
                    self.publish(now, now, tally);
                }
            }
        }
        self.api.flush()?;
        Ok(next_due)
    }

    fn publish(&mut self, now: u64, due: u64, tally: &mut Tally) {
        let group = (self.asked % self.requests.len() as u64) as usize;
        let first = group * self.batch;
        let published = &mut self.published;
        self.api.ask(&self.requests[group], due, |i| {
            published[first + i] += 1;
            published[first + i] - 1
        });
        self.owed += self.subscribers[first..first + self.batch].iter().sum::<u64>();
        self.asked += 1;
        tally.send(now, due, self.batch as u64);
    }

    /// Whether all is published and answered.
    pub fn is_done(&self, now: u64, window: Window) -> Result<bool, Failure> {
        let all_asked = match self.drive {
            Drive::AtEnd => self.asked == self.requests.len() as u64,
            _ => true,
        };
        if now > window.end + 2 * PATIENCE && self.api.open_requests() > 0 {
            return Err(format!("{} requests to the server API stay unanswered", self.api.open_requests()).into());
        }
        Ok(now >= window.end && all_asked && self.api.open_requests() == 0)
    }
}
