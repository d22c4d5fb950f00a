//! The options as loaded: a tree of values that follows the table of options, each value with its origin.
//!
//! Reading a value by its path panics for a path that the table does not have: that is a mistake in the program,
//! and every read happens once at start, under test.

use super::option::{Kind, Opt, rows};
use super::text;

/// Where a value came from, weakest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody set it.
    #[default]
    Unset,
    /// The configuration file.
    File,
    /// The environment.
    Env,
    /// A flag on the command line.
    Flag,
}

/// The value of one option.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// A switch.
    Bool(bool),
    /// A number.
    Int(i64),
    /// Nanoseconds.
    Duration(i64),
    /// Any text.
    Text(String),
    /// A list of texts; `None` when nothing was ever set, which counts as zero where an empty list does not.
    Texts(Option<Vec<String>>),
    /// Texts by key, in the order of the source.
    Map(Vec<(String, String)>),
    /// Further options.
    Section(Section),
    /// A list of sections.
    List(Vec<Section>),
}

impl Value {
    /// The zero value of a kind, which is what a default replaces.
    pub fn zero(kind: Kind) -> Value {
        match kind {
            Kind::Bool => Value::Bool(false),
            Kind::Int { .. } => Value::Int(0),
            Kind::Duration => Value::Duration(0),
            Kind::Text => Value::Text(String::new()),
            Kind::Texts => Value::Texts(None),
            Kind::Map => Value::Map(Vec::new()),
            Kind::Section(options) | Kind::Inline(options) => Value::Section(Section::new(options)),
            Kind::List { .. } => Value::List(Vec::new()),
        }
    }

    /// The value that an option has when nobody sets it.
    pub fn default_of(option: &Opt) -> Value {
        match option.default {
            "" => Value::zero(option.kind),
            default => text::parse(option.kind, default).expect("defaults parse: a test reads them all"),
        }
    }
}

/// One option with its value.
#[derive(Clone)]
pub struct Entry {
    /// The option.
    pub option: &'static Opt,
    /// Its value.
    pub value: Value,
    /// Where the value came from.
    pub origin: Origin,
    /// Whether somebody read it by its path, for the test that what is read is what is in force.
    #[cfg(test)]
    pub was_read: std::cell::Cell<bool>,
}

impl Entry {
    /// Whether the value is the zero of its kind, which is what a default replaces.
    pub fn is_zero(&self) -> bool {
        self.value == Value::zero(self.option.kind)
    }
}

/// The options of one section, in the order of the table.
#[derive(Clone)]
pub struct Section {
    /// The options with their values.
    pub entries: Vec<Entry>,
}

impl PartialEq for Section {
    fn eq(&self, other: &Section) -> bool {
        let values = |section: &Section| section.entries.iter().map(|entry| entry.value.clone()).collect::<Vec<_>>();
        values(self) == values(other)
    }
}

/// Values may be secrets: only the names of what is set are printed.
impl std::fmt::Debug for Section {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let set = self.entries.iter().filter(|entry| entry.origin != Origin::Unset).map(|entry| entry.option.name);
        f.debug_set().entries(set).finish()
    }
}

impl Section {
    /// A section in which nothing is set: all values are zero, not yet the defaults.
    pub fn new(options: &'static [Opt]) -> Section {
        let entry = |option: &'static Opt| Entry {
            option,
            value: Value::zero(option.kind),
            origin: Origin::Unset,
            #[cfg(test)]
            was_read: std::cell::Cell::new(false),
        };
        Section { entries: rows(options).into_iter().map(entry).collect() }
    }

    /// The entry of a name.
    pub fn entry_mut(&mut self, name: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.option.name == name)
    }

    /// The entry at a path such as `client.token.audience`; lists cannot be passed through.
    pub fn find(&self, path: &str) -> Option<&Entry> {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let entry = self.entries.iter().find(|entry| entry.option.name == name)?;
        match (rest, &entry.value) {
            (None, _) => Some(entry),
            (Some(rest), Value::Section(section)) => section.find(rest),
            (Some(_), _) => None,
        }
    }

    /// As [`Section::find`], to change the value.
    pub fn find_mut(&mut self, path: &str) -> Option<&mut Entry> {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let entry = self.entry_mut(name)?;
        match rest {
            None => Some(entry),
            Some(rest) => match &mut entry.value {
                Value::Section(section) => section.find_mut(rest),
                _ => None,
            },
        }
    }

    /// Fills in defaults.
    ///
    /// Mirrors the reference (`internal/config/envconfig`): a default also replaces a zero value from the *file*,
    /// while a zero from the environment or a flag stands. Options of Spindle alone keep a written zero.
    pub fn fill_defaults(&mut self) {
        for entry in &mut self.entries {
            match &mut entry.value {
                Value::Section(section) => section.fill_defaults(),
                Value::List(items) => items.iter_mut().for_each(Section::fill_defaults),
                value => {
                    let open = match entry.origin {
                        Origin::Unset => true,
                        Origin::File => !entry.option.own && *value == Value::zero(entry.option.kind),
                        Origin::Env | Origin::Flag => false,
                    };
                    if open {
                        *value = Value::default_of(entry.option);
                    }
                }
            }
        }
    }

    fn value(&self, path: &str) -> &Value {
        match self.find(path) {
            Some(entry) => {
                #[cfg(test)]
                entry.was_read.set(true);
                &entry.value
            }
            None => panic!("no option {path}"),
        }
    }

    /// A switch.
    pub fn bool(&self, path: &str) -> bool {
        match self.value(path) {
            Value::Bool(value) => *value,
            _ => panic!("{path} is not a switch"),
        }
    }

    /// A number.
    pub fn int(&self, path: &str) -> i64 {
        match self.value(path) {
            Value::Int(value) => *value,
            _ => panic!("{path} is not a number"),
        }
    }

    /// A time span in nanoseconds.
    pub fn duration_ns(&self, path: &str) -> i64 {
        match self.value(path) {
            Value::Duration(value) => *value,
            _ => panic!("{path} is not a duration"),
        }
    }

    /// A text.
    pub fn text(&self, path: &str) -> &str {
        match self.value(path) {
            Value::Text(value) => value,
            _ => panic!("{path} is not a text"),
        }
    }

    /// A list of texts.
    pub fn texts(&self, path: &str) -> &[String] {
        match self.value(path) {
            Value::Texts(value) => value.as_deref().unwrap_or_default(),
            _ => panic!("{path} is not a list of texts"),
        }
    }

    /// Texts by key.
    pub fn map(&self, path: &str) -> &[(String, String)] {
        match self.value(path) {
            Value::Map(value) => value,
            _ => panic!("{path} is not a map"),
        }
    }

    /// A section.
    pub fn section(&self, path: &str) -> &Section {
        match self.value(path) {
            Value::Section(value) => value,
            _ => panic!("{path} is not a section"),
        }
    }

    /// A list of sections.
    pub fn list(&self, path: &str) -> &[Section] {
        match self.value(path) {
            Value::List(value) => value,
            _ => panic!("{path} is not a list of sections"),
        }
    }
}
