//! Frames owed to one connection, in order, with the bytes counted and partial writes remembered.

use std::collections::VecDeque;
use std::io::IoSlice;

use super::frame::Frame;

/// What a connection is owed. One word; holds memory only while something is owed, and that memory comes
/// from and returns to the shard's [`Pool`].
///
/// The bound in bytes (`client.queue_max_size`) is the caller's: it reads [`Outbox::bytes`] after a push and
/// disconnects the slow client.
#[derive(Debug, Default)]
pub struct Outbox(Option<Box<Queue>>);

/// The queue behind an outbox that is not empty.
#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Frame>,
    /// Bytes of the first frame that the socket took already.
    sent: usize,
    /// Bytes still to be taken by the socket.
    bytes: usize,
}

/// Queues of drained outboxes, kept for the next one that is owed something.
#[derive(Debug)]
pub struct Pool {
    #[expect(clippy::vec_box, reason = "an outbox is one word: it holds the box, and the box is what is used again")]
    idle: Vec<Box<Queue>>,
    /// Queues kept however long they are not used.
    kept: usize,
    /// Queues in use.
    lent: usize,
    /// Most queues in use at once, lately.
    peak: usize,
    /// Bytes of all queues in use.
    owed: usize,
}

/// A queue that grew beyond so many frames is freed rather than kept.
const MAX_KEPT_FRAMES: usize = 64;

impl Pool {
    /// A pool that keeps `kept` queues for good, and as many more as were in use at once lately: however many
    /// outboxes a publication fills, the next one allocates nothing.
    pub const fn new(kept: usize) -> Self {
        Self { idle: Vec::new(), kept, lent: 0, peak: 0, owed: 0 }
    }

    /// Frees up to `budget` queues that were not needed lately. Called at regular times; each call lowers what counts
    /// as lately needed by an eighth.
    pub fn trim(&mut self, budget: usize) {
        let wanted = self.peak.max(self.kept).saturating_sub(self.lent);
        let excess = self.idle.len().saturating_sub(wanted).min(budget);
        self.idle.truncate(self.idle.len() - excess);
        self.peak = self.lent.max(self.peak - self.peak.div_ceil(8));
    }

    /// Queues kept at the moment.
    pub fn idle(&self) -> usize {
        self.idle.len()
    }

    /// Bytes that all outboxes of the shard owe together.
    pub fn owed(&self) -> usize {
        self.owed
    }

    fn take(&mut self) -> Box<Queue> {
        self.lent += 1;
        self.peak = self.peak.max(self.lent);
        self.idle.pop().unwrap_or_default()
    }

    fn give_back(&mut self, mut queue: Box<Queue>) {
        self.owed -= queue.bytes;
        self.lent -= 1;
        if queue.frames.capacity() <= MAX_KEPT_FRAMES {
            // Nearly always one frame: popping costs less than clearing.
            while queue.frames.pop_front().is_some() {}
            queue.sent = 0;
            queue.bytes = 0;
            self.idle.push(queue);
        }
    }
}

impl Outbox {
    /// An outbox that owes nothing.
    pub const fn new() -> Self {
        Self(None)
    }

    /// Appends a frame. An empty frame is nothing to send and is dropped.
    #[inline]
    pub fn push(&mut self, pool: &mut Pool, frame: Frame) {
        if frame.is_empty() {
            return;
        }
        let queue = self.0.get_or_insert_with(|| pool.take());
        queue.bytes += frame.len();
        pool.owed += frame.len();
        queue.frames.push_back(frame);
    }

    /// Puts a frame in front of all others. Only before anything was sent of what is owed.
    pub fn push_front(&mut self, pool: &mut Pool, frame: Frame) {
        if frame.is_empty() {
            return;
        }
        let queue = self.0.get_or_insert_with(|| pool.take());
        debug_assert_eq!(queue.sent, 0, "the front is on its way already");
        queue.bytes += frame.len();
        pool.owed += frame.len();
        queue.frames.push_front(frame);
    }

