//! Validates and compacts JSON that is passed on.

use std::cell::RefCell;

use crate::protocol::json::scan::Scanner;

/// From this length in bytes on, simd-json looks first (benches/codec.rs, `validate`).
const SIMD_FROM: usize = 1024;

/// Largest scratch memory that is kept between calls, in bytes of input.
const SCRATCH_KEPT: usize = 1 << 20;

struct Scratch {
    copy: Vec<u8>,
    buffers: simd_json::Buffers,
    tape: simd_json::Tape<'static>,
}

thread_local! {
    static SCRATCH: RefCell<Option<Scratch>> = const { RefCell::new(None) };
}

/// Whether this is one JSON value, with blanks around it or not (upstream: segmentio json.Valid). Text need not be
/// UTF-8 and nesting is not bounded.
pub fn is_valid(json: &[u8]) -> bool {
    (json.len() >= SIMD_FROM && simd_accepts(json)) || scan_accepts(json)
}

fn scan_accepts(json: &[u8]) -> bool {
    let mut scan = Scanner::new(json);
    scan.blanks();
    scan.skip_bounded(usize::MAX).and_then(|()| scan.end()).is_ok()
}

/// simd-json accepts nothing that the scanner rejects, but rejects some that it accepts: numbers beyond a double, text
/// that is not UTF-8, halves of surrogate pairs, deep nesting. So its yes counts, its no does not.
fn simd_accepts(json: &[u8]) -> bool {
    SCRATCH.with_borrow_mut(|kept| {
        let mut scratch = kept.take().unwrap_or_else(|| Scratch {
            copy: Vec::new(),
            buffers: simd_json::Buffers::new(json.len()),
            tape: simd_json::Tape::null(),
        });
        // simd-json unescapes in place, so it gets a copy.
        scratch.copy.clear();
        scratch.copy.extend_from_slice(json);
        let mut tape = scratch.tape.reset();
        let accepts = simd_json::fill_tape(&mut scratch.copy, &mut scratch.buffers, &mut tape).is_ok();
        scratch.tape = tape.reset();
        if json.len() <= SCRATCH_KEPT {
            *kept = Some(scratch);
        }
        accepts
    })
}

/// Whether this is a JSON object.
pub fn is_object(json: &[u8]) -> bool {
    let first = json.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    first == Some(&b'{') && is_valid(json)
}

/// Appends valid JSON without blanks between tokens, `<`, `>`, `&`, U+2028 and U+2029 escaped (upstream: encoding/json
/// compact). What is not valid is copied just as blindly.
pub fn compact_html(json: &[u8], out: &mut Vec<u8>) {
    let mut within_string = false;
    let mut at = 0;
    let mut written = 0;
    let mut replace = |upto: usize, len: usize, by: &[u8]| {
        out.extend_from_slice(&json[written..upto]);
        out.extend_from_slice(by);
        written = upto + len;
    };
    while at < json.len() {
        let mut len = 1;
        match json[at] {
            b'"' => within_string = !within_string,
            b'\\' if within_string => len = 2,
            b' ' | b'\t' | b'\n' | b'\r' if !within_string => replace(at, 1, b""),
            b'<' => replace(at, 1, b"\\u003c"),
            b'>' => replace(at, 1, b"\\u003e"),
            b'&' => replace(at, 1, b"\\u0026"),
            0xE2 if json[at..].starts_with(b"\xE2\x80\xA8") => {
                len = 3;
                replace(at, 3, b"\\u2028");
            }
            0xE2 if json[at..].starts_with(b"\xE2\x80\xA9") => {
                len = 3;
                replace(at, 3, b"\\u2029");
            }
            _ => {}
        }
        at += len;
    }
    replace(json.len(), 0, b"");
}
