//! A pattern on the first line, in the grammar of Go and in that of globs, over the text behind it. Nothing panics,
//! and a pattern that is taken over matches without a fault.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spindle::base::glob::Glob;
use spindle::config::pattern;

fuzz_target!(|input: &str| {
    let (written, text) = input.split_once('\n').unwrap_or((input, ""));
    if let Ok(regex) = pattern::compile(written) {
        let is_match = regex.is_match(text);
        if let Some(group) = regex.group(text, "group") {
            assert!(is_match && text.contains(group));
        }
    }
    if let Ok(glob) = Glob::new(written) {
        let _ = glob.matches(text);
        assert!(written != text || written.contains(['*', '?', '[', '{', '\\']) || glob.matches(text));
    }
});
