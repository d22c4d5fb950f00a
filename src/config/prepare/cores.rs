//! Lists of cores such as `0-3,8-11`.

use crate::config::error::Error;

/// Highest core number, one below the size of the kernel's usual set of cores.
const CORE_MAX: usize = 1023;

/// The cores in the order written.
pub fn parse(text: &str, option: &str) -> Result<Vec<usize>, Error> {
    let mut cores = Vec::new();
    if text.trim().is_empty() {
        return Ok(cores);
    }
    let bad = |problem: String| Err(Error::invalid(option, problem));
    for part in text.split(',').map(str::trim) {
        let number = |text: &str| text.trim().parse::<usize>().ok().filter(|&core| core <= CORE_MAX);
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Some(first), Some(last)) = (number(first), number(last)) else {
            return bad(format!("expected cores such as 0-3,8-11, found {part:?}"));
        };
        if first > last {
            return bad(format!("the range {part:?} runs backwards"));
        }
        for core in first..=last {
            if cores.contains(&core) {
                return bad(format!("core {core} stands twice"));
            }
            cores.push(core);
        }
    }
    Ok(cores)
}
