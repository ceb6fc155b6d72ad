//! What must hold of files and directories while nothing fails.

use std::io::ErrorKind;
use std::path::Path;

use bytes::Bytes;

use crate::{
    AlignedBuf, Allocation, Disk, DiskEntry, EntryKind, Env, File, OpenMode, OpenOptions, Spawner,
    SyncKind, Task, race,
};

/// All of them. `dir` is an existing, empty directory.
pub async fn all<E: Env>(env: &E, dir: &Path) {
    writes_are_visible(env, dir).await;
    reads_end_at_the_end(env, dir).await;
    gaps_are_zeros(env, dir).await;
    many_buffers_are_one_write(env, dir).await;
    set_len_cuts_and_fills(env, dir).await;
    allocate_reserves(env, dir).await;
    opening(env, dir).await;
    reading_only(env, dir).await;
    clones_and_second_opens_are_the_same_file(env, dir).await;
    syncing(env, dir).await;
    direct_wants_alignment(env, dir).await;
    direct_and_buffered_see_the_same(env, dir).await;
    rename_replaces(env, dir).await;
    rename_of_directories(env, dir).await;
    removed_files_live_while_open(env, dir).await;
    directories(env, dir).await;
    listings_are_sorted(env, dir).await;
    errors_of_absence(env, dir).await;
    free_bytes_are_known(env, dir).await;
    the_lock_of_a_directory(env, dir).await;
    dropped_calls_do_no_harm(env, dir).await;
    calls_at_once(env, dir).await;
}

type FileOf<E> = <<E as Env>::Disk as Disk>::File;

async fn create<E: Env>(env: &E, dir: &Path, name: &str) -> FileOf<E> {
    env.disk()
        .open(&dir.join(name), OpenOptions::CREATE_NEW)
        .await
        .expect("a new file")
}

fn filled(byte: u8, len: usize) -> Bytes {
    vec![byte; len].into()
}

/// What was written is read, and nothing else.
pub async fn writes_are_visible<E: Env>(env: &E, dir: &Path) {
    let file = create(env, dir, "visible").await;
    file.write_at(0, vec![filled(1, 10_000)])
        .await
        .expect("a write");
    file.write_at(5_000, vec![filled(2, 100)])
        .await
        .expect("a write");
    let got = file.read_at(0, 10_000).await.expect("a read");
    let expected = [vec![1; 5_000], vec![2; 100], vec![1; 4_900]].concat();
    assert!(got == expected);
    assert_eq!(file.read_at(5_099, 2).await.expect("a read"), &[2, 1][..]);
    assert_eq!(file.len().await.expect("a length"), 10_000);
    file.write_at(3, vec![]).await.expect("an empty write");
    file.write_at(20_000, vec![Bytes::new()])
        .await
        .expect("an empty write");
    assert_eq!(
        file.len().await.expect("a length"),
        10_000,
        "empty writes lengthen nothing"
    );
}

/// A read gives less than asked for only at the end of the file.
pub async fn reads_end_at_the_end<E: Env>(env: &E, dir: &Path) {
    let file = create(env, dir, "ends").await;
    assert!(file.read_at(0, 10).await.expect("a read").is_empty());
    file.write_at(0, vec![filled(1, 100)])
        .await
        .expect("a write");
    assert_eq!(file.read_at(90, 100).await.expect("a read").len(), 10);
    assert!(file.read_at(100, 1).await.expect("a read").is_empty());
    assert!(
        file.read_at(1 << 40, 1000)
            .await
            .expect("a read")
            .is_empty()
    );
    assert!(file.read_at(0, 0).await.expect("a read").is_empty());
}

/// What was never written is zeros.
pub async fn gaps_are_zeros<E: Env>(env: &E, dir: &Path) {
    let file = create(env, dir, "gaps").await;
    file.write_at(1 << 30, vec![filled(9, 5)])
        .await
        .expect("a write");
    assert_eq!(file.len().await.expect("a length"), (1 << 30) + 5);
    let got = file.read_at((1 << 30) - 100, 105).await.expect("a read");
    assert!(got[..100].iter().all(|byte| *byte == 0));
    assert_eq!(&got[100..], [9; 5]);
}

