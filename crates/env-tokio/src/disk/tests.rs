//! What is particular to this implementation; what every disk must do is in `env::contract`.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use env::{AlignedBuf, Allocation, File, SyncKind};

use super::*;

/// A directory of its own, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let dir = std::env::temp_dir().join(format!("ottla-disk-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        Scratch(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Everything inline, or nothing.
fn both_ways() -> [TokioDisk; 2] {
    let inline = DiskOptions {
        inline_write_bytes_max: usize::MAX,
        inline_read_bytes_max: usize::MAX,
        ..DiskOptions::default()
    };
    let threads = DiskOptions {
        inline_write_bytes_max: 0,
        inline_read_bytes_max: 0,
        ..DiskOptions::default()
    };
    [TokioDisk::new(inline), TokioDisk::new(threads)]
}

fn pattern(len: usize, salt: usize) -> Vec<u8> {
    (0..len).map(|i| ((i * 31 + salt) % 251) as u8).collect()
}

#[tokio::test]
async fn reads_back_what_was_written_whichever_way_it_went() {
    let scratch = Scratch::new("roundtrip");
    for (i, disk) in both_ways().iter().enumerate() {
        let path = scratch.0.join(format!("file{i}"));
        let file = disk.open(&path, OpenOptions::CREATE_NEW).await.unwrap();
        // More buffers than one call takes, some of them empty.
        let parts: Vec<Bytes> = (0..3000)
            .map(|part| Bytes::from(pattern(part % 701, part)))
            .collect();
        let whole = parts.concat();
        file.write_at(5000, parts).await.unwrap();
        assert_eq!(file.len().await.unwrap(), 5000 + whole.len() as u64);
        assert_eq!(
            file.read_at(0, 5000).await.unwrap(),
            Bytes::from(vec![0; 5000])
        );
        assert_eq!(file.read_at(5000, usize::MAX).await.unwrap(), whole);
        assert_eq!(file.read_at(5003, 100).await.unwrap(), whole[3..103]);
        let end = 5000 + whole.len() as u64;
        assert_eq!(
            file.read_at(end - 10, 100).await.unwrap(),
            whole[whole.len() - 10..]
        );
        assert_eq!(file.read_at(end, 100).await.unwrap(), Bytes::new());
        assert_eq!(
            file.read_at(end + (1 << 40), 2 << 20).await.unwrap(),
            Bytes::new()
        );
        let beyond = file
            .write_at(u64::MAX - 5, vec![Bytes::from_static(b"0123456789")])
            .await;
        assert_eq!(beyond.unwrap_err().kind(), ErrorKind::FileTooLarge);
    }
}

#[tokio::test]
async fn reads_what_the_page_cache_lost() {
    let scratch = Scratch::new("uncached");
    let disk = TokioDisk::new(DiskOptions::default());
    let path = scratch.0.join("file");
    let file = disk.open(&path, OpenOptions::CREATE_NEW).await.unwrap();
    let data = pattern(200_000, 1);
    file.write_at(0, vec![Bytes::from(data.clone())])
        .await
        .unwrap();
    file.sync(SyncKind::Data).await.unwrap();
    // The middle is dropped from the cache, so that a read starts inline and ends on a thread.
    rustix::fs::fadvise(
        file_fd(&file),
        65_536,
        std::num::NonZeroU64::new(65_536),
        rustix::fs::Advice::DontNeed,
    )
    .unwrap();
    assert_eq!(
        file.read_at(100, 150_000).await.unwrap(),
        data[100..150_100]
    );
}

fn file_fd(file: &TokioFile) -> OwnedFd {
    file.open_file().fd().try_clone_to_owned().unwrap()
}

