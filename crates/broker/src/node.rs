//! A node: everything it owns, in the order in which it comes up and goes down.
//!
//! Up: the log directory is locked and checked, the metadata log is replayed and led, the shards open the
//! logs that the metadata name, the broker registers, and only then does anybody listen. Down, in the
//! reverse order: nobody is accepted, connections end, logs are closed clean, and the metadata log last.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use env::watch;
use env::{Clock, Entropy, Env, Listener, Network, OpenMode, Spawner, Task, race};
use metadata::Image;
use rand_core::Rng;
use storage::dir::LogDir;
use storage::{LogIdentity, Reserve};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use types::{ClusterId, NextOffset, PartitionIndex, Uuid};

use crate::config::BrokerConfig;
use crate::connection::READ_BYTES;
use crate::context::Context;
use crate::controller_host::{ControllerError, ControllerHandle, ControllerHost, ControllerParts};
use crate::disk_watch;
use crate::listener::{self, PerAddress};
use crate::memory::Memory;
use crate::producer_ids::ProducerIds;
use crate::publish::Publisher;
use crate::quorum_state::QuorumStateFile;
use crate::registration;
use crate::rejections::{self, Rejections};
use crate::shard::{OPENS_MAX, Shard, ShardConfig, ShardMessage, Tally, open_or_create, say};
use crate::stopping::{Stop, stop};
use crate::view::View;

