//! Directories: what calls see, what the medium holds, and the changes between the two.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

use env::{DiskEntry, EntryKind};

use crate::disk::file::FileNode;

/// A file or directory, whatever its names. Zero is the root.
pub(crate) type Ino = u64;

pub(crate) const ROOT: Ino = 0;

#[derive(Debug, Default)]
pub(crate) struct DirNode {
    pub(crate) visible: BTreeMap<Arc<str>, Ino>,
    pub(crate) durable: BTreeMap<Arc<str>, Ino>,
}

#[derive(Debug)]
pub(crate) enum Node {
    File(Box<FileNode>),
    Directory(DirNode),
}

#[derive(Debug)]
pub(crate) struct Inode {
    pub(crate) node: Node,
    /// Names that calls see.
    visible: u32,
    /// Names on the medium, and in changes that may yet reach it.
    durable: u32,
    /// Open handles.
    pub(crate) opens: u32,
    /// The last change that named it on the medium. Older ones that reach the medium later do nothing.
    placed_at: u64,
}

/// A change of the names that is not durable yet.
#[derive(Clone, Debug)]
pub(crate) struct DirChange {
    pub(crate) sequence: u64,
    /// The directory whose sync makes it durable; for a rename the one of the new name.
    pub(crate) dir: Ino,
    pub(crate) name: Arc<str>,
    pub(crate) what: DirChangeKind,
}

#[derive(Clone, Debug)]
pub(crate) enum DirChangeKind {
    Create(Ino),
    Remove(Ino),
    Rename {
        from_dir: Ino,
        from: Arc<str>,
        ino: Ino,
    },
}

impl DirChange {
    fn ino(&self) -> Ino {
        match self.what {
            DirChangeKind::Create(ino)
            | DirChangeKind::Remove(ino)
            | DirChangeKind::Rename { ino, .. } => ino,
        }
    }
}

/// The tree of names of a disk.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) inodes: BTreeMap<Ino, Inode>,
    next: Ino,
    pub(crate) changes: Vec<DirChange>,
    sequence: u64,
}

fn not_found() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOENT)
}

fn split(path: &Path) -> io::Result<Vec<&str>> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => {
                Some(name.to_str().ok_or(io::ErrorKind::InvalidInput.into()))
            }
            Component::ParentDir => Some(Err(io::ErrorKind::InvalidInput.into())),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

