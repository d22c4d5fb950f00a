//! An allocator that counts, for one thread alone: tests run beside each other.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What this thread asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Allocations {
    /// Allocations, growing an old one included.
    pub count: u64,
    /// Bytes that are not given back yet; below zero when others' memory was freed here.
    pub live: i64,
}

thread_local! {
    static OWN: Cell<Allocations> = const { Cell::new(Allocations { count: 0, live: 0 }) };
}

/// Counted so far.
pub fn so_far() -> Allocations {
    OWN.get()
}

/// The system's allocator, counting.
pub struct Counting;

fn note(count: u64, bytes: i64) {
    // A thread that is ending may have no counter any more.
    let _ = OWN.try_with(|own| {
        let before = own.get();
        own.set(Allocations { count: before.count + count, live: before.live + bytes });
    });
}

// SAFETY: every request goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size() as i64);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        note(0, -(layout.size() as i64));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(1, size as i64 - layout.size() as i64);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(place, layout, size) }
    }
}