/// The buffers of a write follow each other.
pub async fn many_buffers_are_one_write<E: Env>(env: &E, dir: &Path) {
    let file = create(env, dir, "vectored").await;
    let buffers: Vec<Bytes> = (0..2000usize).map(|i| filled(i as u8, i % 7)).collect();
    let expected = buffers.concat();
    file.write_at(11, buffers).await.expect("a write");
    assert_eq!(
        file.read_at(11, expected.len() + 1).await.expect("a read"),
        expected
    );
}

/// `set_len` cuts; what comes back after it is zeros.
pub async fn set_len_cuts_and_fills<E: Env>(env: &E, dir: &Path) {
    let file = create(env, dir, "set-len").await;
    file.write_at(0, vec![filled(3, 9_000)])
        .await
        .expect("a write");
    file.set_len(4_100).await.expect("a cut");
    assert_eq!(file.len().await.expect("a length"), 4_100);
    file.set_len(9_000).await.expect("a stretch");
    let got = file.read_at(0, 10_000).await.expect("a read");
    assert_eq!(got.len(), 9_000);
    assert!(got[..4_100].iter().all(|byte| *byte == 3));
    assert!(got[4_100..].iter().all(|byte| *byte == 0));
    file.set_len(0).await.expect("a cut");
    file.write_at(8, vec![filled(4, 8)]).await.expect("a write");
    let got = file.read_at(0, 100).await.expect("a read");
    assert_eq!(&got[..], [[0; 8], [4; 8]].concat());
}

/// `allocate` lengthens or does not, as it is told, and touches no byte.
pub async fn allocate_reserves<E: Env>(env: &E, dir: &Path) {
    let file = create(env, dir, "allocate").await;
    file.write_at(0, vec![filled(5, 100)])
        .await
        .expect("a write");
    match file.allocate(0, 1 << 20, Allocation::KeepLength).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => return,
        other => other.expect("room"),
    }
    assert_eq!(file.len().await.expect("a length"), 100);
    file.allocate(0, 1 << 20, Allocation::Extend)
        .await
        .expect("room");
    assert_eq!(file.len().await.expect("a length"), 1 << 20);
    file.allocate(0, 10, Allocation::Extend)
        .await
        .expect("room");
    assert_eq!(
        file.len().await.expect("a length"),
        1 << 20,
        "never shorter"
    );
    let got = file.read_at(0, 8_192).await.expect("a read");
    assert!(got[..100].iter().all(|byte| *byte == 5));
    assert!(got[100..].iter().all(|byte| *byte == 0));
}

/// Who may create what.
pub async fn opening<E: Env>(env: &E, dir: &Path) {
    let path = dir.join("opening");
    let disk = env.disk();
    let missing = disk.open(&path, OpenOptions::READ).await;
    assert_eq!(
        missing.err().expect("it is missing").kind(),
        ErrorKind::NotFound
    );
    let file = disk
        .open(&path, OpenOptions::CREATE)
        .await
        .expect("a new file");
    file.write_at(0, vec![filled(6, 10)])
        .await
        .expect("a write");
    let again = disk.open(&path, OpenOptions::CREATE_NEW).await;
    assert_eq!(
        again.err().expect("it is there").kind(),
        ErrorKind::AlreadyExists
    );
    let file = disk
        .open(&path, OpenOptions::CREATE)
        .await
        .expect("an old file");
    assert_eq!(
        file.len().await.expect("a length"),
        10,
        "opening truncates nothing"
    );
    let nowhere = disk
        .open(&dir.join("no-dir/file"), OpenOptions::CREATE)
        .await;
    assert_eq!(
        nowhere.err().expect("no directory").kind(),
        ErrorKind::NotFound
    );
}

/// A file that was opened for reading cannot be written.
pub async fn reading_only<E: Env>(env: &E, dir: &Path) {
    let file = create(env, dir, "reading").await;
    file.write_at(0, vec![filled(1, 4)]).await.expect("a write");
    let path = dir.join("reading");
    let reader = env
        .disk()
        .open(&path, OpenOptions::READ)
        .await
        .expect("a file");
    assert_eq!(reader.read_at(0, 10).await.expect("a read"), &[1; 4][..]);
    reader
        .write_at(0, vec![filled(2, 1)])
        .await
        .expect_err("it is for reading");
    reader.set_len(0).await.expect_err("it is for reading");
    assert_eq!(file.read_at(0, 10).await.expect("a read"), &[1; 4][..]);
}

