//! The few ways in which small files are read and replaced, so that a crash never leaves half of one.
//!
//! A file is replaced by writing a temporary one, syncing it, renaming it and syncing the directory: in
//! this order, or a crash finds a name without its contents. Reading tells a missing file from one that
//! could not be read: an error is never taken for absence.

use std::io;
use std::path::Path;

use bytes::Bytes;
use env::{Disk, File, OpenOptions, SyncKind};

use crate::names;

/// Reads a whole file; `None` if there is none.
pub async fn read_whole<D: Disk>(disk: &D, path: &Path) -> io::Result<Option<Bytes>> {
    let file = match disk.open(path, OpenOptions::READ).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let len = file.len().await?;
    let len = usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    file.read_at(0, len).await.map(Some)
}

/// Writes a new temporary file beside `path` with these contents, synced, and renames it over `path`.
/// Durable once the directory is synced.
pub(crate) async fn replace<D: Disk>(disk: &D, path: &Path, contents: Bytes) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".");
    temporary.push(names::TEMPORARY);
    let temporary = Path::new(&temporary);
    let file = disk.open(temporary, OpenOptions::CREATE).await?;
    let length = contents.len() as u64;
    file.write_at(0, vec![contents]).await?;
    file.set_len(length).await?;
    if !types::mutant!("STO-36") {
        file.sync(SyncKind::All).await?;
    }
    disk.rename(temporary, path).await
}

/// [`replace`], and the directory synced.
pub async fn replace_durably<D: Disk>(disk: &D, path: &Path, contents: Bytes) -> io::Result<()> {
    replace(disk, path, contents).await?;
    let dir = path
        .parent()
        .expect("every file of a log is in a directory");
    disk.sync_dir(dir).await
}

/// Removes a file; it is no error if it is gone already.
pub(crate) async fn remove<D: Disk>(disk: &D, path: &Path) -> io::Result<()> {
    match disk.remove_file(path).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
