//! The grammar of Go's patterns, written anew for the `regex` crate.
//!
//! Mirrors `parse` of Go's regexp/syntax/parse.go with the flags `Perl`, which `regexp.Compile` sets. Every part is
//! written with the flags that hold for it, so that what is written does not depend on where it stands.

use super::class;

/// Deepest nesting of groups. Go refuses above 1000 levels of its syntax tree.
pub const DEPTH_MAX: usize = 128;

/// Largest count of a repetition, and largest product of nested ones, as in Go.
const REPEAT_MAX: u32 = 1000;

/// `\B`, as it is translated.
pub const NO_BOUNDARY: &str = r"(?-u:\B)";

/// Why a pattern is refused, in Go's words where it has some.
pub type Refused = String;

/// The flags that can change within a pattern.
#[derive(Clone, Copy, Default)]
pub struct Flags {
    /// `i`: letters match in either case.
    pub fold: bool,
    /// `m`: `^` and `$` match at lines.
    lines: bool,
    /// `s`: `.` matches `\n`.
    dot_all: bool,
    /// `U`: repetition takes as little as possible unless followed by `?`.
    lazy: bool,
}

impl Flags {
    fn set(&mut self, flag: char, on: bool) -> bool {
        match flag {
            'i' => self.fold = on,
            'm' => self.lines = on,
            's' => self.dot_all = on,
            'U' => self.lazy = on,
            _ => return false,
        }
        true
    }
}

/// Something that can be repeated.
struct Piece {
    text: String,
    /// Largest product of counted repetitions nested in it.
    repeats: u32,
    /// Whether a repetition binds to all of it without a group.
    is_atom: bool,
    /// Whether it matches listed texts only.
    is_fixed: bool,
}

/// A group that is not closed yet, or the whole pattern.
#[derive(Default)]
struct Group<'p> {
    /// How it is written at its opening; empty for the whole pattern.
    open: String,
    /// The flags to return to behind it.
    before: Flags,
    /// Alternatives that are complete, each followed by `|`.
    done: String,
    /// Largest product of counted repetitions in them.
    repeats: u32,
    /// Whether something in them matches more than listed texts.
    is_open: bool,
    /// Its name, if it has one.
    name: &'p str,
    /// The alternative being read.
    pieces: Vec<Piece>,
}

impl Group<'_> {
    fn end_alternative(&mut self) {
        for piece in self.pieces.drain(..) {
            self.done.push_str(&piece.text);
            self.repeats = self.repeats.max(piece.repeats);
            self.is_open |= !piece.is_fixed;
        }
    }
}

struct Parser<'p> {
    rest: &'p str,
    flags: Flags,
    /// The groups that enclose the current place; the first is the whole pattern.
    groups: Vec<Group<'p>>,
    names: Vec<&'p str>,
    /// Names of closed groups that match more than listed texts.
    open: Vec<&'p str>,
}

/// Reads a pattern of Go and writes what means the same in the `regex` crate.
pub fn translate(pattern: &str) -> Result<String, Refused> {
    read(pattern).map(|(text, _)| text)
}

/// Names of groups that match more than listed texts: they hold more than characters, groups and bars.
pub fn open_groups(pattern: &str) -> Result<Vec<&str>, Refused> {
    read(pattern).map(|(_, open)| open)
}

fn read(pattern: &str) -> Result<(String, Vec<&str>), Refused> {
    let mut parser = Parser {
        rest: pattern,
        flags: Flags::default(),
        groups: vec![Group::default()],
        names: Vec::new(),
        open: Vec::new(),
    };
    let mut behind_repetition = false;
    while let Some(c) = parser.rest.chars().next() {
        let repeated = parser.step(c, behind_repetition)?;
        behind_repetition = repeated;
    }
    match parser.groups.as_mut_slice() {
        [whole] => {
            whole.end_alternative();
            Ok((std::mem::take(&mut whole.done), parser.open))
        }
        _ => Err("missing closing )".to_owned()),
    }
}

