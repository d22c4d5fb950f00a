//! Tags filters: which publications a subscriber wants, by their tags.
//!
//! A filter is checked and compiled once, when a client subscribes, into one small block of nodes in the order of a
//! walk and one text; matching a publication walks the block and allocates nothing.
//!
//! Upstream: centrifuge internal/filter (`Validate`, `Match`).

use std::cmp::Ordering;

use crate::protocol::client::FilterNode;

mod decimal;

use decimal::Decimal;

/// A checked filter. Equal filters compare equal, so that a shard keeps each only once.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Filter {
    nodes: Box<[Node]>,
    /// Values of the leaves that have several.
    values: Box<[Piece]>,
    /// All keys and values.
    text: Box<str>,
}

/// The filter makes no sense; the client is told `bad request`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Invalid;

/// Children follow their parent; `end` is the place behind the last of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Node {
    All { end: u32 },
    Any { end: u32 },
    Not,
    Leaf { comparison: Comparison, key: Piece, value: Piece },
    OneOf { key: Piece, first: u32, end: u32 },
    NoneOf { key: Piece, first: u32, end: u32 },
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Comparison {
    Equal,
    NotEqual,
    Exists,
    IsMissing,
    StartsWith,
    EndsWith,
    Contains,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    /// A number is asked for and something else is given: accepted, and fits nothing.
    Never,
}

/// A part of the filter's text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Piece {
    start: u32,
    len: u32,
}

impl Filter {
    /// Checks and compiles a filter as a client sent it. Its depth is bounded by the decoder
    /// ([`MAX_MESSAGE_DEPTH`](crate::protocol::MAX_MESSAGE_DEPTH)), its size by that of a command.
    ///
    /// # Errors
    /// A node lacks what it needs, or has what contradicts it.
    pub fn compile(node: &FilterNode<'_>) -> Result<Self, Invalid> {
        let mut compiler = Compiler::default();
        compiler.node(node)?;
        let Compiler { nodes, values, text } = compiler;
        Ok(Self { nodes: nodes.into(), values: values.into(), text: text.into() })
    }

    /// Whether a publication with these tags is wanted.
    pub fn matches(&self, tags: &[(Box<str>, Box<str>)]) -> bool {
        self.walk(0, tags)
    }

    /// Memory that the filter takes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.nodes) + size_of_val(&*self.values) + self.text.len()
    }

    /// Whether the node at a place fits.
    fn walk(&self, at: usize, tags: &[(Box<str>, Box<str>)]) -> bool {
        let of = |key: Piece| {
            let key = self.piece(key);
            tags.iter().find(|(name, _)| **name == *key).map(|(_, value)| &**value)
        };
        // A tag that is missing is in a list that holds the empty text.
        let is_in = |key: Piece, first: u32, end: u32| {
            let tag = of(key).unwrap_or("");
            self.values[first as usize..end as usize].iter().any(|value| self.piece(*value) == tag)
        };
        match self.nodes[at] {
            Node::All { end } => self.children(at, end).all(|child| self.walk(child, tags)),
            Node::Any { end } => self.children(at, end).any(|child| self.walk(child, tags)),
            Node::Not => !self.walk(at + 1, tags),
            Node::Leaf { comparison, key, value } => compare(comparison, of(key), self.piece(value)),
            Node::OneOf { key, first, end } => is_in(key, first, end),
            Node::NoneOf { key, first, end } => !is_in(key, first, end),
        }
    }

    /// The places of a node's children.
    fn children(&self, at: usize, end: u32) -> impl Iterator<Item = usize> {
        let mut next = at + 1;
        std::iter::from_fn(move || {
            let child = (next < end as usize).then_some(next)?;
            next = self.behind(child);
            Some(child)
        })
    }

    /// The place behind a node and its children.
    fn behind(&self, mut at: usize) -> usize {
        loop {
            match self.nodes[at] {
                Node::All { end } | Node::Any { end } => return end as usize,
                Node::Not => at += 1,
                Node::Leaf { .. } | Node::OneOf { .. } | Node::NoneOf { .. } => return at + 1,
            }
        }
    }

    fn piece(&self, Piece { start, len }: Piece) -> &str {
        &self.text[start as usize..(start + len) as usize]
    }
}