    /// Bytes owed.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.bytes)
    }

    /// Frames owed, the one sent in part included.
    pub fn frames(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.frames.len())
    }

    /// Whether nothing is owed.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// What is owed, piece by piece and without the part already sent.
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let sent = self.0.as_ref().map_or(0, |queue| queue.sent);
        let frames = self.0.iter().flat_map(|queue| queue.frames.iter());
        frames.enumerate().map(move |(at, frame)| if at == 0 { &frame.as_bytes()[sent..] } else { frame.as_bytes() })
    }

    /// Points `slices` at the first pieces owed and returns how many were filled.
    pub fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slice, piece) in slices.iter_mut().zip(self.pieces()) {
            *slice = IoSlice::new(piece);
            filled += 1;
        }
        filled
    }

    /// Replaces `scratch` by a copy of the first pieces owed that fit into `max` bytes together, and returns
    /// its length: many small frames are cheaper to send as one piece than as many. 0 when the first piece
    /// alone is larger.
    pub fn copy_small(&self, scratch: &mut Vec<u8>, max: usize) -> usize {
        scratch.clear();
        for piece in self.pieces() {
            if scratch.len() + piece.len() > max {
                break;
            }
            scratch.extend_from_slice(piece);
        }
        scratch.len()
    }

    /// The socket took the first `count` bytes. `count` is at most [`Outbox::bytes`]; more counts as all.
    pub fn advance(&mut self, count: usize, pool: &mut Pool) {
        let Some(queue) = &mut self.0 else { return };
        debug_assert!(count <= queue.bytes, "the socket took more than it was owed");
        if count >= queue.bytes {
            return self.clear(pool);
        }
        queue.bytes -= count;
        pool.owed -= count;
        queue.sent += count;
        while let Some(first) = queue.frames.front()
            && queue.sent >= first.len()
        {
            queue.sent -= first.len();
            queue.frames.pop_front();
        }
    }

    /// Drops every frame of which the socket has not taken a byte. A frame that is sent in part stays: the peer
    /// could not read anything behind a torn one.
    pub fn drop_unsent(&mut self, pool: &mut Pool) {
        let Some(queue) = &mut self.0 else { return };
        if queue.sent == 0 {
            return self.clear(pool);
        }
        queue.frames.truncate(1);
        let left = queue.frames[0].len() - queue.sent;
        pool.owed -= queue.bytes - left;
        queue.bytes = left;
    }

    /// Drops all that is owed and gives the memory back.
    pub fn clear(&mut self, pool: &mut Pool) {
        if let Some(queue) = self.0.take() {
            pool.give_back(queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn owed(outbox: &Outbox) -> Vec<u8> {
        outbox.pieces().flatten().copied().collect()
    }

    #[test]
    fn an_outbox_is_one_word_and_holds_nothing_when_drained() {
        assert_eq!(size_of::<Outbox>(), size_of::<usize>());
        let mut pool = Pool::new(1);
        let mut outbox = Outbox::new();
        outbox.push(&mut pool, Frame::new(b"abc"));
        outbox.push(&mut pool, Frame::new(b""));
        assert_eq!((outbox.bytes(), outbox.frames(), pool.idle()), (3, 1, 0));
        outbox.advance(3, &mut pool);
        assert!(outbox.is_empty());
        assert_eq!(pool.idle(), 1);
        outbox.push(&mut pool, Frame::new(b"d"));
        assert_eq!(pool.idle(), 0);
        assert_eq!(owed(&outbox), b"d");
    }

    #[test]
    fn the_pool_keeps_what_is_needed_and_no_grown_queue() {
        let mut pool = Pool::new(1);
        let mut outboxes = [Outbox::new(), Outbox::new()];
        for outbox in &mut outboxes {
            outbox.push(&mut pool, Frame::new(b"x"));
        }
        for outbox in &mut outboxes {
            outbox.clear(&mut pool);
        }
        // As many as were in use at once, and after some time only those that are kept for good.
        assert_eq!(pool.idle(), 2);
        (0..3).for_each(|_| pool.trim(1));
        assert_eq!(pool.idle(), 1);

        let mut pool = Pool::new(1);
        let mut outbox = Outbox::new();
        for _ in 0..=MAX_KEPT_FRAMES {
            outbox.push(&mut pool, Frame::new(b"x"));
        }
        outbox.clear(&mut pool);
        assert_eq!(pool.idle(), 0);
    }

    #[test]
    fn small_frames_are_copied_together_and_a_large_one_is_not() {
        let mut pool = Pool::new(1);
        let mut outbox = Outbox::new();
        let mut scratch = Vec::new();
        for text in [&b"one"[..], b"two", b"a longer one"] {
            outbox.push(&mut pool, Frame::new(text));
        }
        assert_eq!(outbox.copy_small(&mut scratch, 8), 6);
        assert_eq!(scratch, b"onetwo");
        outbox.advance(6, &mut pool);
        assert_eq!(outbox.copy_small(&mut scratch, 8), 0);
        assert!(scratch.is_empty());
    }

    #[test]
    fn a_torn_frame_survives_dropping_the_rest() {
        let mut pool = Pool::new(1);
        let mut outbox = Outbox::new();
        outbox.push(&mut pool, Frame::new(b"torn"));
        outbox.push(&mut pool, Frame::new(b"whole"));
        outbox.advance(1, &mut pool);
        outbox.drop_unsent(&mut pool);
        assert_eq!((owed(&outbox), outbox.bytes()), (b"orn".to_vec(), 3));
        outbox.advance(3, &mut pool);
        outbox.push(&mut pool, Frame::new(b"whole"));
        outbox.drop_unsent(&mut pool);
        assert!(outbox.is_empty());
        outbox.drop_unsent(&mut pool);
        assert!(outbox.is_empty());
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(Vec<u8>),
        Write { pieces: usize, part: prop::sample::Index },
        Copy { max: usize, part: prop::sample::Index },
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Step::Push),
            3 => (1..6usize, any::<prop::sample::Index>()).prop_map(|(pieces, part)| Step::Write { pieces, part }),
            2 => (0..60usize, any::<prop::sample::Index>()).prop_map(|(max, part)| Step::Copy { max, part }),
            1 => Just(Step::Clear),
        ]
    }

    proptest! {
        #[test]
        fn the_socket_gets_every_byte_once_and_in_order(steps in prop::collection::vec(step(), 0..100)) {
            let mut pool = Pool::new(4);
            let mut outbox = Outbox::new();
            let mut model: VecDeque<u8> = VecDeque::new();
            let mut scratch = Vec::new();
            for step in steps {
                match step {
                    Step::Push(bytes) => {
                        outbox.push(&mut pool, Frame::new(&bytes));
                        model.extend(bytes);
                    }
                    Step::Write { pieces, part } => {
                        let mut slices = vec![IoSlice::new(&[]); pieces];
                        let filled = outbox.fill(&mut slices);
                        prop_assert_eq!(filled, pieces.min(outbox.frames()));
                        let sent: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect();
                        let taken = part.index(sent.len() + 1);
                        let expected: Vec<u8> = model.drain(..taken).collect();
                        prop_assert_eq!(&sent[..taken], expected);
                        outbox.advance(taken, &mut pool);
                    }
                    Step::Copy { max, part } => {
                        let copied = outbox.copy_small(&mut scratch, max);
                        prop_assert!(copied <= max && copied == scratch.len());
                        let taken = part.index(copied + 1);
                        let expected: Vec<u8> = model.drain(..taken).collect();
                        prop_assert_eq!(&scratch[..taken], expected);
                        outbox.advance(taken, &mut pool);
                    }
                    Step::Clear => {
                        outbox.clear(&mut pool);
                        model.clear();
                    }
                }
                prop_assert_eq!(outbox.bytes(), model.len());
                prop_assert_eq!(outbox.is_empty(), model.is_empty());
                prop_assert_eq!(owed(&outbox), Vec::from(model.clone()));
                prop_assert!(pool.idle() <= 1, "no more than were in use at once");
            }
        }
    }
}
