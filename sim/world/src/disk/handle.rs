//! [`env::Disk`] and [`env::File`] as a process sees them.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use env::{Allocation, Disk, DiskEntry, File, OpenMode, OpenOptions, SyncKind};

use crate::disk::calls::{Call, Reply, Request};
use crate::disk::os_error;
use crate::disk::tree::Ino;
use crate::executor::Due;
use crate::seed::Draw;
use crate::shared::{Core, Handle};
use crate::trace::Event;

/// The disk of the node a process runs on.
#[derive(Clone)]
pub struct SimDisk(Arc<Mounted>);

/// The locks taken through it live as long as it does.
struct Mounted {
    handle: Handle,
    id: u64,
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let mut core = self.handle.shared.lock();
        if core.is_alive(self.handle.node, self.handle.incarnation) {
            let owner = (self.handle.node, self.handle.incarnation, self.id);
            core.disk_of(self.handle.node).unlock(owner);
        }
    }
}

impl SimDisk {
    pub(crate) fn new(handle: Handle) -> SimDisk {
        SimDisk(Arc::new(Mounted { handle, id: 0 }))
    }

    fn call(&self, request: Request) -> DiskCall {
        DiskCall {
            handle: self.0.handle.clone(),
            state: CallState::New(request),
        }
    }
}

impl Core {
    pub(crate) fn disk_of(&mut self, node: u32) -> &mut crate::disk::DiskState {
        let disk = self.nodes[node as usize].disk;
        &mut self.disks[disk as usize]
    }

    /// A call makes progress at its moment: all of it, or the first part of a write.
    pub(crate) fn disk_due(&mut self, disk: u32, op: u32, part: bool) {
        let now = self.now;
        let state = &mut self.disks[disk as usize];
        let Some(call) = state.calls.get_mut(op) else {
            return;
        };
        if part {
            call.timers[1] = None;
            if let Request::Write {
                ino,
                offset,
                buffers,
            } = &call.request
            {
                let (ino, offset, head) = (*ino, *offset, buffers.first().cloned());
                // The first half of the first buffer is on its way before the rest. It may fail here as
                // there; what counts is how the whole ends.
                let head = head.map(|head| head.slice(..(head.len() / 2) & !511));
                if let Some(head) = head.filter(|head| !head.is_empty()) {
                    let _ = state.write(now, ino, offset, &[head]);
                    state.faults.strikes.hit("disk-write-in-parts");
                }
            }
            return;
        }
        call.timers[0] = None;
        let request = call.request.clone();
        let node = call.node;
        let (result, digest) = state.execute(now, &request);
        let ok = result.is_ok();
        let struck = state.faults.strikes.take_fresh();
        match state.calls.get_mut(op) {
            Some(Call {
                waker: Some(waker),
                result: slot,
                ..
            }) => {
                *slot = Some(result);
                waker.wake_by_ref();
            }
            _ => {
                state.calls.remove(op);
                if let Ok(Reply::Opened(ino)) = result {
                    state.close(ino);
                }
            }
        }
        for kind in struck {
            self.trace(node, Event::Struck { kind });
        }
        self.trace(node, Event::DiskDone { op, ok, digest });
    }
}

enum CallState {
    New(Request),
    Waiting(u32),
    Done,
}

struct DiskCall {
    handle: Handle,
    state: CallState,
}

impl DiskCall {
    fn submit(&self, mut request: Request, cx: &Context<'_>) -> Result<u32, io::Error> {
        let mut core = self.handle.shared.lock();
        let core = &mut *core;
        let node = self.handle.node;
        if !core.is_alive(node, self.handle.incarnation) {
            return Err(io::Error::other("the process is dead"));
        }
        let now = core.now;
        let disk_id = core.nodes[node as usize].disk;
        let disk = &mut core.disks[disk_id as usize];
        let mut bytes = 0;
        match &mut request {
            // A sync covers what has completed by now.
            Request::Sync { ino, upto } => {
                let file = disk.tree.file(*ino).ok_or_else(|| os_error(libc::EBADF))?;
                (*upto, bytes) = (file.sequence, file.dirty_bytes());
            }
            Request::SyncDir { upto, .. } => *upto = disk.tree.sequence(),
            Request::Write { buffers, .. } => bytes = buffers.iter().map(|b| b.len() as u64).sum(),
            Request::Read { len, .. } => bytes = *len as u64,
            _ => {}
        }
        let kind = request.kind();
        let latency = disk.faults.slow_disk.latency(
            &mut disk.rng,
            now,
            kind,
            bytes,
            &mut disk.faults.strikes,
        );
        let in_parts = matches!(request, Request::Write { .. })
            && disk.rng.chance(disk.faults.split_write_ppm);
        let part_after = if in_parts {
            Some(disk.rng.below(latency.max(1)))
        } else {
            None
        };
        let (what, offset, len) = request.about();
        let name = request.name();
        let op = disk.calls.insert(Call {
            request,
            node,
            timers: [None, None],
            waker: Some(cx.waker().clone()),
            result: None,
        });
        let timers = [
            Some(core.plan(
                latency,
                Due::Disk {
                    disk: disk_id,
                    op,
                    part: false,
                },
            )),
            part_after.map(|after| {
                core.plan(
                    after,
                    Due::Disk {
                        disk: disk_id,
                        op,
                        part: true,
                    },
                )
            }),
        ];
        if let Some(call) = core.disks[disk_id as usize].calls.get_mut(op) {
            call.timers = timers;
        }
        core.trace(
            node,
            Event::DiskCall {
                op,
                call: name,
                what,
                offset,
                len,
            },
        );
        Ok(op)
    }
}

