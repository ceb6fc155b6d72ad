//! Room kept back on a log directory's disk, in the file `disk-reserve`.
//!
//! What makes room on a full disk needs some itself: before a segment goes, a `log-state` without it has to
//! be durable, and a file system asks for blocks even for a name. So a file of a known size is held while
//! all is well and removed when there is no room: then appends are refused, and deletions, checkpoints,
//! committed offsets and metadata go on in what it gives back. It is taken again as soon as there is room
//! for it and for something besides.
//!
//! States, with what leads from one to the other:
//!
//! * *held*: to *given back* when a job ran out of room, or less than [`Reserve::margin`] is free besides.
//! * *given back*: to *held* when the reserve and twice the margin are free. In between nothing changes, so
//!   that taking it does not lead straight back.
//! * *impossible*: the file system cannot reserve. Then only what it says is free counts.

use std::io;
use std::path::{Path, PathBuf};

use env::{Allocation, Disk, File, OpenOptions};

use crate::files;
use crate::job::is_full;

/// The file's name.
pub const FILE: &str = "disk-reserve";

/// What has been done about the reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holding {
    Held,
    GivenBack,
    Impossible,
}

/// How much room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes free, the reserve not counted.
    pub free: u64,
    /// Whether so little is left that appends of clients have to be refused.
    pub is_low: bool,
}

/// The room kept back in one directory. Owned by whoever watches the disk.
#[derive(Debug)]
pub struct Reserve<D> {
    disk: D,
    dir: PathBuf,
    bytes: u64,
    holding: Holding,
}

impl<D: Disk> Reserve<D> {
    /// The reserve of `dir`, of `bytes`; none if that is zero. What a former life left is taken over, and
    /// given back at once if there is no room besides: starting writes, too. A disk that refuses is told in
    /// the log and asked again with the next look.
    pub async fn open(disk: D, dir: &Path, bytes: u64) -> Reserve<D> {
        let mut reserve = Reserve {
            disk,
            dir: dir.to_path_buf(),
            bytes,
            holding: Holding::GivenBack,
        };
        let taken = match reserve.take_over().await {
            Ok(()) => reserve.look(false).await,
            Err(error) => Err(error),
        };
        if let Err(error) = taken {
            tracing::warn!(path = %reserve.path().display(), %error, "no room is kept back for now");
        }
        reserve
    }

    /// Looks what a former life left.
    async fn take_over(&mut self) -> io::Result<()> {
        let path = self.path();
        match self.disk.open(&path, OpenOptions::READ).await {
            Ok(file) => {
                if self.bytes > 0 && file.len().await? == self.bytes {
                    self.holding = Holding::Held;
                    return Ok(());
                }
                // Of another size.
                self.remove().await
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What must be free besides the reserve: an eighth of it.
    #[must_use]
    pub fn margin(&self) -> u64 {
        self.bytes / 8
    }

    /// Whether the room is kept back now.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.holding == Holding::Held
    }

    /// Looks how much room there is, and gives the reserve back or takes it. `ran_out` says that somebody
    /// was told there is none, whatever the disk says of its free room (a quota, for one).
    ///
    /// # Errors
    /// The disk's. The next look tries again.
    pub async fn look(&mut self, ran_out: bool) -> io::Result<Room> {
        if self.bytes == 0 {
            let free = self.disk.free_bytes(&self.dir).await?;
            return Ok(Room {
                free,
                is_low: false,
            });
        }
        if ran_out && self.holding == Holding::Held {
            self.remove().await?;
            let free = self.disk.free_bytes(&self.dir).await?;
            return Ok(Room { free, is_low: true });
        }
        let mut free = self.disk.free_bytes(&self.dir).await?;
        let is_low = match self.holding {
            Holding::Held if free < self.margin() => {
                self.remove().await?;
                free = self.disk.free_bytes(&self.dir).await?;
                true
            }
            Holding::Held => false,
            Holding::GivenBack if ran_out || free < self.bytes + 2 * self.margin() => true,
            Holding::GivenBack => {
                self.take().await?;
                free = self.disk.free_bytes(&self.dir).await?;
                self.holding == Holding::GivenBack
            }
            Holding::Impossible => ran_out || free < self.bytes,
        };
        Ok(Room { free, is_low })
    }

    fn path(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    /// Tries to take the room. A disk without enough of it is no error.
    async fn take(&mut self) -> io::Result<()> {
        match self.allocate().await {
            Ok(()) => self.holding = Holding::Held,
            Err(error) if is_full(&error) => self.remove().await?,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                self.remove().await?;
                self.holding = Holding::Impossible;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn allocate(&self) -> io::Result<()> {
        let file = self.disk.open(&self.path(), OpenOptions::CREATE).await?;
        // Not synced: after a loss of power it is looked for anew.
        file.allocate(0, self.bytes, Allocation::Extend).await
    }

    async fn remove(&mut self) -> io::Result<()> {
        files::remove(&self.disk, &self.path()).await?;
        self.holding = Holding::GivenBack;
        Ok(())
    }
}
