//! Files that are served from memory: pages of this server, or a folder read once at the start.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use bytes::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{StatusCode, Uri};

use super::http::Reply;
use super::reply::{empty, not_found, reply};

/// Files of a folder at most, and bytes of all of them together.
const MAX_FILES: usize = 10_000;
const MAX_BYTES: u64 = 64 << 20;

/// What the page of this server may do: everything it needs is in it, and it talks to this server alone.
const OWN_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; \
    connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// All that is served in this way.
#[derive(Debug)]
pub struct Sites {
    /// The admin pages.
    pub admin: Site,
    /// The description of the server API.
    pub swagger: Site,
}

/// Files by their path, without a slash in front.
#[derive(Debug, Default)]
pub struct Site {
    files: BTreeMap<String, File>,
    policy: Option<&'static str>,
}

#[derive(Debug)]
struct File {
    kind: &'static str,
    body: Bytes,
}

impl Site {
    /// The admin page of this server.
    pub fn admin() -> Self {
        Self::own([("index.html", include_bytes!("../../assets/admin.html").as_slice().into())])
    }

    /// The description of the server API, and a page that shows it.
    pub fn swagger(openapi: Vec<u8>) -> Self {
        let page = include_bytes!("../../assets/api.html").as_slice();
        Self::own([("index.html", page.into()), ("openapi.json", openapi.into())])
    }

    fn own<const N: usize>(files: [(&str, Bytes); N]) -> Self {
        let file = |(name, body): (&str, Bytes)| (name.to_owned(), File { kind: kind(Path::new(name)), body });
        Self { files: files.map(file).into(), policy: Some(OWN_POLICY) }
    }

    /// All files below a folder. Names that are no UTF-8 and what is no plain file are left out.
    ///
    /// # Errors
    /// The folder cannot be read, or holds more than 10,000 files or 64 MiB.
    pub fn load(folder: &Path) -> io::Result<Self> {
        let mut site = Self::default();
        let mut room = MAX_BYTES;
        site.add(folder, "", &mut room)?;
        Ok(site)
    }

    fn add(&mut self, folder: &Path, prefix: &str, room: &mut u64) -> io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let (path, place) = (format!("{prefix}{name}"), entry.path());
            // Not of what a link points to: so no link leads out of the folder, or round in circles.
            let about = entry.metadata()?;
            if about.is_dir() {
                self.add(&place, &format!("{path}/"), room)?;
            } else if about.is_file() {
                let left = room.checked_sub(about.len()).filter(|_| self.files.len() < MAX_FILES);
                *room = left.ok_or_else(|| io::Error::other("it holds more than 10,000 files or 64 MiB"))?;
                self.files.insert(path, File { kind: kind(&place), body: std::fs::read(&place)?.into() });
            }
        }
        Ok(())
    }

    /// What is at a path, decoded and without a slash in front (Go: `http.FileServer`, but folders are not listed).
    pub fn answer(&self, path: &str, uri: &Uri) -> Reply {
        if path == "index.html" || path.ends_with("/index.html") {
            return elsewhere("./", uri);
        }
        let is_folder = path.is_empty() || path.ends_with('/');
        let file = if is_folder { self.files.get(&format!("{path}index.html")) } else { self.files.get(path) };
        if let Some(file) = file {
            return self.show(file);
        }
        let (bare, last) = (path.trim_end_matches('/'), uri.path().trim_end_matches('/').rsplit('/').next());
        if is_folder && self.files.contains_key(bare) {
            return elsewhere(&format!("../{}", last.unwrap_or("")), uri);
        }
        let below = format!("{path}/");
        let next = self.files.range(below.clone()..).next();
        if !is_folder && next.is_some_and(|(found, _)| found.starts_with(&below)) {
            return elsewhere(&format!("{}/", last.unwrap_or("")), uri);
        }
        not_found()
    }

    fn show(&self, file: &File) -> Reply {
        let mut reply = reply(StatusCode::OK, file.kind, file.body.clone());
        let headers = reply.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(policy) = self.policy {
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
        }
        reply
    }
}

/// At another place near by (Go: `localRedirect`).
fn elsewhere(place: &str, uri: &Uri) -> Reply {
    let place = uri.query().map_or(place.to_owned(), |query| format!("{place}?{query}"));
    let Ok(location) = HeaderValue::try_from(place) else { return not_found() };
    let mut reply = empty(StatusCode::MOVED_PERMANENTLY);
    reply.headers_mut().insert(header::LOCATION, location);
    reply
}

/// What a browser has to know about a file.
pub fn kind(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("txt" | "md") => "text/plain; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("webp") => "image/webp",
        Some("ico") => "image/x-icon",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status, and the body or the place to go to.
    fn ask(site: &Site, path: &str) -> (u16, String) {
        let uri: Uri = format!("/adm/{path}?q=1").parse().unwrap();
        let reply = site.answer(path, &uri);
        let place = reply.headers().get(header::LOCATION).map(|place| place.to_str().unwrap().to_owned());
        (reply.status().as_u16(), place.unwrap_or_default())
    }

    #[test]
    fn folders_files_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("spindle-site-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("in/img/deep")).unwrap();
        std::fs::write(folder.join("secret"), "s").unwrap();
        std::fs::write(folder.join("in/index.html"), "index").unwrap();
        std::fs::write(folder.join("in/img/deep/a b.png"), "png").unwrap();
        std::os::unix::fs::symlink("../secret", folder.join("in/link")).unwrap();
        std::os::unix::fs::symlink(".", folder.join("in/loop")).unwrap();
        let site = Site::load(&folder.join("in")).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        for (path, status, place) in [
            ("", 200, ""),
            ("index.html", 301, "./?q=1"),
            ("img", 301, "img/?q=1"),
            ("img/", 404, ""),
            ("img/deep", 301, "deep/?q=1"),
            ("im", 404, ""),
            ("link", 404, ""),
            ("loop", 404, ""),
            ("../secret", 404, ""),
            ("nothing", 404, ""),
        ] {
            assert_eq!(ask(&site, path), (status, place.to_owned()), "{path}");
        }
        let png = site.answer("img/deep/a b.png", &"/adm/img/deep/a%20b.png".parse().unwrap());
        assert_eq!(
            (png.status().as_u16(), &png.headers()[header::CONTENT_TYPE]),
            (200, &HeaderValue::from_static("image/png"))
        );
        let slash = site.answer("img/deep/a b.png/", &"/adm/img/deep/a%20b.png/".parse().unwrap());
        assert_eq!(slash.headers()[header::LOCATION], "../a%20b.png");
        assert!(png.headers().get(header::CONTENT_SECURITY_POLICY).is_none(), "foreign pages decide for themselves");
        assert!(Site::load(&folder).is_err(), "it is gone");
    }

    #[test]
    fn own_pages_are_small_and_confined() {
        let site = Site::admin();
        let reply = site.answer("", &"/".parse().unwrap());
        assert!(reply.headers().get(header::CONTENT_SECURITY_POLICY).is_some());
        assert!(site.files["index.html"].body.len() < 30 << 10);
        assert_eq!(ask(&site, "x").0, 404);
        let site = Site::swagger(b"{}".to_vec());
        assert!(site.files["index.html"].body.len() < 30 << 10);
        assert_eq!([ask(&site, "").0, ask(&site, "openapi.json").0, ask(&site, "index.html").0], [200, 200, 301]);
    }
}