/// All handles of a file see the same.
pub async fn clones_and_second_opens_are_the_same_file<E: Env>(env: &E, dir: &Path) {
    let file = create(env, dir, "shared").await;
    let clone = file.clone();
    let path = dir.join("shared");
    let other = env
        .disk()
        .open(&path, OpenOptions::READ)
        .await
        .expect("a file");
    clone
        .write_at(0, vec![filled(8, 3)])
        .await
        .expect("a write");
    drop(clone);
    for handle in [&file, &other] {
        assert_eq!(handle.read_at(0, 3).await.expect("a read"), &[8; 3][..]);
    }
}

/// Syncs of files and directories succeed, whether there is something to be done or not.
pub async fn syncing<E: Env>(env: &E, dir: &Path) {
    let file = create(env, dir, "syncing").await;
    file.sync(SyncKind::All).await.expect("a sync");
    file.write_at(0, vec![filled(1, 5_000)])
        .await
        .expect("a write");
    file.sync(SyncKind::Data).await.expect("a sync");
    file.sync(SyncKind::Data).await.expect("a sync");
    env.disk().sync_dir(dir).await.expect("a sync");
    assert_eq!(file.read_at(0, 9_999).await.expect("a read").len(), 5_000);
}

/// Opens a new file in direct mode; `None` where the file system has none.
async fn create_direct<E: Env>(env: &E, dir: &Path, name: &str) -> Option<FileOf<E>> {
    let options = OpenOptions::CREATE_NEW.mode(OpenMode::Direct);
    match env.disk().open(&dir.join(name), options).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => None,
        file => Some(file.expect("a new file")),
    }
}

fn aligned(byte: u8, len: usize) -> Bytes {
    let mut buffer = AlignedBuf::zeroed(len);
    buffer.as_mut().fill(byte);
    buffer.freeze()
}

/// A direct file refuses what is not aligned, in every respect.
pub async fn direct_wants_alignment<E: Env>(env: &E, dir: &Path) {
    let Some(file) = create_direct(env, dir, "direct").await else {
        return;
    };
    let good = aligned(1, 3 * OpenMode::ALIGNMENT);
    file.write_at(0, vec![good.clone()])
        .await
        .expect("an aligned write");
    let wrong = [
        (512, good.clone()),
        (1, good.clone()),
        (0, good.slice(..4000)),
        (0, good.slice(512..4096 + 512)),
        (0, good.slice(4096..4097)),
    ];
    for (offset, buffer) in wrong {
        let what = format!(
            "offset {offset} address {:?} len {}",
            buffer.as_ptr(),
            buffer.len()
        );
        let error = file.write_at(offset, vec![buffer]).await.expect_err(&what);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{what}");
    }
    let mixed = vec![good.slice(..4096), good.slice(1..4097)];
    assert!(
        file.write_at(0, mixed).await.is_err(),
        "every buffer counts"
    );
    for (offset, len) in [(1, 4096), (512, 4096), (0, 100), (0, 4097)] {
        let error = file.read_at(offset, len).await.expect_err("not aligned");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{offset} {len}");
    }
    let slices = vec![good.slice(4096..8192), good.slice(..4096)];
    file.write_at(8192, slices).await.expect("aligned slices");
    let got = file.read_at(4096, 16_384).await.expect("a read");
    assert_eq!(
        got.len(),
        12_288,
        "the end of the file ends a direct read too"
    );
    assert!(got.iter().all(|byte| *byte == 1));
}

/// The two modes are two ways to the same bytes.
pub async fn direct_and_buffered_see_the_same<E: Env>(env: &E, dir: &Path) {
    let Some(direct) = create_direct(env, dir, "both").await else {
        return;
    };
    let path = dir.join("both");
    direct
        .write_at(0, vec![aligned(1, 8192)])
        .await
        .expect("a write");
    let buffered = env
        .disk()
        .open(&path, OpenOptions::CREATE)
        .await
        .expect("a file");
    assert_eq!(buffered.read_at(8191, 10).await.expect("a read"), &[1][..]);
    buffered
        .write_at(4096, vec![filled(2, 4096)])
        .await
        .expect("a write");
    buffered.sync(SyncKind::Data).await.expect("a sync");
    let got = direct.read_at(4096, 4096).await.expect("a read");
    assert!(got.iter().all(|byte| *byte == 2));
    // A length that is not aligned ends a direct read.
    buffered.set_len(5000).await.expect("a cut");
    buffered.sync(SyncKind::Data).await.expect("a sync");
    assert_eq!(direct.read_at(4096, 4096).await.expect("a read").len(), 904);
}

