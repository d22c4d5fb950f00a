//! What the allocator and the kernel say of the process's memory.

use std::ffi::{CStr, c_char, c_void};
use std::fmt::Write;

/// Bytes of the allocator's report that are kept.
const MAX_REPORT: usize = 64 << 10;

/// Figures of the process, one a line, and the allocator's own report.
pub fn statistics() -> String {
    let [mut elapsed, mut user, mut system, mut resident, mut peak_resident, mut committed, mut peak, mut faults] =
        [0_usize; 8];
    // SAFETY: every argument is a valid place for a number, for the time of the call.
    unsafe {
        libmimalloc_sys::mi_process_info(
            &raw mut elapsed,
            &raw mut user,
            &raw mut system,
            &raw mut resident,
            &raw mut peak_resident,
            &raw mut committed,
            &raw mut peak,
            &raw mut faults,
        );
    }
    let mut out = String::new();
    for (name, value) in [
        ("milliseconds since the start", elapsed),
        ("CPU milliseconds, user", user),
        ("CPU milliseconds, system", system),
        ("resident bytes", resident),
        ("resident bytes, most", peak_resident),
        ("committed bytes", committed),
        ("committed bytes, most", peak),
        ("page faults that read", faults),
    ] {
        // Text takes text.
        let _ = writeln!(out, "{name}: {value}");
    }
    out.push_str("\nReport of the allocator (mimalloc), without what threads have not merged yet:\n");
    // SAFETY: `append` gets back the pointer to the text, which outlives the call; nothing else uses it meanwhile.
    unsafe { libmimalloc_sys::mi_stats_print_out(Some(append), (&raw mut out).cast::<c_void>()) };
    out
}

/// Takes a piece of the report.
unsafe extern "C" fn append(message: *const c_char, text: *mut c_void) {
    if message.is_null() || text.is_null() {
        return;
    }
    // SAFETY: the allocator hands over a text that ends with a zero, and the pointer that `statistics` gave it.
    let (message, text) = unsafe { (CStr::from_ptr(message), &mut *text.cast::<String>()) };
    if text.len() < MAX_REPORT {
        text.push_str(&message.to_string_lossy());
    }
}
