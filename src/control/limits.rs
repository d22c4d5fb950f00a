//! Limits of the process: raised as far as they may be, and checked before anything relies on them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Locked memory that an executor asks for, bytes.
const MEMLOCK_MIN: u64 = 512 * 1024;

/// Open files below which not even the rings of the shards may fit.
const FILES_MIN: u64 = 256;

/// Raises the limits of open files and locked memory to what this process may have (as the Go runtime does for
/// files), and checks the latter.
///
/// # Errors
/// What to change, in a sentence.
pub fn raise() -> Result<(), String> {
    raise_to_hard(Resource::Nofile);
    raise_to_hard(Resource::Memlock);
    check_memlock(getrlimit(Resource::Memlock).current)?;
    check_files(getrlimit(Resource::Nofile).current)
}

fn raise_to_hard(resource: Resource) {
    let limit = getrlimit(resource);
    if limit.current != limit.maximum {
        // Where this is not allowed the process goes on with what it has.
        let _ = setrlimit(resource, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}

fn check_memlock(bytes: Option<u64>) -> Result<(), String> {
    match bytes {
        Some(bytes) if bytes < MEMLOCK_MIN => Err(format!(
            "a process may lock {bytes} bytes of memory here, and io_uring needs {MEMLOCK_MIN}: raise the limit with `ulimit -l unlimited`, or LimitMEMLOCK=infinity in the systemd unit"
        )),
        _ => Ok(()),
    }
}

fn check_files(files: Option<u64>) -> Result<(), String> {
    match files {
        Some(files) if files < FILES_MIN => Err(format!(
            "a process may open {files} files here; every connection is one: raise the limit with `ulimit -n 1048576`, or LimitNOFILE=1048576 in the systemd unit"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_locked_memory_is_explained() {
        assert!(check_memlock(Some(64 << 10)).unwrap_err().contains("ulimit -l"));
        assert_eq!(check_memlock(Some(MEMLOCK_MIN)), Ok(()));
        assert_eq!(check_memlock(None), Ok(()), "unlimited");
    }

    #[test]
    fn too_few_files_are_explained() {
        assert!(check_files(Some(64)).unwrap_err().contains("ulimit -n"));
        assert_eq!(check_files(Some(1024)), Ok(()));
    }
}