/// A rename moves a file, and replaces what was there.
pub async fn rename_replaces<E: Env>(env: &E, dir: &Path) {
    let (from, to) = (dir.join("rename-from"), dir.join("rename-to"));
    let disk = env.disk();
    let old = create(env, dir, "rename-to").await;
    old.write_at(0, vec![filled(1, 1)]).await.expect("a write");
    let new = create(env, dir, "rename-from").await;
    new.write_at(0, vec![filled(2, 2)]).await.expect("a write");
    disk.rename(&from, &to).await.expect("a rename");
    let gone = disk.open(&from, OpenOptions::READ).await;
    assert_eq!(gone.err().expect("it moved").kind(), ErrorKind::NotFound);
    let found = disk.open(&to, OpenOptions::READ).await.expect("a file");
    assert_eq!(found.read_at(0, 9).await.expect("a read"), &[2; 2][..]);
    new.write_at(2, vec![filled(3, 1)])
        .await
        .expect("the handle moved with it");
    assert_eq!(found.read_at(0, 9).await.expect("a read"), &[2, 2, 3][..]);
    assert_eq!(
        old.read_at(0, 9)
            .await
            .expect("the replaced file lives while open"),
        &[1][..]
    );
    let missing = disk.rename(&from, &to).await;
    assert_eq!(
        missing.expect_err("it is missing").kind(),
        ErrorKind::NotFound
    );
    disk.rename(&to, &to).await.expect("onto itself");
    disk.open(&to, OpenOptions::READ)
        .await
        .expect("still there");
}

/// A directory is renamed with all that is in it.
pub async fn rename_of_directories<E: Env>(env: &E, dir: &Path) {
    let (from, to) = (dir.join("dir-from"), dir.join("dir-to"));
    let disk = env.disk();
    disk.create_dir_all(&from.join("inner"))
        .await
        .expect("a directory");
    let file = create(env, &from.join("inner"), "file").await;
    file.write_at(0, vec![filled(4, 4)]).await.expect("a write");
    disk.rename(&from, &to).await.expect("a rename");
    assert_eq!(
        disk.list(&from).await.expect_err("it moved").kind(),
        ErrorKind::NotFound
    );
    let path = to.join("inner/file");
    let file = disk.open(&path, OpenOptions::READ).await.expect("a file");
    assert_eq!(file.read_at(0, 9).await.expect("a read"), &[4; 4][..]);
}

/// A file without a name lives as long as it is open.
pub async fn removed_files_live_while_open<E: Env>(env: &E, dir: &Path) {
    let file = create(env, dir, "removed").await;
    let path = dir.join("removed");
    file.write_at(0, vec![filled(1, 10)])
        .await
        .expect("a write");
    env.disk().remove_file(&path).await.expect("a removal");
    file.write_at(10, vec![filled(2, 10)])
        .await
        .expect("a write");
    assert_eq!(
        file.read_at(5, 10).await.expect("a read"),
        [[1; 5], [2; 5]].concat()
    );
    let again = create(env, dir, "removed").await;
    assert_eq!(
        again.len().await.expect("a length"),
        0,
        "the name is free for a new file"
    );
    assert_eq!(file.len().await.expect("a length"), 20);
}

/// Directories are made with those above them, and removed when empty.
pub async fn directories<E: Env>(env: &E, dir: &Path) {
    let disk = env.disk();
    let deep = dir.join("a/b/c");
    disk.create_dir_all(&deep).await.expect("directories");
    disk.create_dir_all(&deep).await.expect("they may be there");
    create(env, &deep, "file").await;
    let full = disk.remove_dir(&deep).await.expect_err("not empty");
    assert_eq!(full.kind(), ErrorKind::DirectoryNotEmpty);
    disk.remove_file(&deep)
        .await
        .expect_err("a directory is no file");
    disk.remove_dir(&deep.join("file"))
        .await
        .expect_err("a file is no directory");
    disk.create_dir_all(&deep.join("file/d"))
        .await
        .expect_err("a file is no directory");
    disk.remove_file(&deep.join("file"))
        .await
        .expect("a removal");
    disk.remove_dir(&deep).await.expect("a removal");
    assert_eq!(disk.list(&dir.join("a/b")).await.expect("a listing"), []);
    disk.sync_dir(&deep).await.expect_err("it is gone");
}

