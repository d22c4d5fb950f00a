//! Which of several a channel belongs to: the Redis among others, the partition, the connection.
//! Every node must come to the same answer (upstream: centrifuge redis_shard.go `consistentIndex`, node.go `index`).

/// FNV-1a, 64 bits.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Spreads channels over Redis servers that know nothing of each other, and over PUB/SUB partitions: one more of them
/// takes only its share of channels away from the others (jump consistent hash, Lamping and Veach 2014).
pub fn spread(channel: &str, buckets: u32) -> u32 {
    let mut key = fnv1a(channel);
    let (mut bucket, mut next) = (0, 0i64);
    while next < i64::from(buckets) {
        bucket = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        next = ((bucket + 1) as f64 * ((1i64 << 31) as f64 / ((key >> 33) + 1) as f64)) as i64;
    }
    bucket as u32
}

/// Spreads channels over the connections and workers of one node. Nothing outside the node depends on it.
pub fn index(channel: &str, buckets: u32) -> u32 {
    (fnv1a(channel) % u64::from(buckets.max(1))) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with upstream's function.
    const SPREAD: &[(&str, [u32; 6])] = &[
        ("a", [0, 1, 2, 2, 12, 31]),
        ("", [0, 1, 1, 1, 13, 90]),
        ("chat:index", [0, 0, 0, 0, 0, 78]),
        ("news#12", [0, 0, 0, 4, 10, 55]),
        ("пример", [0, 0, 0, 0, 9, 53]),
    ];

    #[test]
    fn spread_as_upstream() {
        for (channel, buckets) in SPREAD {
            let ours = [1, 2, 3, 5, 16, 128].map(|count| spread(channel, count));
            assert_eq!(ours, *buckets, "{channel:?}");
        }
    }

    #[test]
    fn one_more_bucket_takes_only_from_the_others() {
        let mut moved = 0;
        for number in 0..10_000 {
            let channel = format!("channel:{number}");
            let (before, after) = (spread(&channel, 9), spread(&channel, 10));
            assert!(after == before || after == 9);
            moved += u32::from(after == 9);
        }
        assert!((800..1200).contains(&moved), "{moved}");
    }

    #[test]
    fn few_buckets() {
        assert_eq!((spread("a", 0), spread("a", 1), index("a", 0), index("a", 1)), (0, 0, 0, 0));
        // FNV-1a of the empty text is its offset basis.
        assert_eq!(index("", 1000), (0xcbf2_9ce4_8422_2325u64 % 1000) as u32);
        assert_eq!(fnv1a("foobar"), 0x8594_4171_f739_67e8);
    }
}