impl Future for DiskCall {
    type Output = io::Result<Reply>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Reply>> {
        let this = self.get_mut();
        match std::mem::replace(&mut this.state, CallState::Done) {
            CallState::New(request) => match this.submit(request, cx) {
                Ok(op) => {
                    this.state = CallState::Waiting(op);
                    Poll::Pending
                }
                Err(error) => Poll::Ready(Err(error)),
            },
            CallState::Waiting(op) => {
                let mut core = this.handle.shared.lock();
                if !core.is_alive(this.handle.node, this.handle.incarnation) {
                    return Poll::Ready(Err(io::Error::other("the process is dead")));
                }
                let disk = core.disk_of(this.handle.node);
                let call = disk
                    .calls
                    .get_mut(op)
                    .expect("a call stays until its result is taken");
                if let Some(result) = call.result.take() {
                    disk.calls.remove(op);
                    return Poll::Ready(result);
                }
                if let Some(waker) = &mut call.waker {
                    waker.clone_from(cx.waker());
                }
                this.state = CallState::Waiting(op);
                Poll::Pending
            }
            CallState::Done => panic!("polled after completion"),
        }
    }
}

impl Drop for DiskCall {
    fn drop(&mut self) {
        let CallState::Waiting(op) = self.state else {
            return;
        };
        let mut core = self.handle.shared.lock();
        let core = &mut *core;
        if !core.is_alive(self.handle.node, self.handle.incarnation) {
            return;
        }
        let disk = core.disk_of(self.handle.node);
        let Some(call) = disk.calls.get_mut(op) else {
            return;
        };
        if let Some(result) = call.result.take() {
            disk.calls.remove(op);
            if let Ok(Reply::Opened(ino)) = result {
                disk.close(ino);
            }
            return;
        }
        // It may or may not happen.
        if call.request.changes() && disk.rng.coin() {
            call.waker = None;
            return;
        }
        let timers = call.timers;
        disk.calls.remove(op);
        for timer in timers.into_iter().flatten() {
            core.timers.cancel(timer);
        }
    }
}

async fn done(call: DiskCall) -> io::Result<()> {
    call.await.map(|_| ())
}

impl Disk for SimDisk {
    type File = SimFile;

    fn open(
        &self,
        path: &Path,
        options: OpenOptions,
    ) -> impl Future<Output = io::Result<SimFile>> + Send + 'static {
        let call = self.call(Request::Open {
            path: path.to_path_buf(),
            create: options.create,
            exclusive: options.exclusive,
        });
        async move {
            let handle = call.handle.clone();
            let Reply::Opened(ino) = call.await? else {
                panic!("an open opens")
            };
            Ok(SimFile(Arc::new(OpenFile {
                handle,
                ino,
                mode: options.mode,
                write: options.write,
            })))
        }
    }

    fn rename(
        &self,
        from: &Path,
        to: &Path,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        done(self.call(Request::Rename {
            from: from.to_path_buf(),
            to: to.to_path_buf(),
        }))
    }

    fn remove_file(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static {
        done(self.call(Request::RemoveFile {
            path: path.to_path_buf(),
        }))
    }

    fn remove_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static {
        done(self.call(Request::RemoveDir {
            path: path.to_path_buf(),
        }))
    }

    fn create_dir_all(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static {
        done(self.call(Request::CreateDirAll {
            path: path.to_path_buf(),
        }))
    }

    fn list(
        &self,
        path: &Path,
    ) -> impl Future<Output = io::Result<Vec<DiskEntry>>> + Send + 'static {
        let call = self.call(Request::List {
            path: path.to_path_buf(),
        });
        async move {
            let Reply::Listed(entries) = call.await? else {
                panic!("a listing lists")
            };
            Ok(entries)
        }
    }

    fn sync_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let (handle, path) = (self.0.handle.clone(), path.to_path_buf());
        async move {
            let dir = {
                let mut core = handle.shared.lock();
                core.disk_of(handle.node).tree.lookup_dir(&path)?
            };
            done(DiskCall {
                handle,
                state: CallState::New(Request::SyncDir { dir, upto: 0 }),
            })
            .await
        }
    }

    fn free_bytes(&self, _path: &Path) -> impl Future<Output = io::Result<u64>> + Send + 'static {
        number(self.call(Request::FreeBytes))
    }

    fn total_bytes(&self, _path: &Path) -> impl Future<Output = io::Result<u64>> + Send + 'static {
        number(self.call(Request::TotalBytes))
    }

    fn lock_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let owner = (self.0.handle.node, self.0.handle.incarnation, self.0.id);
        done(self.call(Request::LockDir {
            path: path.to_path_buf(),
            owner,
        }))
    }
}

