//! Unmasking of client payloads.

/// Unmasks in place. The payload begins `offset` bytes into its frame. Whole words first: the loop over them
/// compiles to vector instructions.
pub fn unmask(payload: &mut [u8], key: [u8; 4], offset: u64) {
    let mut turned = key;
    turned.rotate_left((offset % 4) as usize);
    let [a, b, c, d] = turned;
    let word_key = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ word_key).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(turned.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_the_definition(
            payload in prop::collection::vec(any::<u8>(), 0..100),
            key: [u8; 4],
            cut in any::<prop::sample::Index>(),
        ) {
            let expected: Vec<u8> = payload.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]).collect();
            let mut unmasked = payload;
            let cut = cut.index(unmasked.len() + 1);
            let (first, second) = unmasked.split_at_mut(cut);
            unmask(first, key, 0);
            unmask(second, key, cut as u64);
            prop_assert_eq!(unmasked, expected);
        }
    }
}