/// Listings are sorted by name and say what is what.
pub async fn listings_are_sorted<E: Env>(env: &E, dir: &Path) {
    let dir = dir.join("listing");
    env.disk()
        .create_dir_all(&dir.join("m"))
        .await
        .expect("a directory");
    for name in ["z", "a", "0001", "B", "a.log", "ä"] {
        create(env, &dir, name).await;
    }
    let entries = env.disk().list(&dir).await.expect("a listing");
    let entry = |name: &str| DiskEntry {
        name: name.to_owned(),
        kind: if name == "m" {
            EntryKind::Directory
        } else {
            EntryKind::File
        },
    };
    assert_eq!(
        entries,
        ["0001", "B", "a", "a.log", "m", "z", "ä"].map(entry)
    );
}

/// What is not there is reported as not there.
pub async fn errors_of_absence<E: Env>(env: &E, dir: &Path) {
    let (disk, path) = (env.disk(), dir.join("absent"));
    assert_eq!(
        disk.list(&path).await.expect_err("absent").kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        disk.remove_file(&path).await.expect_err("absent").kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        disk.remove_dir(&path).await.expect_err("absent").kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        disk.sync_dir(&path).await.expect_err("absent").kind(),
        ErrorKind::NotFound
    );
}

/// There is room, and it is less after a reservation.
pub async fn free_bytes_are_known<E: Env>(env: &E, dir: &Path) {
    let free = env.disk().free_bytes(dir).await.expect("a number");
    assert!(free > 1 << 20, "{free}");
}

/// The lock of a directory can be taken, where there is a directory.
pub async fn the_lock_of_a_directory<E: Env>(env: &E, dir: &Path) {
    let locked = dir.join("locked");
    env.disk()
        .lock_dir(&locked)
        .await
        .expect_err("no directory");
    env.disk()
        .create_dir_all(&locked)
        .await
        .expect("a directory");
    env.disk()
        .lock_dir(&locked)
        .await
        .expect("nobody else has it");
    let entries = env.disk().list(&locked).await.expect("a listing");
    assert_eq!(
        entries.iter().map(|entry| &*entry.name).collect::<Vec<_>>(),
        [".lock"]
    );
}

/// A write that is given up leaves old bytes or new ones, and the file usable.
pub async fn dropped_calls_do_no_harm<E: Env>(env: &E, dir: &Path) {
    let file = create(env, dir, "dropped").await;
    file.write_at(0, vec![filled(1, 4096)])
        .await
        .expect("a write");
    for _ in 0..50 {
        let write = file.write_at(0, vec![filled(2, 4096)]);
        race(write, env.spawner().yield_now()).await;
        race(file.read_at(0, 4096), env.spawner().yield_now()).await;
        race(file.sync(SyncKind::Data), env.spawner().yield_now()).await;
    }
    let got = file.read_at(0, 5000).await.expect("a read");
    assert_eq!(got.len(), 4096);
    assert!(got.iter().all(|byte| matches!(byte, 1 | 2)));
    // An open that is given up may have made the file.
    let path = dir.join("dropped-open");
    race(
        env.disk().open(&path, OpenOptions::CREATE),
        env.spawner().yield_now(),
    )
    .await;
    env.disk()
        .open(&path, OpenOptions::CREATE)
        .await
        .expect("whether or not it is there");
}

/// Calls of many tasks do not disturb each other.
pub async fn calls_at_once<E: Env>(env: &E, dir: &Path) {
    let file = create(env, dir, "at-once").await;
    let mut tasks = Vec::new();
    for number in 0..16u8 {
        let file = file.clone();
        tasks.push(env.spawner().spawn("writer", async move {
            let at = u64::from(number) * 1000;
            for round in 0..5u8 {
                let byte = number * 5 + round;
                file.write_at(at, vec![filled(byte, 1000)])
                    .await
                    .expect("a write");
                let got = file.read_at(at, 1000).await.expect("a read");
                assert!(got.iter().all(|seen| *seen == byte));
                file.sync(SyncKind::Data).await.expect("a sync");
            }
        }));
    }
    for task in tasks {
        task.ended().await;
    }
    assert_eq!(file.len().await.expect("a length"), 16_000);
    for number in 0..16u8 {
        let got = file
            .read_at(u64::from(number) * 1000, 1000)
            .await
            .expect("a read");
        assert!(got.iter().all(|seen| *seen == number * 5 + 4));
    }
}