impl<'p> Parser<'p> {
    /// Reads what starts with `c`; true for a repetition.
    fn step(&mut self, c: char, behind_repetition: bool) -> Result<bool, Refused> {
        match c {
            '*' | '+' | '?' => {
                let sign = self.take(1);
                self.repeat(sign.to_owned(), 1, behind_repetition)?;
                return Ok(true);
            }
            '{' => {
                if let Some((min, max, after)) = counted(self.rest) {
                    let size = "invalid repeat count";
                    if min > REPEAT_MAX || max.is_some_and(|max| max > REPEAT_MAX || max < min) {
                        return Err(size.to_owned());
                    }
                    self.rest = after;
                    let (sign, times) = match max {
                        Some(0) => ("{0}".to_owned(), 0),
                        Some(max) => (format!("{{{min},{max}}}"), max),
                        None => (format!("{{{min},}}"), min.max(1)),
                    };
                    self.repeat(sign, times, behind_repetition)?;
                    return Ok(true);
                }
                self.rest = &self.rest[1..];
                self.literal(u32::from('{'));
            }
            '(' => self.open()?,
            ')' => self.close()?,
            '|' => {
                self.rest = &self.rest[1..];
                let group = self.group();
                group.end_alternative();
                group.done.push('|');
            }
            '^' => self.assertion(1, if self.flags.lines { "(?m:^)" } else { r"\A" }),
            '$' => self.assertion(1, if self.flags.lines { "(?m:$)" } else { r"\z" }),
            '.' => self.assertion(1, if self.flags.dot_all { "(?s:.)" } else { "." }),
            '[' => {
                let (text, rest) = class::bracketed(self.rest, self.flags)?;
                self.rest = rest;
                self.push(text, false);
            }
            '\\' => self.escape()?,
            c => {
                self.rest = &self.rest[c.len_utf8()..];
                self.literal(u32::from(c));
            }
        }
        Ok(false)
    }