#[tokio::test]
async fn direct_files_ask_for_alignment_and_keep_it() {
    let scratch = Scratch::new("direct");
    let disk = TokioDisk::new(DiskOptions::default());
    let path = scratch.0.join("file");
    let options = OpenOptions::CREATE_NEW.mode(OpenMode::Direct);
    let file = match disk.open(&path, options).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => return,
        opened => opened.unwrap(),
    };
    let mut buf = AlignedBuf::zeroed(12_288);
    buf.as_mut().copy_from_slice(&pattern(12_288, 3));
    let bytes = buf.freeze();
    file.write_at(4096, vec![bytes.slice(4096..), bytes.slice(..4096)])
        .await
        .unwrap();
    for (offset, buffers) in [
        (1, vec![bytes.clone()]),
        (0, vec![bytes.slice(..100)]),
        (0, vec![bytes.slice(512..4608)]),
    ] {
        let error = file.write_at(offset, buffers).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    for (offset, len) in [(1, 4096), (0, 100)] {
        let error = file.read_at(offset, len).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    let read = file.read_at(0, 3 << 20).await.unwrap();
    assert_eq!(read.len(), 16_384);
    assert_eq!(read[4096..12_288], bytes[4096..]);
    assert_eq!(read[12_288..], bytes[..4096]);
    // A length that is no multiple of a block is read to its end.
    file.set_len(5000).await.unwrap();
    assert_eq!(file.read_at(0, 8192).await.unwrap().len(), 5000);
    assert_eq!(file.read_at(8192, 8192).await.unwrap().len(), 0);
}

#[tokio::test]
async fn where_direct_is_unknown_it_says_so() {
    let dir = Path::new("/proc/self");
    let disk = TokioDisk::new(DiskOptions::default());
    let options = OpenOptions::READ.mode(OpenMode::Direct);
    let error = disk.open(&dir.join("status"), options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn allocates_with_and_without_growing() {
    let scratch = Scratch::new("allocate");
    let disk = TokioDisk::new(DiskOptions::default());
    let file = disk
        .open(&scratch.0.join("file"), OpenOptions::CREATE_NEW)
        .await
        .unwrap();
    match file.allocate(0, 1 << 20, Allocation::KeepLength).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => return,
        done => done.unwrap(),
    }
    assert_eq!(file.len().await.unwrap(), 0);
    file.allocate(0, 0, Allocation::Extend).await.unwrap();
    file.allocate(4096, 4096, Allocation::Extend).await.unwrap();
    assert_eq!(file.len().await.unwrap(), 8192);
    let impossible = file.allocate(0, 1 << 60, Allocation::KeepLength).await;
    assert!(impossible.is_err());
}

#[tokio::test]
async fn many_waiters_and_many_files_are_all_answered() {
    let scratch = Scratch::new("group");
    for syncfs_files_min in [None, Some(2), Some(16)] {
        let disk = TokioDisk::new(DiskOptions {
            syncfs_files_min,
            ..DiskOptions::default()
        });
        let mut files = Vec::new();
        for i in 0..40 {
            let path = scratch.0.join(format!("file{i}"));
            files.push(disk.open(&path, OpenOptions::CREATE).await.unwrap());
        }
        let tasks: Vec<_> = (0..400u64)
            .map(|i| {
                let file = files[i as usize % files.len()].clone();
                tokio::spawn(async move {
                    file.write_at(i * 100, vec![Bytes::from(pattern(100, i as usize))])
                        .await?;
                    let kind = if i % 7 == 0 {
                        SyncKind::All
                    } else {
                        SyncKind::Data
                    };
                    file.sync(kind).await
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
    }
}

/// A pipe cannot be synced, which makes it a file whose syncs fail, through the same code as all others.
fn unsyncable(disk: &TokioDisk, dir: &Path) -> (TokioFile, Arc<Volume>) {
    let volume = Volume::open(dir.to_owned(), &disk.shared.options).unwrap();
    let (_reader, writer) = rustix::pipe::pipe().unwrap();
    let open = OpenFile::new(
        writer,
        Arc::clone(&volume),
        false,
        true,
        disk.shared.pool.clone(),
    );
    (TokioFile::new(Arc::clone(&disk.shared), open), volume)
}

#[tokio::test]
async fn a_failed_sync_fails_all_who_wait_and_all_who_come_later() {
    let scratch = Scratch::new("failed");
    let disk = TokioDisk::new(DiskOptions::default());
    let (file, _) = unsyncable(&disk, &scratch.0);
    let waiters: Vec<_> = (0..8)
        .map(|_| tokio::spawn(file.sync(SyncKind::Data)))
        .collect();
    for waiter in waiters {
        assert!(waiter.await.unwrap().is_err());
    }
    let clone = file.clone();
    let error = clone.sync(SyncKind::Data).await.unwrap_err();
    assert!(error.to_string().contains("earlier sync"), "{error}");
    for refused in [
        clone.write_at(0, vec![Bytes::from_static(b"x")]).await,
        clone.set_len(5).await,
        clone.allocate(0, 10, Allocation::Extend).await,
    ] {
        let error = refused.unwrap_err();
        assert!(error.to_string().contains("earlier sync"), "{error}");
    }
}

#[tokio::test]
async fn after_a_failure_each_file_is_synced_by_itself() {
    let scratch = Scratch::new("distrust");
    let disk = TokioDisk::new(DiskOptions {
        syncfs_files_min: Some(2),
        ..DiskOptions::default()
    });
    let (file, volume) = unsyncable(&disk, &scratch.0);
    if !volume.uses_syncfs() {
        return;
    }
    file.sync(SyncKind::Data).await.unwrap_err();
    assert!(!volume.uses_syncfs());
}

#[tokio::test]
async fn names_behave_as_on_any_disk() {
    let scratch = Scratch::new("names");
    let disk = TokioDisk::new(DiskOptions::default());
    let dir = scratch.0.join("a/b");
    disk.create_dir_all(&dir).await.unwrap();
    for name in ["c", "a", "b"] {
        disk.open(&dir.join(name), OpenOptions::CREATE_NEW)
            .await
            .unwrap();
    }
    std::os::unix::fs::symlink(dir.join("a"), dir.join("link")).unwrap();
    disk.create_dir_all(&dir.join("d")).await.unwrap();
    let listed: Vec<_> = disk
        .list(&dir)
        .await
        .unwrap()
        .into_iter()
        .map(|entry| (entry.name, entry.kind))
        .collect();
    let expected = [
        ("a", EntryKind::File),
        ("b", EntryKind::File),
        ("c", EntryKind::File),
        ("d", EntryKind::Directory),
        ("link", EntryKind::Other),
    ];
    assert_eq!(listed, expected.map(|(name, kind)| (name.to_owned(), kind)));
    disk.sync_dir(&dir).await.unwrap();
    disk.rename(&dir.join("a"), &dir.join("b")).await.unwrap();
    let kind = |result: io::Result<()>| result.unwrap_err().kind();
    assert_eq!(
        kind(disk.remove_file(&dir.join("a")).await),
        ErrorKind::NotFound
    );
    assert_eq!(
        kind(disk.remove_dir(&dir).await),
        ErrorKind::DirectoryNotEmpty
    );
    let again = disk.open(&dir.join("b"), OpenOptions::CREATE_NEW).await;
    assert_eq!(kind(again.map(drop)), ErrorKind::AlreadyExists);
    let directory = disk.open(&dir, OpenOptions::READ).await;
    assert_eq!(kind(directory.map(drop)), ErrorKind::IsADirectory);
    let reader = disk.open(&dir.join("b"), OpenOptions::READ).await.unwrap();
    let written = reader.write_at(0, vec![Bytes::from_static(b"x")]).await;
    assert_eq!(kind(written), ErrorKind::PermissionDenied);
    let free = disk.free_bytes(&dir).await.unwrap();
    assert!((1..disk.total_bytes(&dir).await.unwrap()).contains(&free));
}

#[tokio::test]
async fn a_directory_has_one_owner_until_it_is_gone() {
    let scratch = Scratch::new("lock");
    let first = TokioDisk::new(DiskOptions::default());
    let second = TokioDisk::new(DiskOptions::default());
    first.lock_dir(&scratch.0).await.unwrap();
    let refused = second.lock_dir(&scratch.0).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::WouldBlock);
    drop(first);
    second.lock_dir(&scratch.0).await.unwrap();
}
