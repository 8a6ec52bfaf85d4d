//! The file in which an engine leaves its state: locked while its process lives, mapped, and put in place whole.
//!
//! The lock is the kernel's (`flock`): it ends with the process, however that ends. A successor writes a file of its own beside
//! the old one and renames it, so that one of the two is there at any moment. All blocks are allocated when the file is made:
//! a file system that is full later ends no process.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use memmap2::{MmapMut, MmapOptions};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, posix_fallocate};
use thiserror::Error;

/// How often the file is opened anew because somebody has put another one in its place.
const TRIES: usize = 16;

/// Why a state file cannot be used.
#[derive(Debug, Error)]
pub enum StateFileError {
    /// Another process has it, and lives.
    #[error("another process has it and is alive")]
    Busy,
    /// The system refuses.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's word.
        error: io::Error,
    },
}

fn system(what: &'static str) -> impl Fn(io::Error) -> StateFileError {
    move |error| StateFileError::System { what, error }
}

fn errno(what: &'static str) -> impl Fn(Errno) -> StateFileError {
    move |errno| StateFileError::System { what, error: errno.into() }
}

/// The file of a predecessor, or an empty one, which nobody else has.
pub struct LockedFile {
    file: Flock<File>,
    path: PathBuf,
}

impl LockedFile {
    /// Locks the file, and makes it where there is none.
    ///
    /// # Errors
    /// `Busy` where another process has it; `System` where it is no file that this process may use.
    pub fn open(path: &Path) -> Result<Self, StateFileError> {
        for _ in 0..TRIES {
            let file = open(path)?;
            let file = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
                Errno::EWOULDBLOCK => StateFileError::Busy,
                other => errno("it cannot be locked")(other),
            })?;
            // Whoever had it may have put another one in its place before the lock was ours.
            if is_at(&file, path)? {
                return Ok(Self { file, path: path.to_owned() });
            }
        }
        Err(StateFileError::Busy)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it.
    ///
    /// # Errors
    /// The system's word.
    pub fn read(&mut self) -> Result<Vec<u8>, StateFileError> {
        let mut bytes = Vec::new();
        (&*self.file).read_to_end(&mut bytes).map_err(system("it cannot be read"))?;
        Ok(bytes)
    }

    /// Whether only its owner may use it, and the owner is the user of this process.
    ///
    /// # Errors
    /// The system's word.
    pub fn is_ours_alone(&self) -> Result<bool, StateFileError> {
        let found = self.file.metadata().map_err(system("it cannot be looked at"))?;
        Ok(found.uid() == nix::unistd::geteuid().as_raw() && found.mode() & 0o077 == 0)
    }

    /// Makes a file of so many bytes, all zero, that is to take the place of this one.
    ///
    /// # Errors
    /// `Busy` where another process is about to do the same; `System` where the file system has no room, or cannot map files.
    pub fn prepare(self, length: usize) -> Result<PreparedFile, StateFileError> {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let draft = PathBuf::from(name);
        let made = Self::open(&draft)?;
        let prepared = map(&made.file, length).map(|map| StateFile { map, file: made.file, path: self.path.clone() });
        match prepared {
            Ok(file) => Ok(PreparedFile { file, draft, replaced: self }),
            Err(error) => {
                // Nobody misses it: it was never in place.
                let _ = fs::remove_file(&draft);
                Err(error)
            }
        }
    }
}

/// A file that is complete before it is put in place.
pub struct PreparedFile {
    file: StateFile,
    draft: PathBuf,
    replaced: LockedFile,
}

impl PreparedFile {
    /// Its bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        self.file.bytes()
    }

    /// Puts it in place of the predecessor's.
    ///
    /// # Errors
    /// The system's word; then the predecessor's stays.
    pub fn put_in_place(self) -> Result<StateFile, StateFileError> {
        fs::rename(&self.draft, &self.replaced.path).map_err(system("it cannot be put in place"))?;
        Ok(self.file)
    }
}

/// The file of this process. Dropping it gives the lock back, and leaves what is in it for a successor.
pub struct StateFile {
    map: MmapMut,
    file: Flock<File>,
    path: PathBuf,
}

