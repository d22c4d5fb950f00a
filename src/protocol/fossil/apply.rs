//! From a payload and a patch to the next payload, for patches of any origin.

use super::{DIGITS, checksum};

/// The patch does not fit the payload, or is no patch; the text says why and never quotes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadPatch(pub &'static str);

impl std::fmt::Display for BadPatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "bad patch: {}", self.0)
    }
}

impl std::error::Error for BadPatch {}

/// The payload that the patch makes of `old`. It takes no more memory than `limit` bytes, whatever the patch claims.
///
/// # Errors
/// The patch is malformed, reaches outside of `old`, makes another length than it says or more than `limit`, or its
/// checksum is not that of the result.
pub fn apply(old: &[u8], patch: &[u8], limit: usize) -> Result<Vec<u8>, BadPatch> {
    let mut rest = patch;
    let len = number(&mut rest)? as usize;
    if byte(&mut rest)? != b'\n' {
        return Err(BadPatch("no newline behind the length"));
    }
    if len > limit {
        return Err(BadPatch("the result would be too long"));
    }
    let mut new = Vec::new();
    loop {
        let count = number(&mut rest)?;
        let operation = byte(&mut rest)?;
        let piece = match operation {
            b'@' => {
                let start = number(&mut rest)? as usize;
                if byte(&mut rest)? != b',' {
                    return Err(BadPatch("no comma behind a copy"));
                }
                let piece = start.checked_add(count as usize).and_then(|end| old.get(start..end));
                piece.ok_or(BadPatch("a copy reaches outside of the old payload"))?
            }
            b':' => {
                let (piece, behind) =
                    rest.split_at_checked(count as usize).ok_or(BadPatch("an insertion is cut off"))?;
                rest = behind;
                piece
            }
            b';' if !rest.is_empty() => return Err(BadPatch("something stands behind the end")),
            b';' if new.len() != len => return Err(BadPatch("the result has another length")),
            b';' if checksum(&new) != count => return Err(BadPatch("the checksum is another")),
            b';' => return Ok(new),
            _ => return Err(BadPatch("an unknown command")),
        };
        if piece.len() > len - new.len() {
            return Err(BadPatch("the result is longer than it should be"));
        }
        new.extend_from_slice(piece);
    }
}

fn byte(rest: &mut &[u8]) -> Result<u8, BadPatch> {
    let (first, behind) = rest.split_first().ok_or(BadPatch("it is cut off"))?;
    *rest = behind;
    Ok(*first)
}

/// A number of at least one digit.
fn number(rest: &mut &[u8]) -> Result<u32, BadPatch> {
    let digits = rest.iter().take_while(|byte| value(**byte).is_some()).count();
    let (digits, behind) = rest.split_at(digits);
    *rest = behind;
    let number =
        digits.iter().try_fold(0u32, |number, digit| Some(number.checked_mul(64)? | u32::from(value(*digit)?)));
    number.filter(|_| !digits.is_empty()).ok_or(BadPatch("a number is missing or too large"))
}

fn value(digit: u8) -> Option<u8> {
    VALUES.get(usize::from(digit)).copied().filter(|value| *value < 64)
}

/// The value of each digit; 64 = none.
const VALUES: [u8; 128] = {
    let mut values = [64; 128];
    let mut value = 0;
    while value < 64 {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
};
