//! One source file as tokens: comments are gone, what is left is words, single punctuation marks, and text literals
//! as they stand, quotes included, so that what is written in them is not taken for code.

/// A word, a mark or a literal, and the line it stands on (from 1).
#[derive(Clone, Debug)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// A file under `src/`.
pub struct Source {
    /// Path below `src/`.
    pub name: String,
    /// Number of lines.
    pub lines: usize,
    /// Its code.
    pub tokens: Vec<Token>,
}

impl Source {
    pub fn new(name: &str, text: &str) -> Source {
        Source { name: name.to_owned(), lines: text.lines().count(), tokens: tokens(text) }
    }

    /// The room it belongs to; none for the crate's root files.
    pub fn room(&self) -> Option<&str> {
        match self.name.split_once('/') {
            Some((room, _)) => Some(room),
            None => self.name.strip_suffix(".rs").filter(|stem| *stem != "lib" && *stem != "main"),
        }
    }

    /// How many `super`s lead from the file's own module to the crate's root.
    pub fn depth(&self) -> usize {
        let folders = self.name.matches('/').count();
        if self.name.ends_with("/mod.rs") { folders } else { folders + 1 }
    }

    /// Whether the token at `at` has this text.
    pub fn is(&self, at: usize, text: &str) -> bool {
        self.tokens.get(at).is_some_and(|t| t.text == text)
    }

    /// Whether `::` stands at `at`.
    pub fn is_path_separator(&self, at: usize) -> bool {
        self.is(at, ":") && self.is(at + 1, ":")
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let (mut i, mut line) = (0, 1);
    while i < chars.len() {
        let start = i;
        let c = chars[i];
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && chars[i] != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            i = end_of_block_comment(&chars, i);
        } else if c == '"' {
            i = end_of_string(&chars, i, None);
            tokens.push(Token { text: chars[start..i].iter().collect(), line });
        } else if c == '\'' {
            i = end_of_quote(&chars, i);
        } else if is_word(c) {
            while is_word(at(i)) {
                i += 1;
            }
            let word: String = chars[start..i].iter().collect();
            if let Some(end) = end_of_prefixed_literal(&chars, &word, i) {
                i = end;
            } else {
                tokens.push(Token { text: word, line });
            }
        } else {
            i += 1;
            if !c.is_whitespace() {
                tokens.push(Token { text: c.to_string(), line });
            }
        }
        line += chars[start..i].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

fn end_of_block_comment(chars: &[char], start: usize) -> usize {
    let (mut i, mut depth) = (start + 2, 1);
    while i < chars.len() && depth > 0 {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (i, depth) = (i + 2, depth + 1),
            ('*', Some('/')) => (i, depth) = (i + 2, depth - 1),
            _ => i += 1,
        }
    }
    i
}

/// `start` is at the opening quote. With `hashes` the string is raw: nothing is escaped, the end needs as many marks.
fn end_of_string(chars: &[char], start: usize, hashes: Option<usize>) -> usize {
    let mut i = start + 1;
    while i < chars.len() {
        match (chars[i], hashes) {
            ('\\', None) => i += 2,
            ('"', None) => return i + 1,
            ('"', Some(n)) if chars[i + 1..].iter().take_while(|c| **c == '#').count() >= n => return i + 1 + n,
            _ => i += 1,
        }
    }
    chars.len()
}

/// A character literal ends behind its closing quote; of a lifetime only the quote is taken.
fn end_of_quote(chars: &[char], start: usize) -> usize {
    if chars.get(start + 1) == Some(&'\\') {
        let mut i = start + 3;
        while i < chars.len() && chars[i] != '\'' {
            i += 1;
        }
        (i + 1).min(chars.len())
    } else if chars.get(start + 2) == Some(&'\'') {
        start + 3
    } else {
        start + 1
    }
}

/// The end of `r"…"`, `r#"…"#`, `b"…"`, `b'…'`, `c"…"` and so on, when the word before `at` is such a prefix.
fn end_of_prefixed_literal(chars: &[char], word: &str, at: usize) -> Option<usize> {
    match (word, chars.get(at)?) {
        ("b" | "c", '"') => Some(end_of_string(chars, at, None)),
        ("b", '\'') => Some(end_of_quote(chars, at)),
        ("r" | "br" | "cr", '"' | '#') => {
            let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
            // `r#type` is a raw identifier, no string.
            (chars.get(at + hashes) == Some(&'"')).then(|| end_of_string(chars, at + hashes, Some(hashes)))
        }
        _ => None,
    }
}
