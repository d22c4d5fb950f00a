//! Patterns of channel names, as `channels` takes them.

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: Box<str>,
}

impl Glob {
    /// Whether the whole text fits the pattern.
    pub fn matches(&self, text: &str) -> bool {
        *self.text == *text
    }
}
