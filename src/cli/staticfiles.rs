//! `serve`: the files of a folder over HTTP, for development only. Mirrors `internal/cli/serve.go`.

use super::args::ServeFiles;
use super::web::{self, Answer};
use crate::net::site::kind;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Component, Path};
use std::process::ExitCode;

/// Serves until the process is ended.
pub fn run(args: &ServeFiles) -> ExitCode {
    let dir = args.dir.clone();
    let served = web::bind(&args.address, args.port).and_then(|listener| {
        println!("start serving {} on {}:{}", dir.display(), args.address, args.port);
        web::serve(&listener, move |path| answer(&dir, path))
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The file at a path, the index of a folder, or a list of what is in it.
fn answer(dir: &Path, path: &str) -> Answer {
    let below = Path::new(path.trim_matches('/'));
    // Nothing but names may follow the folder: no way up, and no other root.
    if path.contains(['\0', '\\', '\r', '\n']) || !below.components().all(|part| matches!(part, Component::Normal(_))) {
        return Answer::missing();
    }
    let place = dir.join(below);
    let is_folder = match fs::metadata(&place) {
        Ok(found) => found.is_dir(),
        Err(_) => return Answer::missing(),
    };
    let name = encode(&below.file_name().unwrap_or_default().to_string_lossy());
    match (is_folder, path.ends_with('/')) {
        // Relative to where the browser is, so that no path can name another server.
        (true, false) => Answer::moved(format!("{name}/")),
        (false, true) => Answer::moved(format!("../{name}")),
        (true, true) => match fs::read(place.join("index.html")) {
            Ok(body) => Answer::found("text/html; charset=utf-8", body),
            Err(error) if error.kind() == io::ErrorKind::NotFound => list(&place).unwrap_or_else(|_| Answer::failed()),
            Err(_) => Answer::failed(),
        },
        (false, false) => match fs::read(&place) {
            Ok(body) => Answer::found(kind(&place), body),
            Err(_) => Answer::failed(),
        },
    }
}

fn list(folder: &Path) -> io::Result<Answer> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let slash = if entry.path().is_dir() { "/" } else { "" };
        names.push(format!("{}{slash}", entry.file_name().to_string_lossy()));
    }
    names.sort();
    let mut page = String::from("<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n");
    for name in names {
        let text = name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        writeln!(page, "<a href=\"./{}\">{text}</a>", encode(&name)).expect("text takes text");
    }
    page.push_str("</pre>\n");
    Ok(Answer::found("text/html; charset=utf-8", page.into_bytes()))
}

/// A path as it stands in a link.
fn encode(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => out.push(char::from(byte)),
            other => write!(out, "%{other:02X}").expect("text takes text"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn folder() -> PathBuf {
        let folder = std::env::temp_dir().join(format!("spindle-files-{}", std::process::id()));
        fs::create_dir_all(folder.join("in/site")).unwrap();
        fs::create_dir_all(folder.join("in/list")).unwrap();
        fs::write(folder.join("secret"), "secret").unwrap();
        fs::write(folder.join("in/site/index.html"), "index").unwrap();
        fs::write(folder.join("in/list/a <b>.js"), "code").unwrap();
        folder
    }

    #[test]
    fn files_folders_and_nothing_else() {
        let folder = folder();
        let get = |path: &str| answer(&folder.join("in"), path);
        let page = |text: &str| Answer::found("text/html; charset=utf-8", text.as_bytes().to_vec());
        assert_eq!(get("/site/"), page("index"));
        assert_eq!(get("/site"), Answer::moved("site/".to_owned()));
        assert_eq!(get("/site/index.html"), page("index"));
        let code = Answer::found("text/javascript; charset=utf-8", b"code".to_vec());
        assert_eq!(get("/list/a <b>.js"), code);
        assert_eq!(get("/list/a <b>.js/"), Answer::moved("../a%20%3Cb%3E.js".to_owned()));
        let head = "<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n";
        let link = "<a href=\"./a%20%3Cb%3E.js\">a &lt;b&gt;.js</a>";
        assert_eq!(get("/list/"), page(&format!("{head}<pre>\n{link}\n</pre>\n")));
        for path in ["/nothing", "/../secret", "/site/../../secret", "//etc/passwd\0", "/..", "/site\\..\\..\\secret"] {
            assert_eq!(get(path), Answer::missing(), "{path}");
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