fn compare(comparison: Comparison, tag: Option<&str>, value: &str) -> bool {
    let number = |fits: fn(Ordering) -> bool| {
        let numbers = tag.and_then(Decimal::parse).zip(Decimal::parse(value));
        numbers.is_some_and(|(tag, value)| fits(tag.cmp(&value)))
    };
    match comparison {
        Comparison::Equal => tag == Some(value),
        Comparison::NotEqual => tag != Some(value),
        Comparison::Exists => tag.is_some(),
        Comparison::IsMissing => tag.is_none(),
        Comparison::StartsWith => tag.is_some_and(|tag| tag.starts_with(value)),
        Comparison::EndsWith => tag.is_some_and(|tag| tag.ends_with(value)),
        Comparison::Contains => tag.is_some_and(|tag| tag.contains(value)),
        Comparison::Greater => number(Ordering::is_gt),
        Comparison::GreaterOrEqual => number(Ordering::is_ge),
        Comparison::Less => number(Ordering::is_lt),
        Comparison::LessOrEqual => number(Ordering::is_le),
        Comparison::Never => false,
    }
}

#[derive(Default)]
struct Compiler {
    nodes: Vec<Node>,
    values: Vec<Piece>,
    text: String,
}

impl Compiler {
    fn node(&mut self, node: &FilterNode<'_>) -> Result<(), Invalid> {
        match &*node.op {
            "" => self.leaf(node),
            "and" | "or" if !node.nodes.is_empty() => {
                let at = self.nodes.len();
                self.nodes.push(Node::Not);
                node.nodes.iter().try_for_each(|child| self.node(child))?;
                let end = self.nodes.len() as u32;
                self.nodes[at] = if node.op == "and" { Node::All { end } } else { Node::Any { end } };
                Ok(())
            }
            "not" => {
                let [child] = &node.nodes[..] else { return Err(Invalid) };
                self.nodes.push(Node::Not);
                self.node(child)
            }
            _ => Err(Invalid),
        }
    }

    fn leaf(&mut self, leaf: &FilterNode<'_>) -> Result<(), Invalid> {
        let (has_key, has_value, has_values) = (!leaf.key.is_empty(), !leaf.val.is_empty(), !leaf.vals.is_empty());
        if let "in" | "nin" = &*leaf.cmp {
            if !has_key || !has_values || has_value {
                return Err(Invalid);
            }
            let (key, first) = (self.piece(&leaf.key), self.values.len() as u32);
            for value in &leaf.vals {
                let value = self.piece(value);
                self.values.push(value);
            }
            let end = self.values.len() as u32;
            self.nodes.push(match &*leaf.cmp {
                "in" => Node::OneOf { key, first, end },
                _ => Node::NoneOf { key, first, end },
            });
            return Ok(());
        }
        let comparison = comparison(&leaf.cmp, &leaf.val).ok_or(Invalid)?;
        let is_complete = match comparison {
            Comparison::Exists | Comparison::IsMissing => !has_value,
            _ => has_key && has_value,
        };
        if !is_complete || has_values {
            return Err(Invalid);
        }
        let (key, value) = (self.piece(&leaf.key), self.piece(&leaf.val));
        self.nodes.push(Node::Leaf { comparison, key, value });
        Ok(())
    }

    fn piece(&mut self, text: &str) -> Piece {
        let start = self.text.len() as u32;
        self.text.push_str(text);
        Piece { start, len: text.len() as u32 }
    }
}

fn comparison(name: &str, value: &str) -> Option<Comparison> {
    Some(match name {
        "eq" => Comparison::Equal,
        "neq" => Comparison::NotEqual,
        "ex" => Comparison::Exists,
        "nex" => Comparison::IsMissing,
        "sw" => Comparison::StartsWith,
        "ew" => Comparison::EndsWith,
        "ct" => Comparison::Contains,
        "gt" | "gte" | "lt" | "lte" if Decimal::parse(value).is_none() => Comparison::Never,
        "gt" => Comparison::Greater,
        "gte" => Comparison::GreaterOrEqual,
        "lt" => Comparison::Less,
        "lte" => Comparison::LessOrEqual,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
