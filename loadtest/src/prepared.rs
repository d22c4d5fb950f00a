//! A client's command written once as a whole frame; only its id and the digits of its stamp change. Pure.

use crate::commands::{self, FIRST_ID};
use crate::payload::Stamp;
use crate::target::Protocol;
use crate::ws;

/// See the module.
pub struct Prepared {
    frame: Vec<u8>,
    protocol: Protocol,
    id_at: usize,
    stamp_at: Option<usize>,
    id: u64,
}

impl Prepared {
    /// A publish command of a stream's next publication.
    pub fn publish(protocol: Protocol, channel: &str, stream: u32, size: usize) -> Prepared {
        let data = Stamp { stream, number: 0, due: 0 }.encode(size);
        Prepared::new(protocol, &commands::publish(protocol, FIRST_ID, channel, &data))
    }

    /// A command for presence statistics.
    pub fn presence_stats(protocol: Protocol, channel: &str) -> Prepared {
        Prepared::new(protocol, &commands::presence_stats(protocol, FIRST_ID, channel))
    }

    fn new(protocol: Protocol, command: &[u8]) -> Prepared {
        let mut frame = Vec::new();
        ws::write_message(&mut frame, protocol, command);
        let head = frame.len() - command.len();
        let id_at = match protocol {
            Protocol::Json => head + b"{\"id\":".len(),
            // Behind the length and the field's tag.
            Protocol::Protobuf => head + command.iter().take_while(|byte| **byte >= 0x80).count() + 2,
        };
        let stamp_at = memchr::memmem::find(&frame, b"{\"n\":");
        Prepared { frame, protocol, id_at, stamp_at, id: FIRST_ID - 1 }
    }

    /// The frame with the next id, and for a publish command this number and time.
    pub fn next(&mut self, number: u64, due: u64) -> &[u8] {
        self.id += 1;
        match self.protocol {
            Protocol::Json => {
                let mut id = self.id;
                for digit in self.frame[self.id_at..self.id_at + 10].iter_mut().rev() {
                    *digit = b'0' + (id % 10) as u8;
                    id /= 10;
                }
            }
            Protocol::Protobuf => {
                for (i, byte) in self.frame[self.id_at..self.id_at + 5].iter_mut().enumerate() {
                    *byte = (self.id >> (7 * i)) as u8 & 0x7f | if i < 4 { 0x80 } else { 0 };
                }
            }
        }
        if let Some(at) = self.stamp_at {
            Stamp::rewrite(&mut self.frame[at..], number, due);
        }
        &self.frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewritten_commands_are_those_written_anew() {
        for protocol in [Protocol::Json, Protocol::Protobuf] {
            for channel in ["c", &"long".repeat(40)] {
                let mut prepared = Prepared::publish(protocol, channel, 5, 64);
                for number in 0..300 {
                    let data = Stamp { stream: 5, number, due: number * 1000 }.encode(64);
                    let mut anew = Vec::new();
                    let command = commands::publish(protocol, FIRST_ID + number, channel, &data);
                    ws::write_message(&mut anew, protocol, &command);
                    assert_eq!(prepared.next(number, number * 1000), anew);
                }
            }
        }
    }
}
