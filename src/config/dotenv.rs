//! A `.env` file: variables for an environment that does not have them yet.
//!
//! Mirrors the dialect of `joho/godotenv`: `NAME=value` or `NAME: value`, an optional `export` in front, comments
//! from `#`, single quotes taken as they are, double quotes with escapes, and `$NAME` or `${NAME}` outside of single
//! quotes standing for variables defined further up.

use super::env::Env;
use super::error::Error;

/// Adds the variables of a `.env` file to an environment; those that it has already stay.
pub fn merge(content: &str, env: &mut Env) -> Result<(), Error> {
    for (name, value) in parse(content)? {
        env.entry(name).or_insert(value);
    }
    Ok(())
}

fn parse(content: &str) -> Result<Env, Error> {
    let mut found = Env::new();
    let content = content.replace("\r\n", "\n");
    let mut rest = content.as_str();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Ok(found);
        }
        if let Some(comment) = rest.strip_prefix('#') {
            rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
            continue;
        }
        let line = content[..content.len() - rest.len()].matches('\n').count() + 1;
        let (name, value, after) = variable(rest, &found).ok_or(Error::DotEnv { line })?;
        found.insert(name, value);
        rest = after;
    }
}

/// One variable at the start of the text, and the text behind it.
fn variable<'t>(text: &'t str, found: &Env) -> Option<(String, String, &'t str)> {
    let text = match text.strip_prefix("export") {
        Some(after) if after.starts_with([' ', '\t']) => after.trim_start_matches([' ', '\t']),
        _ => text,
    };
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'))?;
    let (name, after) = text.split_at(end);
    let after = after.trim_start_matches([' ', '\t']).strip_prefix(['=', ':'])?.trim_start_matches([' ', '\t']);
    if name.is_empty() {
        return None;
    }
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''));
    let Some(quote) = quote else {
        let (line, rest) = after.split_once('\n').unwrap_or((after, ""));
        // A comment needs a blank in front; otherwise # belongs to the value.
        let end = line.match_indices('#').map(|(at, _)| at).find(|&at| at == 0 || line[..at].ends_with([' ', '\t']));
        return Some((name.to_owned(), replace(line[..end.unwrap_or(line.len())].trim(), found), rest));
    };
    let body = &after[1..];
    let close = body.char_indices().find(|&(at, c)| c == quote && !body[..at].ends_with('\\'))?.0;
    let (inner, rest) = (&body[..close], &body[close + 1..]);
    let rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
    let value = if quote == '\'' { inner.to_owned() } else { replace(&unescape(inner), found) };
    Some((name.to_owned(), value, rest))
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('r')) => out.push('\r'),
            // An escaped dollar keeps its backslash for the replacement of variables.
            ('\\', Some('$')) => {
                out.push('\\');
                continue;
            }
            ('\\', Some(other)) => out.push(other),
            _ => {
                out.push(c);
                continue;
            }
        }
        chars.next();
    }
    out
}

fn replace(text: &str, found: &Env) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        if out.ends_with('\\') {
            out.pop();
            out.push('$');
            rest = behind;
            continue;
        }
        let (name, after) = match behind.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((name, after)) => (name, after),
            None => behind.split_at(
                behind
                    .find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
                    .unwrap_or(behind.len()),
            ),
        };
        if name.is_empty() {
            out.push('$');
        } else {
            out.push_str(found.get(name).map_or("", String::as_str));
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content: &str, expected: &[(&str, &str)]) {
        let found = parse(content).unwrap();
        let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, expected, "{content}");
    }

    #[test]
    fn the_forms_of_variables() {
        check("A=1\nB = two words \n", &[("A", "1"), ("B", "two words")]);
        check("export A=1\nB: 2", &[("A", "1"), ("B", "2")]);
        check("# c\n\nA=x#y # z\r\nB=", &[("A", "x#y"), ("B", "")]);
        check("A='$B \\n' # c\nB=\"a\\nb\\\"\"", &[("A", "$B \\n"), ("B", "a\nb\"")]);
        check("A=1\nB=${A}2$A\nC=\"\\$A$\"", &[("A", "1"), ("B", "121"), ("C", "$A$")]);
        check("A='two\nlines'\nB=3", &[("A", "two\nlines"), ("B", "3")]);
    }

    #[test]
    fn what_is_no_variable_names_its_line() {
        for (content, line) in [("A=1\nwhat", 2), ("=x", 1), ("A=1\n\nB='open", 3), ("A B=1", 1)] {
            assert_eq!(parse(content), Err(Error::DotEnv { line }), "{content}");
        }
    }

    #[test]
    fn the_environment_wins() {
        let mut env = Env::from([("A".to_owned(), "old".to_owned())]);
        merge("A=new\nB=new", &mut env).unwrap();
        assert_eq!((env["A"].as_str(), env["B"].as_str()), ("old", "new"));
    }
}
