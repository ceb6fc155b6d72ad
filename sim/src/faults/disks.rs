//! Disks that are not the broker's: another node's, another cluster's, nobody's, and an empty one.
//!
//! What is promised is what `docs/operating/durability.md` says: a directory of another node or cluster, or
//! one that holds logs and does not say whose they are, is refused; nothing of it is served. An empty
//! directory is formatted: it is a new node of a new cluster, and must never say that it is the old one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use env::{Disk, Env, File, OpenMode, OpenOptions};
use world::{NodeId, SimEnv, World};

use super::supervisor::{DiskIn, Site};
use super::{Fault, Planned, Whose};

const MS: u64 = 1_000_000;
const META: &str = "/data/meta.properties";
/// The cluster of a broker that is told which it belongs to.
pub const CLUSTER: &str = "wcHBwcHBwcHBwcHBwcHBwQ";
const OTHER_CLUSTER: &str = "wsLCwsLCwsLCwsLCwsLCwg";
const OTHER_DIRECTORY: &str = "0dHR0dHR0dHR0dHR0dHR0Q";

/// Machines whose disks are put into the broker's, one for each kind.
#[derive(Clone, Debug, Default)]
pub struct Spares(Arc<Vec<(Option<Whose>, NodeId)>>);

impl Spares {
    fn of(&self, whose: Option<Whose>) -> Option<NodeId> {
        let found = self.0.iter().find(|(known, _)| *known == whose);
        found.map(|(_, node)| *node)
    }
}

/// Prepares, before anything else runs, the disks that the faults of a scenario need.
///
/// # Errors
/// The world's.
pub fn prepare_disks(world: &mut World, faults: &[Planned]) -> Result<Spares, world::Failure> {
    let mut spares = Vec::new();
    for planned in faults {
        let whose = match planned.fault {
            Fault::ForeignDisk { whose, .. } => Some(whose),
            Fault::EmptyDisk { .. } => None,
            _ => continue,
        };
        if spares.iter().any(|(known, _)| *known == whose) {
            continue;
        }
        let name = format!("spare-{}", spares.len());
        let node = world.add_node(&name, move |env: SimEnv| async move {
            // Its disk fails as others do.
            while let Some(whose) = whose
                && prepare(&env, whose).await.is_none()
            {}
        });
        world.start(node);
        spares.push((whose, node));
    }
    for (_, node) in &spares {
        world.run_until(Duration::from_secs(600), |world| !world.is_running(*node))?;
    }
    Ok(Spares(Arc::new(spares)))
}

/// Makes a directory what it is to be; `None` if the disk did not let it.
async fn prepare(env: &SimEnv, whose: Whose) -> Option<()> {
    let disk = env.disk();
    let log = Path::new("/data/load-0-0");
    disk.create_dir_all(log).await.ok()?;
    let options = OpenOptions {
        write: true,
        create: true,
        exclusive: false,
        mode: OpenMode::Buffered,
    };
    let segment = log.join("00000000000000000000.log");
    let file = disk.open(&segment, options).await.ok()?;
    file.sync(env::SyncKind::All).await.ok()?;
    for dir in ["/data/load-0-0", "/data", "/"] {
        disk.sync_dir(Path::new(dir)).await.ok()?;
    }
    let (node, cluster) = match whose {
        Whose::OtherNode => (2, CLUSTER),
        Whose::OtherCluster => (1, OTHER_CLUSTER),
        Whose::Nobody => return Some(()),
    };
    // A directory with logs is not formatted: so the other one was, before it had any.
    let text = format!(
        "version=1\ncluster.id={cluster}\nnode.id={node}\ndirectory.id={OTHER_DIRECTORY}\n"
    );
    let file = disk.open(Path::new(META), options).await.ok()?;
    file.write_at(0, vec![text.into()]).await.ok()?;
    file.sync(env::SyncKind::All).await.ok()?;
    disk.sync_dir(Path::new("/data")).await.ok()
}

/// Swaps the broker's disk for another, and back after a while.
pub(super) fn put_in(world: &mut World, site: &Site, fault: &Fault, ms: u64) {
    let (whose, kind) = match *fault {
        Fault::ForeignDisk { whose, .. } => (Some(whose), DiskIn::Foreign),
        _ => (None, DiskIn::Empty),
    };
    let Some(spare) = site.spares.of(whose) else {
        return;
    };
    if site.control.disk_in() != DiskIn::Own {
        return;
    }
    site.history.exercised(fault.name());
    swap(world, site, spare);
    site.control.put_in(kind, own_identity(world, spare));
    if kind == DiskIn::Empty {
        // What a new node is told would be lost with it.
        for client in site.clients.iter() {
            world.cut_link(*client, site.broker);
            world.cut_link(site.broker, *client);
        }
    }
    let (site, until) = (site.clone(), world.now_ns() + ms * MS);
    world.at(until, move |world| give_back(world, &site));
}

/// What the disk that was taken out says of itself.
fn own_identity(world: &World, spare: NodeId) -> Option<String> {
    let bytes = world.durable_bytes(spare, Path::new(META))?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The broker gets its own disk back, if it has another.
pub fn give_back(world: &mut World, site: &Site) {
    let kind = site.control.disk_in();
    let spare = match kind {
        DiskIn::Own => return,
        DiskIn::Foreign | DiskIn::Empty => site.control.spare(),
    };
    let Some(spare) = spare else { return };
    if kind == DiskIn::Empty {
        judge_empty(world, site);
    }
    swap(world, site, spare);
    site.control.put_in(DiskIn::Own, None);
    if kind == DiskIn::Empty {
        world.empty_disk(spare);
        for client in site.clients.iter() {
            world.free_link(*client, site.broker);
            world.free_link(site.broker, *client);
        }
    }
}

fn swap(world: &mut World, site: &Site, spare: NodeId) {
    // Only what is on the medium goes along.
    site.history.power_lost();
    world.lose_power(site.broker);
    world.lose_power(spare);
    world.swap_disks(site.broker, spare);
    site.control.set_spare(spare);
    site.broker_down_until(world, 5);
}

/// What came up on the empty disk is another node of another cluster.
fn judge_empty(world: &World, site: &Site) {
    let Some(bytes) = world.visible_bytes(site.broker, Path::new(META)) else {
        return;
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let Some(own) = site.control.own_identity() else {
        return;
    };
    let line = |text: &str, key: &str| {
        let found = text.lines().find(|line| line.starts_with(key));
        found.map(str::to_owned)
    };
    let told = line(&text, "cluster.id=").is_some() && line(&text, "directory.id=").is_some();
    if told {
        site.history.exercised("empty-disk-is-new");
    }
    let keys: &[&str] = if site.control.is_told_its_cluster() {
        &["directory.id="]
    } else {
        &["directory.id=", "cluster.id="]
    };
    for key in keys {
        let same = told && line(&text, key) == line(&own, key);
        site.history.judge("L14", !same, || {
            format!("on an empty disk the broker says of itself {text:?}, as on its own")
        });
    }
}
