//! Answers of other nodes, which may be long: read in pieces.

use std::collections::VecDeque;

use bytes::Bytes;

use super::commands;
use crate::channel::name::ChannelName;
use crate::protocol::Malformed;
use crate::protocol::proto::Reader;

/// Longest answer that is read, bytes: a million channels with names of 50 bytes. Longer ones are as good as none.
pub(super) const MAX_ANSWER: usize = 64 << 20;

/// Bytes of all answers that wait to be read, at most. Beyond, further ones are as good as none.
const MAX_WAITING: usize = 4 * MAX_ANSWER;

/// What is not read yet, in the order in which it came.
#[derive(Debug)]
pub(super) struct Answers<Q> {
    waiting: VecDeque<Answer<Q>>,
    bytes: usize,
}

/// The channels of a node, or the rest of them.
#[derive(Debug)]
struct Answer<Q> {
    id: u64,
    question: Q,
    is_last: bool,
    rest: Bytes,
}

/// A piece of an answer.
#[derive(Debug)]
pub(super) struct Piece<Q> {
    /// The question's number.
    pub id: u64,
    /// The question.
    pub question: Q,
    /// Channels; none when the answer cannot be understood.
    pub channels: Option<Vec<(ChannelName, u32)>>,
    /// No answers to the question follow.
    pub is_last: bool,
}

impl<Q> Default for Answers<Q> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), bytes: 0 }
    }
}

impl<Q: Clone> Answers<Q> {
    /// An answer came; the last one to the question, perhaps. False when it is too long.
    pub fn put(&mut self, id: u64, question: Q, is_last: bool, answer: Bytes) -> bool {
        let fits = answer.len() <= MAX_ANSWER.min(MAX_WAITING - self.bytes);
        if fits {
            self.bytes += answer.len();
            self.waiting.push_back(Answer { id, question, is_last, rest: answer });
        }
        fits
    }

    /// The next piece, of so many channels at most.
    pub fn next(&mut self, budget: usize) -> Option<Piece<Q>> {
        let answer = self.waiting.front_mut()?;
        let cut = end_of(&answer.rest, budget).ok();
        let channels = cut.and_then(|cut| {
            self.bytes -= cut;
            commands::channels_of(&answer.rest.split_to(cut))
        });
        let is_over = channels.is_none() || answer.rest.is_empty();
        let piece =
            Piece { id: answer.id, question: answer.question.clone(), channels, is_last: is_over && answer.is_last };
        if is_over {
            self.bytes -= answer.rest.len();
            self.waiting.pop_front();
        }
        Some(piece)
    }

    /// Whether anything waits to be read.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Nobody waits for answers to the question any more.
    pub fn forget(&mut self, id: u64) {
        let Self { waiting, bytes } = self;
        waiting.retain(|answer| {
            let stays = answer.id != id;
            *bytes -= if stays { 0 } else { answer.rest.len() };
            stays
        });
    }
}

/// Where the first so many fields of a message end.
fn end_of(message: &[u8], fields: usize) -> Result<usize, Malformed> {
    let mut reader = Reader::new(message);
    for _ in 0..fields {
        let Some((_, wire)) = reader.tag()? else { break };
        reader.skip(wire)?;
    }
    Ok(message.len() - reader.rest().len())
}
