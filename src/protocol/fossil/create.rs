//! From two payloads to the patch between them.
//!
//! The old payload is cut into blocks, and each block is found again by a hash. A window of the size of a block slides
//! over the new payload; where the hash is known, the longest common piece around it is copied, and what lies between
//! two copies is inserted. Which piece is chosen is upstream's rule, so that a patch is worth sending in the same
//! cases. Two things differ: the work is bounded, and no UTF-8 character is cut in two, because an inserted half of one
//! would not survive the JSON string that it is sent in.

use super::{DIGITS, checksum};

/// Bytes of a block, and of the window.
const BLOCK: usize = 16;

/// Blocks with the same hash that are looked at for one place of the window.
const MAX_CANDIDATES: u32 = 250;

/// The same when the work is used up.
const FEW_CANDIDATES: u32 = 4;

/// Bytes that are compared for each byte of both payloads before [`FEW_CANDIDATES`] must do. Payloads that are not
/// made to be slow need less than one.
const WORK_PER_BYTE: usize = 32;

/// No block.
const NONE: u32 = u32::MAX;

/// The patch that turns `old` into `new`; nothing when it would not be shorter than `new`, or when the payloads are
/// too long for a patch (4 GiB). Takes memory for half of `old` while it works.
pub fn create(old: &[u8], new: &[u8]) -> Option<Vec<u8>> {
    if old.len() <= BLOCK || u32::try_from(old.len().max(new.len())).is_err() {
        return None;
    }
    let mut patch = Patch { out: Vec::new(), limit: new.len(), new };
    patch.number(new.len());
    patch.out.push(b'\n');
    let mut search = Search::new(old, new);
    let mut done = 0;
    while let Some((at, copy)) = search.next_copy(done) {
        let Copy { start, len, source } = copy.within_characters(new);
        if len > 0 {
            patch.insert(done..start);
            patch.number(len);
            patch.out.push(b'@');
            patch.number(source);
            patch.out.push(b',');
            done = start + len;
        } else {
            // Nothing is left of it: the bytes of the character go with the next insertion.
            search.passed_over = at + 1;
        }
        if patch.is_too_long() {
            return None;
        }
    }
    patch.insert(done..new.len());
    patch.number(checksum(new) as usize);
    patch.out.push(b';');
    (!patch.is_too_long()).then_some(patch.out)
}

/// A patch in the making.
struct Patch<'p> {
    out: Vec<u8>,
    limit: usize,
    new: &'p [u8],
}

impl Patch<'_> {
    fn number(&mut self, number: usize) {
        for at in (0..digits(number)).rev() {
            self.out.push(DIGITS[number >> (6 * at) & 63]);
        }
    }

    fn insert(&mut self, range: std::ops::Range<usize>) {
        if !range.is_empty() {
            self.number(range.len());
            self.out.push(b':');
            self.out.extend_from_slice(&self.new[range]);
        }
    }

    fn is_too_long(&self) -> bool {
        self.out.len() >= self.limit
    }
}

/// A piece of the new payload that stands in the old one.
#[derive(Clone, Copy)]
struct Copy {
    start: usize,
    len: usize,
    /// Its place in the old payload.
    source: usize,
}

impl Copy {
    /// The same without the parts of characters at both ends. What goes on for longer than a character is no text.
    fn within_characters(self, new: &[u8]) -> Self {
        let is_inside = |at: usize| new.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
        let (start, end) = (self.start, self.start + self.len);
        let front = (0..=3).find(|cut| !is_inside(start + cut)).unwrap_or(0);
        let back = (0..=3.min(self.len)).find(|cut| !is_inside(end - cut)).unwrap_or(0);
        let len = self.len.saturating_sub(front + back);
        Self { start: start + front, len, source: self.source + front }
    }
}

/// Where blocks of the old payload stand in the new one.
struct Search<'p> {
    old: &'p [u8],
    new: &'p [u8],
    /// By hash: the newest block with it.
    heads: Vec<u32>,
    /// By block: the next older one with the same hash.
    chain: Vec<u32>,
    /// Bytes that may still be compared.
    work_left: usize,
    /// The window does not begin before this place.
    passed_over: usize,
}