/// Requests and news that wait for a shard, at most.
const SHARD_QUEUE: usize = 1024;

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log directory.
    #[error(transparent)]
    Storage(#[from] storage::error::StorageError),
    /// The controller.
    #[error(transparent)]
    Controller(#[from] ControllerError),
    /// A listener.
    #[error("cannot listen on {host}:{port}: {source}")]
    Listen {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// What the network said.
        source: std::io::Error,
    },
    /// The controller could not go on.
    #[error("the controller: {0}")]
    Stopped(Arc<ControllerError>),
    /// The controller refused this broker.
    #[error("the controller refused this broker: {0}")]
    Registration(types::ErrorCode),
}

/// A node that serves.
pub struct Node<E: Env> {
    context: Arc<Context<E>>,
    stop: Stop,
    /// Listeners, and what counts for them.
    accepting: Vec<<E::Spawner as Spawner>::Task>,
    watching: <E::Spawner as Spawner>::Task,
    shards: Vec<<E::Spawner as Spawner>::Task>,
    controller: <E::Spawner as Spawner>::Task,
    controller_ended: watch::Receiver<Option<Result<(), Arc<ControllerError>>>>,
    cluster_id: ClusterId,
}

impl<E: Env> Node<E> {
    /// Starts a node on its log directory, which is formatted if it is empty.
    ///
    /// # Errors
    /// Anything that keeps it from serving. What had been started is stopped.
    pub async fn start(env: E, config: BrokerConfig) -> Result<Node<E>, StartError> {
        let began = env.clock().mono();
        let disk = env.disk().clone();
        let mut ids = env.entropy().stream("node", 0);
        let mut fresh_id = || {
            let mut bytes = [0; 16];
            ids.fill_bytes(&mut bytes);
            Uuid::from_random(bytes)
        };
        let incarnation = fresh_id();
        let dir = LogDir::open(
            &disk,
            config.log_dir.clone(),
            config.node_id,
            config.cluster_id,
            [fresh_id(), fresh_id()],
        )
        .await?;
        let cluster_id = dir.cluster_id();

        // Before anything else is written: on a full disk the others start in what it gives back.
        let reserve_bytes = config.limits.disk_reserve_bytes;
        let reserve = Reserve::open(disk.clone(), dir.path(), reserve_bytes).await;
        let ran_out = Arc::new(Notify::new());
        let (low, disk_low) = watch::channel(false);
        let watch_disk = disk_watch::run(env.clone(), reserve, ran_out.clone(), low);
        let watching = env.spawner().spawn("disk-watch", watch_disk);

        let image = Image::new(cluster_id);
        let configs = Arc::new(config.static_configs.clone());
        let view = View::new(
            Arc::new(image.clone()),
            NextOffset(0),
            config.node_id,
            &configs,
            None,
        );
        let broker_config = view.broker_config.clone();
        let (view_sender, view) = watch::channel(Arc::new(view));

        let shard_config = ShardConfig {
            log_dir: config.log_dir.clone(),
            cluster_id,
            me: config.node_id,
            open_mode: config.open_mode,
            segment_bytes_max: config.limits.segment_bytes_max,
            retention_check_ms: broker_config.log_retention_check_interval_ms,
            producer_id_expiration_ms: i64::from(broker_config.producer_id_expiration_ms),
            decompressed_bytes_max: config.limits.decompressed_bytes_max,
            group: Arc::new(registration::group_config(&broker_config)),
            ran_out: ran_out.clone(),
            opens: Arc::new(Semaphore::new(OPENS_MAX)),
        };
        let mut shard_queues = Vec::with_capacity(config.shards);
        let mut shards = Vec::with_capacity(config.shards);
        for _ in 0..config.shards.max(1) {
            let (queue, mailbox) = mpsc::channel::<ShardMessage<E::Disk>>(SHARD_QUEUE);
            let shard = Shard::new(env.clone(), shard_config.clone(), mailbox);
            shards.push(env.spawner().spawn("shard", shard.run()));
            shard_queues.push(queue);
        }

        let (handle, requests) = ControllerHandle::new();
        let identity = LogIdentity {
            cluster_id: Some(cluster_id.digest()),
            topic_id: Uuid::METADATA_TOPIC,
            topic: metadata::names::METADATA_TOPIC.to_string(),
            partition: PartitionIndex(0),
        };
        let metadata_dir = config.log_dir.join(identity.dir_name());
        let quorum_state = QuorumStateFile::new(disk.clone(), metadata_dir.join("quorum-state"));
        let settings = storage::LogConfig {
            mode: OpenMode::Buffered,
            retention_ms: -1,
            ..storage::LogConfig::default()
        };
        let wall = env.clock().wall();
        let (log, found) = open_or_create(&disk, metadata_dir, identity, settings, wall).await?;
        let tally = Tally::of_log(&found);
        let host = ControllerHost::new(ControllerParts {
            env: env.clone(),
            log_dir: config.log_dir.clone(),
            log_start: found.log_start,
            log_end: found.log_end,
            last_epoch: log.latest_epoch(),
            log,
            quorum_state,
            me: raft::ReplicaKey {
                id: config.node_id,
                directory_id: dir.directory_id(),
            },
            machine: registration::controller(cluster_id, config.node_id, &configs, &mut ids),
            image,
            publisher: Publisher {
                me: config.node_id,
                shards: shard_queues.clone(),
                view: view_sender,
            },
            requests,
            configs: configs.clone(),
            ran_out,
        })
        .await?;
        let (ended_sender, controller_ended) = watch::channel(None);
        let controller = env.spawner().spawn("controller", async move {
            let end = host.run().await.map_err(Arc::new);
            ended_sender.send_replace(Some(end));
        });

        // Ports are bound before the broker registers, because it registers with them.
        let mut listeners = Vec::new();
        let mut bound_ports = Vec::new();
        for listener in &config.listeners {
            let bound = env.network().listen(&listener.host, listener.port).await;
            let bound = bound.map_err(|source| StartError::Listen {
                host: listener.host.clone(),
                port: listener.port,
                source,
            })?;
            bound_ports.push(bound.local_addr().port());
            listeners.push(bound);
        }
        let broker_epoch = registration::register(
            env.clock(),
            &handle,
            &config,
            &bound_ports,
            incarnation,
            dir.directory_id(),
            cluster_id,
            controller_ended.clone(),
        )
        .await?;

        // Every log that the metadata name has been handed to its shard by now.
        let recovering = say(env.clock().clone(), began, tally, shard_queues.clone());
        let recovering = env.spawner().spawn("recovery", recovering);

        let (stop, stopping) = stop();
        let limits = config.limits.clone();
        let producer_ids = ProducerIds::new(handle.clone(), config.node_id, broker_epoch);
        let rejections = Arc::new(Rejections::new());
        let context = Arc::new(Context {
            env: env.clone(),
            config,
            view,
            shards: shard_queues,
            producer_ids,
            controller: handle,
            connection_slots: Arc::new(Semaphore::new(
                limits.connections_max.min(Semaphore::MAX_PERMITS),
            )),
            fetch_session_slots: Arc::new(Semaphore::new(limits.fetch_sessions_max)),
            request_memory: Memory::new(limits.queued_request_bytes_max, READ_BYTES),
            // What the machine has for requests it has once more for answers.
            answer_memory: Memory::new(limits.queued_request_bytes_max, READ_BYTES),
            rejections: rejections.clone(),
            disk_low,
            stopping,
            bound_ports,
            connection_ids: AtomicU64::new(1),
        });
        let per_address = PerAddress::default();
        let mut accepting: Vec<_> = listeners
            .into_iter()
            .enumerate()
            .map(|(index, listener)| {
                let accept =
                    listener::accept_loop(context.clone(), listener, index, per_address.clone());
                env.spawner().spawn("listener", accept)
            })
            .collect();
        let report = rejections::report(env.clone(), rejections);
        accepting.push(env.spawner().spawn("rejections", report));
        accepting.push(recovering);
        Ok(Node {
            context,
            stop,
            accepting,
            watching,
            shards,
            controller,
            controller_ended,
            cluster_id,
        })
    }

    /// The ports that the listeners are bound to, in the order of the configuration.
    #[must_use]
    pub fn ports(&self) -> &[u16] {
        &self.context.bound_ports
    }

    /// The cluster's id.
    #[must_use]
    pub fn cluster_id(&self) -> ClusterId {
        self.cluster_id
    }

    /// How many connections and requests were refused so far, by reason; reasons that never occurred are
    /// left out.
    #[must_use]
    pub fn rejections(&self) -> Vec<(&'static str, u64)> {
        self.context.rejections.totals()
    }

    /// Completes when the node cannot go on.
    pub async fn failed(&self) -> Arc<ControllerError> {
        let mut ended = self.controller_ended.clone();
        loop {
            if let Some(Err(error)) = &*ended.borrow_and_update() {
                return error.clone();
            }
            if ended.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Stops the node: nothing more is accepted, everything accepted is durable, and the next start
    /// needs to look for nothing. Gives up waiting after `patience_ms`.
    pub async fn stop(self, patience_ms: i64) {
        let Node {
            context,
            stop,
            accepting,
            watching,
            shards,
            controller,
            ..
        } = self;
        for task in accepting.into_iter().chain([watching]) {
            task.abort();
            task.ended().await;
        }
        stop.now();
        let clock = context.env.clock().clone();
        let deadline = clock.mono().after_ms(patience_ms);
        let mut closed = Vec::new();
        for shard in &context.shards {
            let (reply, done) = oneshot::channel();
            let _ = shard.send(ShardMessage::Stop(reply)).await;
            closed.push(done);
        }
        let all_closed = async {
            for done in closed {
                // A shard that dropped the channel has ended.
                let _ = done.await;
            }
        };
        race(all_closed, clock.sleep_until(deadline)).await;
        for task in shards {
            task.abort();
        }
        // The last handle on the controller's queue goes with the context: it closes its log and ends.
        drop(context);
        race(controller.ended(), clock.sleep_until(deadline)).await;
    }
}
