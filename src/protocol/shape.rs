//! What a message looks like, for descriptions: made of the one definition, as the codecs are.

/// A message.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Its name.
    pub name: &'static str,
    /// Its doc comment, line by line, each with the blank it begins with.
    pub doc: &'static [&'static str],
    /// Its fields, in order.
    pub fields: Vec<FieldShape>,
}

/// A field.
#[derive(Clone, Debug)]
pub struct FieldShape {
    /// Its name in JSON.
    pub name: &'static str,
    /// As in [`Shape::doc`].
    pub doc: &'static [&'static str],
    /// What it holds.
    pub kind: Kind,
}

/// What a field holds.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Text.
    Text,
    /// Any JSON.
    Json,
    /// True or false.
    Bool,
    /// A whole number.
    Whole {
        /// How many bits it has.
        bits: u32,
        /// Whether it may be negative.
        signed: bool,
    },
    /// A number.
    Number,
    /// Another message. It may hold itself, so it is asked for only when it is wanted.
    Message(fn() -> Shape),
    /// Any number of these.
    List(Box<Kind>),
    /// These by key.
    Map(Box<Kind>),
}

/// A doc comment as one text, without the full stop at its end.
pub fn text(doc: &[&str]) -> String {
    let words: Vec<&str> = doc.iter().flat_map(|line| line.split_whitespace()).collect();
    words.join(" ").trim_end_matches('.').to_owned()
}
