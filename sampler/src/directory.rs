//! A session's private directory: it holds the agent's library and the registries that the agents write.

use crate::error::Error;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::sys::statvfs::{FsFlags, statvfs};
use pronk_trampolines::wire::LIBRARY_FILE;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

const PREFIX: &str = "pronk-";
/// How many random characters follow the prefix.
const RANDOM: usize = 6;
const LOCK: &str = "lock";
/// Where POSIX shared memory is on Linux (shm_overview(7)).
const SHARED_MEMORY: &str = "/dev/shm";

/// A directory that only its owner can use and whose name nobody can foretell. It goes when this value is dropped.
#[derive(Debug)]
pub struct SessionDirectory {
    directory: TempDir,
    /// Its path, as those see it that have its root.
    inside: PathBuf,
    /// Dropped after the directory, whose path may lead through it.
    root: Arc<Root>,
    /// Locked as long as the session lives, so that others can tell a running session from what a killed one left.
    _lock: Flock<File>,
}

impl SessionDirectory {
    /// Makes a directory in the first fitting place of `$TMPDIR`, `/tmp`, `$XDG_RUNTIME_DIR`, `/var/tmp` and
    /// `/dev/shm`, and writes the agent's library into it. Removes what killed sessions of the same user left in those
    /// places.
    ///
    /// A place fits when it is writable, is not mounted `noexec`, and can stand in `LD_PRELOAD`: the dynamic linker
    /// splits that at colons and white space, and knows no way to quote them (ld.so(8)).
    ///
    /// # Errors
    /// [`Error::NoDirectory`] when no place fits, with the reason for each.
    pub fn create(agent: &[u8]) -> Result<SessionDirectory, Error> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let mut places = Vec::new();
        for place in [
            variable("TMPDIR"),
            Some("/tmp".into()),
            variable("XDG_RUNTIME_DIR"),
            Some("/var/tmp".into()),
            Some("/dev/shm".into()),
        ]
        .into_iter()
        .flatten()
        {
            if !places.contains(&place) {
                places.push(place);
            }
        }
        SessionDirectory::create_in(&Arc::new(Root::own()), &places, agent)
    }

    /// The same for a process that runs: where that sees other files than this process, as in a container, the directory is
    /// among those.
    ///
    /// # Errors
    /// [`Error::NoDirectory`] or [`Error::NoDirectoryInside`] as above; [`Error::NotPermitted`] when the process's files may not
    /// be looked at.
    pub fn create_for(pid: u32, agent: &[u8]) -> Result<SessionDirectory, Error> {
        match Root::of(pid)? {
            None => SessionDirectory::create(agent),
            Some(root) => {
                let places = ["/tmp", "/var/tmp", "/dev/shm", "/run", "/"].map(PathBuf::from);
                SessionDirectory::create_in(&Arc::new(root), &places, agent).map_err(|error| match error {
                    Error::NoDirectory(reasons) => Error::NoDirectoryInside(reasons),
                    other => other,
                })
            }
        }
    }

    fn create_in(root: &Arc<Root>, places: &[PathBuf], agent: &[u8]) -> Result<SessionDirectory, Error> {
        let mut reasons = String::new();
        for place in places {
            remove_left_over(&root.path(place));
            match make(root, place, Some(agent)) {
                Ok(directory) => return Ok(directory),
                Err(reason) => reasons.push_str(&format!("\n  {}: {reason}", place.display())),
            }
        }
        Err(Error::NoDirectory(reasons))
    }

    /// Makes a directory for rings in `/dev/shm`, if there is such a place: memory that nobody writes to a disk.
    pub(crate) fn for_rings(&self) -> Option<SessionDirectory> {
        let place = Path::new(SHARED_MEMORY);
        let path = self.root.path(place);
        let is_memory = statfs(&path).is_ok_and(|file_system| file_system.filesystem_type() == TMPFS_MAGIC);
        if !is_memory {
            return None;
        }
        remove_left_over(&path);
        make(&self.root, place, None).ok()
    }

    /// Gives the directory, and all that is in it by now, to another user.
    ///
    /// # Errors
    /// When this user may not do that.
    pub(crate) fn give_to(&self, (user, group): (u32, u32)) -> Result<(), Error> {
        let give = |path: &Path| {
            std::os::unix::fs::lchown(path, Some(user), Some(group)).map_err(|source| Error::File {
                action: "give to the process's user",
                path: path.to_owned(),
                source,
            })
        };
        for entry in fs::read_dir(self.path()).into_iter().flatten().flatten() {
            give(&entry.path())?;
        }
        give(self.path())
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The directory, as the processes see it that are profiled.
    pub(crate) fn inside(&self) -> &Path {
        &self.inside
    }

    /// The agent's library.
    pub fn library(&self) -> PathBuf {
        self.path().join(LIBRARY_FILE)
    }
}