impl StateFile {
    /// Its bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.map
    }

    /// Leaves nothing for a successor.
    ///
    /// # Errors
    /// The system's word.
    pub fn empty(self) -> io::Result<()> {
        let Self { map, file, .. } = self;
        // A mapping beyond the end of its file must not be touched.
        drop(map);
        file.set_len(0)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The identity of this boot.
///
/// # Errors
/// The system's word.
pub fn boot_id() -> Result<Vec<u8>, StateFileError> {
    let text = fs::read("/proc/sys/kernel/random/boot_id").map_err(system("the boot has no name"))?;
    Ok(text.trim_ascii_end().to_vec())
}

/// The user of this process.
#[must_use]
pub fn user() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// Opens a file that is no link, for this process alone, and makes it where there is none.
fn open(path: &Path) -> Result<File, StateFileError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    // Non-blocking, since opening a pipe would wait for its other end.
    options.custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK);
    let file = options.open(path).map_err(system("it cannot be opened"))?;
    if file.metadata().map_err(system("it cannot be looked at"))?.is_file() {
        Ok(file)
    } else {
        Err(system("it cannot be used")(io::Error::new(ErrorKind::InvalidInput, "it is no regular file")))
    }
}

fn is_at(file: &File, path: &Path) -> Result<bool, StateFileError> {
    let opened = file.metadata().map_err(system("it cannot be looked at"))?;
    match fs::symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (opened.dev(), opened.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(system("it cannot be looked at")(error)),
    }
}

fn map(file: &File, length: usize) -> Result<MmapMut, StateFileError> {
    // What a predecessor left that was killed here goes first.
    file.set_len(0).map_err(system("it cannot be made"))?;
    posix_fallocate(file, 0, length as libc::off_t).map_err(errno("there is no room for it"))?;
    // SAFETY: the mapping is of a file that this process alone has locked and that only its user may change. Its length is
    // fixed: nobody but that user can truncate it, who could as well end the process.
    unsafe { MmapOptions::new().len(length).map_mut(file) }.map_err(system("its file system cannot map it"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("route-liveness-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn start(path: &Path) -> StateFile {
        LockedFile::open(path).unwrap().prepare(64).unwrap().put_in_place().unwrap()
    }

    #[test]
    fn what_was_written_is_there_for_whoever_locks_the_file_after_its_writer_is_gone() {
        let folder = folder("left");
        let path = folder.join("state");
        let mut file = start(&path);
        file.bytes()[..5].copy_from_slice(b"hello");
        assert!(matches!(LockedFile::open(&path), Err(StateFileError::Busy)));
        drop(file);
        let mut next = LockedFile::open(&path).unwrap();
        assert_eq!(&next.read().unwrap()[..5], b"hello");
        assert!(next.is_ours_alone().unwrap());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_file_of_the_predecessor_stays_until_that_of_the_successor_is_whole() {
        let folder = folder("whole");
        let path = folder.join("state");
        start(&path).bytes()[0] = 1;
        let mut prepared = LockedFile::open(&path).unwrap().prepare(64).unwrap();
        prepared.bytes()[0] = 2;
        assert_eq!(fs::read(&path).unwrap()[0], 1);
        drop(prepared);
        let mut again = LockedFile::open(&path).unwrap().prepare(64).unwrap();
        assert_eq!(again.bytes()[0], 0, "what a killed successor left is not taken over");
        again.bytes()[0] = 3;
        again.put_in_place().unwrap();
        assert_eq!(fs::read(&path).unwrap()[0], 3);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_that_is_emptied_holds_nothing() {
        let folder = folder("emptied");
        let path = folder.join("state");
        start(&path).empty().unwrap();
        assert!(LockedFile::open(&path).unwrap().read().unwrap().is_empty());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_link_a_folder_and_a_pipe_are_refused_and_a_file_that_others_may_read_is_not_ours_alone() {
        let folder = folder("strange");
        std::os::unix::fs::symlink("elsewhere", folder.join("link")).unwrap();
        nix::unistd::mkfifo(&folder.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for name in ["link", "pipe", "."] {
            assert!(matches!(LockedFile::open(&folder.join(name)), Err(StateFileError::System { .. })), "{name}");
        }
        let open = folder.join("open");
        fs::write(&open, "").unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(!LockedFile::open(&open).unwrap().is_ours_alone().unwrap());
        fs::remove_dir_all(folder).unwrap();
    }
}