async fn number(call: DiskCall) -> io::Result<u64> {
    let Reply::Number(number) = call.await? else {
        panic!("a question of number has a number")
    };
    Ok(number)
}

/// An open file on a node's disk.
#[derive(Clone)]
pub struct SimFile(Arc<OpenFile>);

struct OpenFile {
    handle: Handle,
    ino: Ino,
    mode: OpenMode,
    write: bool,
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        let mut core = self.handle.shared.lock();
        if core.is_alive(self.handle.node, self.handle.incarnation) {
            core.disk_of(self.handle.node).close(self.ino);
        }
    }
}

impl OpenFile {
    /// The rules of direct access.
    fn check_aligned(&self, numbers: &[u64]) -> io::Result<()> {
        let aligned = |number: &u64| number.is_multiple_of(OpenMode::ALIGNMENT as u64);
        if self.mode == OpenMode::Direct && !numbers.iter().all(aligned) {
            return Err(os_error(libc::EINVAL));
        }
        Ok(())
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.write {
            Ok(())
        } else {
            Err(os_error(libc::EBADF))
        }
    }
}

impl SimFile {
    /// Checks, makes the call, and keeps the file open until it has ended.
    async fn call(self, checked: io::Result<()>, request: Request) -> io::Result<Reply> {
        checked?;
        let call = DiskCall {
            handle: self.0.handle.clone(),
            state: CallState::New(request),
        };
        let reply = call.await;
        drop(self);
        reply
    }

    async fn done(self, checked: io::Result<()>, request: Request) -> io::Result<()> {
        self.call(checked, request).await.map(|_| ())
    }
}

impl File for SimFile {
    fn read_at(
        &self,
        offset: u64,
        len: usize,
    ) -> impl Future<Output = io::Result<Bytes>> + Send + 'static {
        let checked = self.0.check_aligned(&[offset, len as u64]);
        let direct = self.0.mode == OpenMode::Direct;
        let request = Request::Read {
            ino: self.0.ino,
            direct,
            offset,
            len,
        };
        let call = self.clone().call(checked, request);
        async move {
            let Reply::Bytes(bytes) = call.await? else {
                panic!("a read reads")
            };
            Ok(bytes)
        }
    }

    fn write_at(
        &self,
        offset: u64,
        buffers: Vec<Bytes>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let checked = self.0.check_writable().and_then(|()| {
            self.0.check_aligned(&[offset])?;
            buffers.iter().try_for_each(|buffer| {
                self.0
                    .check_aligned(&[buffer.len() as u64, buffer.as_ptr() as u64])
            })
        });
        self.clone().done(
            checked,
            Request::Write {
                ino: self.0.ino,
                offset,
                buffers,
            },
        )
    }

    fn sync(&self, _kind: SyncKind) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.clone().done(
            Ok(()),
            Request::Sync {
                ino: self.0.ino,
                upto: 0,
            },
        )
    }

    fn allocate(
        &self,
        offset: u64,
        len: u64,
        allocation: Allocation,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let checked = self.0.check_writable();
        let extend = allocation == Allocation::Extend;
        self.clone().done(
            checked,
            Request::Allocate {
                ino: self.0.ino,
                offset,
                len,
                extend,
            },
        )
    }

    fn set_len(&self, len: u64) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let checked = self.0.check_writable();
        self.clone().done(
            checked,
            Request::SetLen {
                ino: self.0.ino,
                len,
            },
        )
    }

    fn len(&self) -> impl Future<Output = io::Result<u64>> + Send + 'static {
        let call = self.clone().call(Ok(()), Request::Len { ino: self.0.ino });
        async move {
            let Reply::Number(len) = call.await? else {
                panic!("a length is a number")
            };
            Ok(len)
        }
    }
}
