//! One configuration option as a fact: name, kind, default, one sentence about it, and whether it has an effect.
//!
//! The tables in [`super::options`] are made of these; loading, environment names, flags, `defaultconfig` and the
//! documentation are derived from them and from nothing else.

/// One row of the table of options.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    /// Key inside its section; empty only for [`Kind::Inline`].
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// The default as it would be written in the environment; empty = the zero value of the kind.
    pub default: &'static str,
    /// One sentence for the user.
    pub doc: &'static str,
    /// Whether this version acts on it. A set option that is not in force is accepted with a warning.
    pub in_force: bool,
    /// An option of Spindle alone, unknown to Centrifugo.
    pub own: bool,
}

/// The kinds of values, and the shape of what they hold.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number between two bounds, both included.
    Int {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
    },
    /// A time span, kept in nanoseconds.
    Duration,
    /// Any text.
    Text,
    /// A list of texts.
    Texts,
    /// Texts by key; values may name `${CENTRIFUGO_VAR_...}`.
    Map,
    /// Further options below this name.
    Section(&'static [Opt]),
    /// A list of sections.
    List {
        /// The options of one entry.
        item: &'static [Opt],
        /// Entries have a `name` and can be set one by one in the environment.
        named: bool,
    },
    /// The options of another table in place of this row.
    Inline(&'static [Opt]),
}

impl Opt {
    const fn new(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Opt {
        Opt { name, kind, default, doc, in_force: false, own: false }
    }

    /// Marks an option that this version acts on.
    pub const fn live(mut self) -> Opt {
        self.in_force = true;
        self
    }

    /// Marks a section that has no effect as a whole, whatever its options say of themselves.
    pub const fn idle(mut self) -> Opt {
        self.in_force = false;
        self
    }

    /// Sets the default.
    pub const fn default(mut self, default: &'static str) -> Opt {
        self.default = default;
        self
    }

    /// Marks an option that Centrifugo does not know. Such an option takes what is written, zero included.
    pub const fn own(mut self) -> Opt {
        self.own = true;
        self
    }
}

/// `true` or `false`; false unless set.
pub const fn switch(name: &'static str, doc: &'static str) -> Opt {
    Opt::new(name, Kind::Bool, "", doc)
}

/// A number of 64 bits.
pub const fn int(name: &'static str, default: &'static str, doc: &'static str) -> Opt {
    Opt::new(name, Kind::Int { min: i64::MIN, max: i64::MAX }, default, doc)
}

/// A number between two bounds, both included.
pub const fn int_in(name: &'static str, min: i64, max: i64, default: &'static str, doc: &'static str) -> Opt {
    Opt::new(name, Kind::Int { min, max }, default, doc)
}

/// A time span.
pub const fn duration(name: &'static str, default: &'static str, doc: &'static str) -> Opt {
    Opt::new(name, Kind::Duration, default, doc)
}

/// Any text.
pub const fn text(name: &'static str, default: &'static str, doc: &'static str) -> Opt {
    Opt::new(name, Kind::Text, default, doc)
}

/// A list of texts.
pub const fn texts(name: &'static str, default: &'static str, doc: &'static str) -> Opt {
    Opt::new(name, Kind::Texts, default, doc)
}

/// Texts by key.
pub const fn map(name: &'static str, doc: &'static str) -> Opt {
    Opt::new(name, Kind::Map, "", doc)
}

/// Further options below a name.
pub const fn section(name: &'static str, options: &'static [Opt], doc: &'static str) -> Opt {
    Opt::new(name, Kind::Section(options), "", doc).live()
}

/// A list of sections.
pub const fn list(name: &'static str, item: &'static [Opt], doc: &'static str) -> Opt {
    Opt::new(name, Kind::List { item, named: false }, "", doc)
}

/// A list of sections with names.
pub const fn named(name: &'static str, item: &'static [Opt], doc: &'static str) -> Opt {
    Opt::new(name, Kind::List { item, named: true }, "", doc)
}

/// The options of another table, at this place.
pub const fn inline(options: &'static [Opt]) -> Opt {
    Opt::new("", Kind::Inline(options), "", "")
}

/// Whether an option, once set, leaves a decision to the backend, which cannot be asked in this version: what it is
/// about is then available to nobody, and clients are answered 108.
pub fn asks_the_backend(path: &str) -> bool {
    const NAMES: [&str; 4] =
        ["publish_proxy_enabled", "remove_proxy_enabled", "subscribe_proxy_enabled", "subscribe_stream_proxy_enabled"];
    path == "client.proxy.connect.enabled" || NAMES.contains(&path.rsplit('.').next().unwrap_or_default())
}

/// The rows of a table with inlined tables resolved, in order.
pub fn rows(options: &'static [Opt]) -> Vec<&'static Opt> {
    let mut rows = Vec::with_capacity(options.len());
    collect(options, &mut rows);
    rows
}

fn collect(options: &'static [Opt], rows: &mut Vec<&'static Opt>) {
    for option in options {
        match option.kind {
            Kind::Inline(inner) => collect(inner, rows),
            _ => rows.push(option),
        }
    }
}
