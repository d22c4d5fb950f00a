//! Comparing secrets.

/// Whether what was given is the secret, in a time that depends on the lengths alone. `black_box` keeps the loop from
/// ending early.
pub fn is_same(secret: &[u8], given: &[u8]) -> bool {
    let against = if secret.len() == given.len() { given } else { secret };
    let difference = secret.iter().zip(against).fold(0, |acc, (a, b)| std::hint::black_box(acc | (a ^ b)));
    difference == 0 && secret.len() == given.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_is_the_same() {
        for (secret, given, same) in [
            ("k", "k", true),
            ("k", "K", false),
            ("k", "", false),
            ("k", "kk", false),
            ("kk", "k", false),
            ("", "", true),
        ] {
            assert_eq!(is_same(secret.as_bytes(), given.as_bytes()), same, "{secret:?} {given:?}");
        }
    }
}