/// What processes see as `/`.
#[derive(Debug)]
struct Root {
    /// Where this process sees it.
    path: PathBuf,
    /// Held on to, so that it is there when its process has ended.
    _file: Option<File>,
}

impl Root {
    /// That of this process.
    fn own() -> Root {
        Root { path: "/".into(), _file: None }
    }

    /// That of another process (proc_pid_root(5)), if it is another one.
    fn of(pid: u32) -> Result<Option<Root>, Error> {
        let path = format!("/proc/{pid}/root");
        let file = OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(&path);
        let file = file.map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => Error::NoProcess(pid),
            _ => Error::NotPermitted { pid, source },
        })?;
        let namespace = |process: &str| fs::metadata(format!("/proc/{process}/ns/mnt")).map(|found| found.ino()).ok();
        let is_same = |own: fs::Metadata, of: fs::Metadata| own.dev() == of.dev() && own.ino() == of.ino();
        let same_root = fs::metadata("/").ok().zip(file.metadata().ok()).is_some_and(|(own, of)| is_same(own, of));
        if same_root && namespace("self") == namespace(&pid.to_string()) {
            return Ok(None);
        }
        let path = format!("/proc/self/fd/{}", file.as_raw_fd()).into();
        Ok(Some(Root { path, _file: Some(file) }))
    }

    /// Where this process sees what is at an absolute path there.
    fn path(&self, inside: &Path) -> PathBuf {
        self.path.join(inside.strip_prefix("/").unwrap_or(inside))
    }
}

/// Makes a directory in a place, with the agent's library in it if there is one.
fn make(root: &Arc<Root>, inside: &Path, agent: Option<&[u8]>) -> Result<SessionDirectory, String> {
    let place = &root.path(inside);
    let unfit = |byte: &u8| *byte == b':' || byte.is_ascii_whitespace() || *byte == 0x0b;
    if inside.as_os_str().as_bytes().iter().any(unfit) {
        return Err("its path has a colon or white space, which LD_PRELOAD cannot hold".into());
    }
    if !inside.is_absolute() {
        return Err("it is not an absolute path".into());
    }
    let mount = statvfs(place).map_err(|error| error.desc().to_owned())?;
    if agent.is_some() && mount.flags().contains(FsFlags::ST_NOEXEC) {
        return Err("it is mounted noexec".into());
    }
    let text = |error: std::io::Error| error.to_string();
    let private = fs::Permissions::from_mode(0o700);
    let directory = tempfile::Builder::new()
        .prefix(PREFIX)
        .rand_bytes(RANDOM)
        .permissions(private)
        .tempdir_in(place)
        .map_err(text)?;
    let lock = OpenOptions::new().write(true).create_new(true).mode(0o600).open(directory.path().join(LOCK));
    let lock = try_lock(lock.map_err(text)?).ok_or("its lock is taken")?;
    // Between the two, somebody else may have locked it, and removed the directory as one that was left.
    let own = lock.metadata().map(|metadata| metadata.ino()).map_err(text)?;
    let there = fs::symlink_metadata(directory.path().join(LOCK)).map(|metadata| metadata.ino());
    if there.ok() != Some(own) {
        return Err("another session has removed it".into());
    }
    if let Some(agent) = agent {
        // What is executed must not be writable, not even by accident.
        let library =
            OpenOptions::new().write(true).create_new(true).mode(0o500).open(directory.path().join(LIBRARY_FILE));
        library.and_then(|mut file| file.write_all(agent)).map_err(text)?;
    }
    let inside = inside.join(directory.path().file_name().unwrap_or_default());
    Ok(SessionDirectory { directory, inside, root: root.clone(), _lock: lock })
}

/// How long a directory without a lock is left alone: its session may be about to make one. In seconds.
const SETTLING: u64 = 60;

/// Removes the directories in a place that killed sessions of this user left.
///
/// Others may write into the place as well and may exchange what lies there at any moment. A directory that is ours
/// and closed to others cannot be exchanged by them where the place is sticky, as /tmp is; and what is removed is never
/// looked for through a symlink (`remove_dir_all` opens each directory with O_NOFOLLOW).
fn remove_left_over(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    for entry in entries.flatten() {
        if is_our_pattern(&entry.file_name()) {
            remove_if_left_over(&entry.path());
        }
    }
}

