//! The listening socket: one engine for each path, a stale socket replaced in one step, its mode right from the first moment.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, ErrorKind},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::{
            fs::{FileTypeExt, OpenOptionsExt, PermissionsExt},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

pub(super) struct Listener {
    socket: UnixListener,
    path: PathBuf,
    /// Held for as long as we serve; the kernel frees it however the process ends.
    _lock: File,
}

impl Listener {
    /// `AddrInUse`: another engine serves this path. `AlreadyExists`: something else than a socket is there.
    pub fn bind(path: &Path, mode: u32) -> io::Result<Self> {
        let lock = lock_beside(path)?;
        refuse_foreign_file(path)?;
        // Bound under another name first, so that nobody can connect before the mode is set.
        let unready = with_suffix(path, ".new");
        remove_if_there(&unready)?;
        let socket = UnixListener::bind(&unready)?;
        socket.set_nonblocking(true)?;
        fs::set_permissions(&unready, Permissions::from_mode(mode))?;
        fs::rename(&unready, path)?;
        Ok(Self {
            socket,
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// None when nobody waits.
    pub fn accept(&self) -> io::Result<Option<UnixStream>> {
        match self.socket.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                Ok(Some(stream))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The next engine replaces it anyway.
        let _ = fs::remove_file(&self.path);
    }
}

fn lock_beside(path: &Path) -> io::Result<File> {
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(with_suffix(path, ".lock"))?;
    lock.try_lock().map_err(|_| {
        let message = format!("another engine serves {}", path.display());
        io::Error::new(ErrorKind::AddrInUse, message)
    })?;
    Ok(lock)
}

fn refuse_foreign_file(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            let message = format!("{} is not a socket", path.display());
            Err(io::Error::new(ErrorKind::AlreadyExists, message))
        }
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
