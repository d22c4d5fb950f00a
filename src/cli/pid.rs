//! The file with the process ID while the server runs.

use std::io;
use std::path::{Path, PathBuf};

/// A written file, removed when dropped.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Writes the file, over an old one.
    pub fn write(path: &Path) -> io::Result<PidFile> {
        std::fs::write(path, format!("{}\n", std::process::id()))?;
        Ok(PidFile { path: path.to_owned() })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Somebody else may have removed it; there is nobody left to tell.
        let _ = std::fs::remove_file(&self.path);
    }
}