impl<'p> Search<'p> {
    fn new(old: &'p [u8], new: &'p [u8]) -> Self {
        let blocks = old.len() / BLOCK;
        let (mut heads, mut chain) = (vec![NONE; blocks], vec![NONE; blocks]);
        // A last block that ends with the payload is left out, as upstream.
        for (block, older) in chain.iter_mut().enumerate().take((old.len() - 1) / BLOCK) {
            let hash = Rolling::of(old, block * BLOCK).slot(blocks);
            *older = std::mem::replace(&mut heads[hash], block as u32);
        }
        let work_left = (old.len() + new.len()).saturating_mul(WORK_PER_BYTE);
        Self { old, new, heads, chain, work_left, passed_over: 0 }
    }

    /// The first place of the window, from `done` on, where there is a copy, and the best copy there.
    fn next_copy(&mut self, done: usize) -> Option<(usize, Copy)> {
        let from = done.max(self.passed_over);
        if from + BLOCK >= self.new.len() {
            return None;
        }
        let mut window = Rolling::of(self.new, from);
        let mut at = from;
        loop {
            if let Some(copy) = self.best_at(at, done, window.slot(self.heads.len())) {
                return Some((at, copy));
            }
            if at + BLOCK >= self.new.len() {
                return None;
            }
            window.roll(self.new[at], self.new[at + BLOCK]);
            at += 1;
        }
    }

    fn best_at(&mut self, at: usize, done: usize, hash: usize) -> Option<Copy> {
        let mut best: Option<Copy> = None;
        let mut block = self.heads[hash];
        // One less than the limit, as upstream counts.
        let mut candidates = 1;
        while block != NONE {
            candidates += 1;
            if candidates > if self.work_left > 0 { MAX_CANDIDATES } else { FEW_CANDIDATES } {
                break;
            }
            let source = block as usize * BLOCK;
            let forward = common_prefix(&self.old[source..], &self.new[at..]);
            // The very first byte of the old payload is never reached backwards, as upstream.
            let backward = common_suffix(&self.old[1.min(source)..source], &self.new[done..at]);
            self.work_left = self.work_left.saturating_sub(forward + backward + 1);
            let (len, source) = (forward + backward, source - backward);
            let cost = digits(at - backward - done) + digits(len) + digits(source) + 3;
            if len >= cost && best.is_none_or(|best| len > best.len) {
                best = Some(Copy { start: at - backward, len, source });
            }
            block = self.chain[block as usize];
        }
        best
    }
}

/// The hash of a window: it moves on by one byte in constant time.
#[derive(Clone, Copy)]
struct Rolling {
    sum: u16,
    weighted: u16,
}

impl Rolling {
    /// The window that begins at a place; it must lie within.
    fn of(bytes: &[u8], at: usize) -> Self {
        let mut hash = Self { sum: 0, weighted: 0 };
        for byte in &bytes[at..at + BLOCK] {
            hash.sum = hash.sum.wrapping_add(u16::from(*byte));
            hash.weighted = hash.weighted.wrapping_add(hash.sum);
        }
        hash
    }

    fn roll(&mut self, gone: u8, came: u8) {
        self.sum = self.sum.wrapping_sub(u16::from(gone)).wrapping_add(u16::from(came));
        self.weighted = self.weighted.wrapping_sub(BLOCK as u16 * u16::from(gone)).wrapping_add(self.sum);
    }

    fn slot(self, slots: usize) -> usize {
        (u32::from(self.weighted) << 16 | u32::from(self.sum)) as usize % slots
    }
}

/// Digits of a number below 2^32.
fn digits(number: usize) -> usize {
    (1..6).find(|count| number >> (6 * count) == 0).unwrap_or(6)
}

/// Bytes that both begin with.
fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    let mut len = 0;
    for (left, right) in one.as_chunks::<8>().0.iter().zip(other.as_chunks::<8>().0) {
        let differing = u64::from_le_bytes(*left) ^ u64::from_le_bytes(*right);
        if differing != 0 {
            return len + (differing.trailing_zeros() / 8) as usize;
        }
        len += 8;
    }
    len + one[len..].iter().zip(&other[len..]).take_while(|(left, right)| left == right).count()
}

/// Bytes that both end with.
fn common_suffix(one: &[u8], other: &[u8]) -> usize {
    one.iter().rev().zip(other.iter().rev()).take_while(|(left, right)| left == right).count()
}