fn is_our_pattern(name: &OsStr) -> bool {
    let Some(random) = name.as_bytes().strip_prefix(PREFIX.as_bytes()) else { return false };
    random.len() == RANDOM && random.iter().all(u8::is_ascii_alphanumeric)
}

fn remove_if_left_over(path: &Path) {
    let me = nix::unistd::geteuid().as_raw();
    let Ok(of_directory) = fs::symlink_metadata(path) else { return };
    if !of_directory.is_dir() || of_directory.uid() != me || of_directory.mode() & 0o077 != 0 {
        return;
    }
    let lock = OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path.join(LOCK));
    let lock = match lock {
        Ok(lock) => Some(lock),
        // A session that was killed between making its directory and its lock leaves one without.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && age(&of_directory) > SETTLING => None,
        Err(_) => return,
    };
    // Whoever holds the lock is the only one to remove; it is held until the directory is gone.
    let held = lock.map(|lock| try_lock(lock).ok_or(()));
    if !matches!(held, Some(Err(()))) {
        // What cannot be removed stays for the next session to try.
        let _ = fs::remove_dir_all(path);
    }
}

fn try_lock(file: File) -> Option<Flock<File>> {
    Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()
}

fn age(metadata: &fs::Metadata) -> u64 {
    metadata.modified().ok().and_then(|time| time.elapsed().ok()).map_or(0, |age| age.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn place() -> TempDir {
        tempfile::Builder::new().prefix("place").tempdir().unwrap()
    }

    fn create(place: &Path) -> SessionDirectory {
        SessionDirectory::create_in(&Arc::new(Root::own()), &[place.to_owned()], b"library").unwrap()
    }

    #[test]
    fn the_directory_is_private_and_goes_with_the_session() {
        let place = place();
        let directory = create(place.path());
        let path = directory.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::read(directory.library()).unwrap(), b"library");
        assert!(is_our_pattern(path.file_name().unwrap()));
        drop(directory);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_session_left_is_removed_and_a_running_one_stays() {
        let place = place();
        let running = create(place.path());
        let killed = place.path().join("pronk-abc123");
        fs::create_dir(&killed).unwrap();
        fs::set_permissions(&killed, fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(killed.join(LOCK), b"").unwrap();
        fs::write(killed.join("0123456789abcdef.registry"), b"x").unwrap();
        let _new = create(place.path());
        assert!(!killed.exists());
        assert!(running.library().exists());
    }

    #[test]
    fn symlinks_open_directories_and_other_names_are_left_alone() {
        let place = place();
        let elsewhere = place.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join(LOCK), b"").unwrap();
        symlink(&elsewhere, place.path().join("pronk-aaaaaa")).unwrap();
        for (name, mode) in [("pronk-bbbbbb", 0o755), ("pronk-ccccccc", 0o700), ("pronk-dd.ddd", 0o700)] {
            let path = place.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            fs::write(path.join(LOCK), b"").unwrap();
        }
        // One that is being made: it has no lock yet.
        let young = place.path().join("pronk-eeeeee");
        fs::create_dir(&young).unwrap();
        fs::set_permissions(&young, fs::Permissions::from_mode(0o700)).unwrap();
        let _new = create(place.path());
        for name in ["pronk-aaaaaa", "pronk-bbbbbb", "pronk-ccccccc", "pronk-dd.ddd", "pronk-eeeeee", "elsewhere"] {
            assert!(place.path().join(name).exists(), "{name}");
        }
        assert!(elsewhere.join(LOCK).exists());
    }

    #[test]
    fn places_that_do_not_fit_are_passed_over_and_named() {
        let place = place();
        let unfit = place.path().join("a b");
        fs::create_dir(&unfit).unwrap();
        let missing = place.path().join("missing");
        let places = [unfit.clone(), missing.clone(), place.path().to_owned()];
        let root = Arc::new(Root::own());
        let directory = SessionDirectory::create_in(&root, &places, b"").unwrap();
        assert_eq!(directory.path().parent(), Some(place.path()));
        let refused = SessionDirectory::create_in(&root, &places[..2], b"").unwrap_err().to_string();
        assert!(refused.contains("white space") && refused.contains("missing: No such file"), "{refused}");
    }
}