impl Tree {
    pub(crate) fn new() -> Tree {
        let root = Inode {
            node: Node::Directory(DirNode::default()),
            visible: 1,
            durable: 1,
            opens: 0,
            placed_at: 0,
        };
        Tree {
            inodes: BTreeMap::from([(ROOT, root)]),
            next: 1,
            changes: Vec::new(),
            sequence: 0,
        }
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    fn dir(&self, ino: Ino) -> io::Result<&DirNode> {
        match self.inodes.get(&ino).map(|inode| &inode.node) {
            Some(Node::Directory(dir)) => Ok(dir),
            Some(Node::File(_)) => Err(io::Error::from_raw_os_error(libc::ENOTDIR)),
            None => Err(not_found()),
        }
    }

    fn dir_mut(&mut self, ino: Ino) -> &mut DirNode {
        match self.inodes.get_mut(&ino).map(|inode| &mut inode.node) {
            Some(Node::Directory(dir)) => dir,
            _ => panic!("inode {ino} was found to be a directory"),
        }
    }

    pub(crate) fn file(&self, ino: Ino) -> Option<&FileNode> {
        match &self.inodes.get(&ino)?.node {
            Node::File(file) => Some(file),
            Node::Directory(_) => None,
        }
    }

    pub(crate) fn file_mut(&mut self, ino: Ino) -> Option<&mut FileNode> {
        match &mut self.inodes.get_mut(&ino)?.node {
            Node::File(file) => Some(file),
            Node::Directory(_) => None,
        }
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = (Ino, &FileNode)> {
        self.inodes
            .iter()
            .filter_map(|(ino, inode)| match &inode.node {
                Node::File(file) => Some((*ino, &**file)),
                Node::Directory(_) => None,
            })
    }

    pub(crate) fn lookup(&self, path: &Path) -> io::Result<Ino> {
        split(path)?.into_iter().try_fold(ROOT, |dir, name| {
            self.dir(dir)?
                .visible
                .get(name)
                .copied()
                .ok_or_else(not_found)
        })
    }

    /// The directory of a path, and its last name.
    fn parent<'p>(&self, path: &'p Path) -> io::Result<(Ino, &'p str)> {
        let names = split(path)?;
        let (last, above) = names.split_last().ok_or(io::ErrorKind::InvalidInput)?;
        let dir = above.iter().try_fold(ROOT, |dir, name| {
            self.dir(dir)?
                .visible
                .get(*name)
                .copied()
                .ok_or_else(not_found)
        })?;
        self.dir(dir)?;
        Ok((dir, last))
    }

    fn change(&mut self, dir: Ino, name: Arc<str>, what: DirChangeKind) {
        self.sequence += 1;
        let change = DirChange {
            sequence: self.sequence,
            dir,
            name,
            what,
        };
        self.count(change.ino(), 0, 1);
        self.changes.push(change);
    }

    fn count(&mut self, ino: Ino, visible: i32, durable: i32) {
        if let Some(inode) = self.inodes.get_mut(&ino) {
            inode.visible = inode
                .visible
                .checked_add_signed(visible)
                .expect("names are counted");
            inode.durable = inode
                .durable
                .checked_add_signed(durable)
                .expect("names are counted");
        }
    }

    /// Whether nobody can reach the content any more; then its room is free.
    pub(crate) fn is_gone(&self, ino: Ino) -> bool {
        self.inodes
            .get(&ino)
            .is_none_or(|inode| inode.visible == 0 && inode.opens == 0)
    }

    /// Forgets an inode that neither a call nor the medium can reach.
    pub(crate) fn forget(&mut self, ino: Ino) {
        if self.is_gone(ino)
            && self
                .inodes
                .get(&ino)
                .is_some_and(|inode| inode.durable == 0)
        {
            let removed = self.inodes.remove(&ino).map(|inode| inode.node);
            if let Some(Node::Directory(dir)) = removed {
                for child in dir.durable.into_values() {
                    self.count(child, 0, -1);
                    self.forget(child);
                }
            }
        }
    }

    fn create(&mut self, dir: Ino, name: &str, node: Node) -> Ino {
        let ino = self.next;
        self.next += 1;
        self.inodes.insert(
            ino,
            Inode {
                node,
                visible: 1,
                durable: 0,
                opens: 0,
                placed_at: 0,
            },
        );
        let name: Arc<str> = name.into();
        self.dir_mut(dir).visible.insert(name.clone(), ino);
        self.change(dir, name, DirChangeKind::Create(ino));
        ino
    }

    /// Finds a file, or makes it.
    pub(crate) fn open(&mut self, path: &Path, create: bool, exclusive: bool) -> io::Result<Ino> {
        let (dir, name) = self.parent(path)?;
        let ino = match self.dir(dir)?.visible.get(name).copied() {
            Some(_) if create && exclusive => {
                return Err(io::Error::from_raw_os_error(libc::EEXIST));
            }
            Some(ino) if self.file(ino).is_none() => {
                return Err(io::Error::from_raw_os_error(libc::EISDIR));
            }
            Some(ino) => ino,
            None if create => self.create(dir, name, Node::File(Box::default())),
            None => return Err(not_found()),
        };
        Ok(ino)
    }

    pub(crate) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let mut dir = ROOT;
        for name in split(path)? {
            dir = match self.dir(dir)?.visible.get(name).copied() {
                Some(ino) => ino,
                None => self.create(dir, name, Node::Directory(DirNode::default())),
            };
        }
        self.dir(dir).map(|_| ())
    }

    /// Removes a name. Gives back the inode that it stood for.
    pub(crate) fn remove(&mut self, path: &Path, kind: EntryKind) -> io::Result<Ino> {
        let (dir, name) = self.parent(path)?;
        let ino = *self.dir(dir)?.visible.get(name).ok_or_else(not_found)?;
        match (&self.inodes[&ino].node, kind) {
            (Node::Directory(_), EntryKind::File) => {
                return Err(io::Error::from_raw_os_error(libc::EISDIR));
            }
            (Node::File(_), EntryKind::Directory) => {
                return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
            }
            (Node::Directory(inner), _) if !inner.visible.is_empty() => {
                return Err(io::Error::from_raw_os_error(libc::ENOTEMPTY));
            }
            _ => {}
        }
        self.dir_mut(dir).visible.remove(name);
        self.count(ino, -1, 0);
        self.change(dir, name.into(), DirChangeKind::Remove(ino));
        Ok(ino)
    }