    fn group(&mut self) -> &mut Group<'p> {
        self.groups.last_mut().expect("the whole pattern is always there")
    }

    fn take(&mut self, len: usize) -> &'p str {
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        taken
    }

    fn push(&mut self, text: String, is_fixed: bool) {
        self.group().pieces.push(Piece { text, repeats: 1, is_atom: true, is_fixed });
    }

    /// Something of which the first bytes of the rest are the sign.
    fn assertion(&mut self, len: usize, text: &str) {
        self.rest = &self.rest[len..];
        self.push(text.to_owned(), false);
    }

    fn literal(&mut self, c: u32) {
        self.push(class::literal(c, self.flags), true);
    }

    /// Repeats the last piece. As in Go, flags may stand between a piece and its repetition, a bar or an opening
    /// may not, and two repetitions never follow each other.
    fn repeat(&mut self, sign: String, times: u32, behind_repetition: bool) -> Result<(), Refused> {
        let swapped = self.rest.starts_with('?');
        self.rest = &self.rest[usize::from(swapped)..];
        if behind_repetition {
            return Err("invalid nested repetition operator".to_owned());
        }
        let lazy = if self.flags.lazy != swapped { "?" } else { "" };
        let piece = self.group().pieces.last_mut().ok_or("missing argument to repetition operator")?;
        let repeats = piece.repeats.saturating_mul(times);
        if repeats > REPEAT_MAX {
            return Err("invalid repeat count".to_owned());
        }
        piece.repeats = repeats;
        piece.text = match piece.is_atom {
            true => format!("{}{sign}{lazy}", piece.text),
            false => format!("(?:{}){sign}{lazy}", piece.text),
        };
        piece.is_atom = false;
        piece.is_fixed = false;
        Ok(())
    }

    fn open(&mut self) -> Result<(), Refused> {
        if self.groups.len() > DEPTH_MAX {
            return Err(format!("expression nests deeper than {DEPTH_MAX} groups"));
        }
        let before = self.flags;
        let mut group_name = "";
        let open = match self.rest.strip_prefix("(?") {
            None => {
                self.take(1);
                "(".to_owned()
            }
            Some(after) => {
                let name = after.strip_prefix("P<").or_else(|| after.strip_prefix('<'));
                // Text that ends right behind the sign is no name.
                match name.filter(|name| !name.is_empty()) {
                    Some(name) => {
                        group_name = name.split_once('>').map_or("", |(name, _)| name);
                        self.open_named(name)?
                    }
                    None => match self.change_flags(after)? {
                        true => "(?:".to_owned(),
                        false => return Ok(()),
                    },
                }
            }
        };
        self.groups.push(Group { open, before, name: group_name, ..Group::default() });
        Ok(())
    }

    /// Reads a name up to `>`.
    fn open_named(&mut self, text: &'p str) -> Result<String, Refused> {
        let refused = || "invalid named capture".to_owned();
        let (name, rest) = text.split_once('>').ok_or_else(refused)?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(refused());
        }
        self.rest = rest;
        // Go takes a name twice, and names that begin with a digit. The crate takes neither: such groups count, but
        // have no name.
        if self.names.contains(&name) || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok("(".to_owned());
        }
        self.names.push(name);
        Ok(format!("(?P<{name}>"))
    }

    /// Reads flags up to `:` or `)`, from behind `(?`; true when they open a group.
    fn change_flags(&mut self, text: &'p str) -> Result<bool, Refused> {
        let mut flags = self.flags;
        let (mut on, mut saw_flag) = (true, false);
        for (at, c) in text.char_indices() {
            match c {
                ':' | ')' if on || saw_flag => {
                    self.rest = &text[at + 1..];
                    // A group returns to the flags from before, which the caller keeps.
                    self.flags = flags;
                    return Ok(c == ':');
                }
                '-' if on => (on, saw_flag) = (false, false),
                flag if flags.set(flag, on) => saw_flag = true,
                _ => break,
            }
        }
        Err("invalid or unsupported Perl syntax".to_owned())
    }

    fn close(&mut self) -> Result<(), Refused> {
        self.rest = &self.rest[1..];
        if self.groups.len() < 2 {
            return Err("unexpected )".to_owned());
        }
        let mut group = self.groups.pop().expect("there are two");
        group.end_alternative();
        self.flags = group.before;
        let text = format!("{}{})", group.open, group.done);
        if group.is_open && !group.name.is_empty() {
            self.open.push(group.name);
        }
        let is_fixed = !group.is_open;
        self.group().pieces.push(Piece { text, repeats: group.repeats.max(1), is_atom: true, is_fixed });
        Ok(())
    }

    fn escape(&mut self) -> Result<(), Refused> {
        match self.rest.as_bytes().get(1) {
            Some(b'A') => self.assertion(2, r"\A"),
            Some(b'z') => self.assertion(2, r"\z"),
            Some(b'b') => self.assertion(2, r"(?-u:\b)"),
            Some(b'B') => self.assertion(2, NO_BOUNDARY),
            Some(b'Q') => {
                let quoted = &self.rest[2..];
                let (text, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
                self.rest = after;
                text.chars().for_each(|c| self.literal(u32::from(c)));
            }
            _ => {
                if let Some((text, rest)) = class::escaped(self.rest, self.flags)? {
                    self.rest = rest;
                    self.push(text, false);
                } else {
                    let (c, rest) = class::escaped_char(self.rest)?;
                    self.rest = rest;
                    self.literal(c);
                }
            }
        }
        Ok(())
    }
}

/// A counted repetition `{min}`, `{min,}` or `{min,max}`, and what follows. Anything else is plain text in Go.
fn counted(text: &str) -> Option<(u32, Option<u32>, &str)> {
    let (min, rest) = number(text.strip_prefix('{')?)?;
    if let Some(after) = rest.strip_prefix('}') {
        return Some((min, Some(min), after));
    }
    let rest = rest.strip_prefix(',')?;
    if let Some(after) = rest.strip_prefix('}') {
        return Some((min, None, after));
    }
    let (max, rest) = number(rest)?;
    Some((min, Some(max), rest.strip_prefix('}')?))
}

/// A number without leading zeros; one that is too large for anything stays too large.
fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() || digits.len() > 1 && digits.starts_with('0') {
        return None;
    }
    Some((digits.parse().unwrap_or(u32::MAX), rest))
}