    /// Renames. Gives back the inode that was replaced.
    pub(crate) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<Option<Ino>> {
        let (from_dir, from_name) = self.parent(from)?;
        let (to_dir, to_name) = self.parent(to)?;
        let ino = *self
            .dir(from_dir)?
            .visible
            .get(from_name)
            .ok_or_else(not_found)?;
        if to.starts_with(from) && to != from {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let replaced = self.dir(to_dir)?.visible.get(to_name).copied();
        if replaced == Some(ino) {
            return Ok(None);
        }
        if let Some(old) = replaced {
            match (&self.inodes[&ino].node, &self.inodes[&old].node) {
                (Node::File(_), Node::Directory(_)) => {
                    return Err(io::Error::from_raw_os_error(libc::EISDIR));
                }
                (Node::Directory(_), Node::File(_)) => {
                    return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
                }
                (_, Node::Directory(inner)) if !inner.visible.is_empty() => {
                    return Err(io::Error::from_raw_os_error(libc::ENOTEMPTY));
                }
                _ => {}
            }
            self.count(old, -1, 0);
        }
        self.dir_mut(from_dir).visible.remove(from_name);
        self.dir_mut(to_dir).visible.insert(to_name.into(), ino);
        let what = DirChangeKind::Rename {
            from_dir,
            from: from_name.into(),
            ino,
        };
        self.change(to_dir, to_name.into(), what);
        Ok(replaced)
    }

    pub(crate) fn list(&self, path: &Path) -> io::Result<Vec<DiskEntry>> {
        let dir = self.dir(self.lookup(path)?)?;
        let kind = |ino: &Ino| match self.inodes[ino].node {
            Node::File(_) => EntryKind::File,
            Node::Directory(_) => EntryKind::Directory,
        };
        let entry = |(name, ino): (&Arc<str>, &Ino)| DiskEntry {
            name: name.to_string(),
            kind: kind(ino),
        };
        Ok(dir.visible.iter().map(entry).collect())
    }

    /// The directory at `path`, to be synced.
    pub(crate) fn lookup_dir(&self, path: &Path) -> io::Result<Ino> {
        let ino = self.lookup(path)?;
        self.dir(ino).map(|_| ino)
    }

    /// Makes durable the names of a directory that changed up to `upto`.
    pub(crate) fn sync_dir(&mut self, dir: Ino, upto: u64) {
        let (done, rest) = std::mem::take(&mut self.changes)
            .into_iter()
            .partition(|change| change.dir == dir && change.sequence <= upto);
        self.changes = rest;
        self.settle(done, |_| true);
    }

    /// Applies changes to the medium, or drops them, as `keep` says.
    pub(crate) fn settle(
        &mut self,
        changes: Vec<DirChange>,
        mut keep: impl FnMut(&DirChange) -> bool,
    ) {
        for change in changes {
            if keep(&change) {
                self.apply_to_medium(&change);
            }
            self.count(change.ino(), 0, -1);
            self.forget(change.ino());
        }
    }

    fn apply_to_medium(&mut self, change: &DirChange) {
        let ino = change.ino();
        let Some(inode) = self.inodes.get_mut(&ino) else {
            return;
        };
        if inode.placed_at > change.sequence {
            return;
        }
        inode.placed_at = change.sequence;
        match &change.what {
            DirChangeKind::Remove(_) => self.set_durable(change.dir, &change.name, Some(ino), None),
            DirChangeKind::Create(_) => self.set_durable(change.dir, &change.name, None, Some(ino)),
            DirChangeKind::Rename { from_dir, from, .. } => {
                self.set_durable(*from_dir, from, Some(ino), None);
                self.set_durable(change.dir, &change.name, None, Some(ino));
            }
        }
    }

    /// Sets a name on the medium; if `expected` is given, only where it stands for that.
    fn set_durable(&mut self, dir: Ino, name: &Arc<str>, expected: Option<Ino>, ino: Option<Ino>) {
        let Some(Node::Directory(node)) = self.inodes.get_mut(&dir).map(|inode| &mut inode.node)
        else {
            return;
        };
        let old = node.durable.get(name).copied();
        if expected.is_some() && old != expected {
            return;
        }
        match ino {
            Some(ino) => node.durable.insert(name.clone(), ino),
            None => node.durable.remove(name),
        };
        if let Some(ino) = ino {
            self.count(ino, 0, 1);
        }
        if let Some(old) = old {
            self.count(old, 0, -1);
            self.forget(old);
        }
    }

    /// After a power loss: the names on the medium are all there is, and what has none is gone.
    pub(crate) fn remount(&mut self) {
        assert!(self.changes.is_empty(), "changes are settled first");
        let (mut reached, mut todo) = (BTreeMap::<Ino, u32>::from([(ROOT, 1)]), vec![ROOT]);
        while let Some(ino) = todo.pop() {
            let Some(Node::Directory(dir)) = self.inodes.get_mut(&ino).map(|inode| &mut inode.node)
            else {
                continue;
            };
            dir.visible.clone_from(&dir.durable);
            for child in dir.durable.values() {
                let names = reached.entry(*child).or_default();
                *names += 1;
                if *names == 1 {
                    todo.push(*child);
                }
            }
        }
        self.inodes.retain(|ino, inode| match reached.get(ino) {
            None => false,
            Some(names) => {
                (inode.visible, inode.durable, inode.opens) = (*names, *names, 0);
                true
            }
        });
    }

    /// After the death of a process: its handles are gone. Gives back files that nobody can reach now.
    pub(crate) fn close_all(&mut self) -> Vec<Ino> {
        let mut gone = Vec::new();
        for (ino, inode) in &mut self.inodes {
            if std::mem::take(&mut inode.opens) > 0 && inode.visible == 0 {
                gone.push(*ino);
            }
        }
        gone
    }

    /// A name by which a file is known, for reports.
    pub(crate) fn path_of(&self, ino: Ino) -> Option<String> {
        let mut todo = vec![(ROOT, String::new())];
        while let Some((dir, path)) = todo.pop() {
            let Some(Node::Directory(node)) = self.inodes.get(&dir).map(|inode| &inode.node) else {
                continue;
            };
            for (name, child) in &node.visible {
                let path = format!("{path}/{name}");
                if *child == ino {
                    return Some(path);
                }
                todo.push((*child, path));
            }
        }
        None
    }
}
