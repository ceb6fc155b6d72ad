//! What is said of an operation whose time ran out: the last thing that tells why.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::collections::BTreeMap;

use common::{answer, request};
use env::{Connection, Env, Listener, Network, Spawner};
use ottla_client::{
    ClientOptions, Cluster, Error, FoundOffset, Isolation, OffsetSpec, TopicPartition, Topics,
};
use protocol::api_versions_response::ApiVersion;
use protocol::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use protocol::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use protocol::{ApiKey, ApiVersionsResponse, ListOffsetsResponse, MetadataResponse, Str};
use types::ErrorCode;
use world::network::SimConnection;
use world::{Profile, SimEnv, World};

/// Where the broker listens.
const PORT: u16 = 9092;

/// Which requests a broker leaves without an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Silent {
    /// Those for metadata.
    Metadata,
    /// Those for metadata on a connection that an offset was asked for on.
    MetadataLater,
    /// Those for offsets on a connection, after the first.
    OffsetsLater,
}

/// The only broker of a cluster with one partition, whose disk is broken.
async fn broken_broker(socket: SimConnection, silent: Silent) {
    let (mut input, mut output) = socket.split();
    let mut asked_for_offsets = false;
    while let Some((header, _)) = request(&mut input).await {
        match header.api_key {
            ApiKey::API_VERSIONS => answer(&mut output, &header, &versions()).await,
            ApiKey::METADATA => {
                let later = silent == Silent::MetadataLater && asked_for_offsets;
                if silent != Silent::Metadata && !later {
                    answer(&mut output, &header, &metadata()).await;
                }
            }
            _ => {
                if !(silent == Silent::OffsetsLater && asked_for_offsets) {
                    answer(&mut output, &header, &disk_error()).await;
                }
                asked_for_offsets = true;
            }
        }
    }
}

fn versions() -> ApiVersionsResponse {
    let apis = [
        (ApiKey::API_VERSIONS, 4),
        (ApiKey::METADATA, 9),
        (ApiKey::LIST_OFFSETS, 5),
    ];
    let api = |(key, max_version): (ApiKey, i16)| ApiVersion {
        api_key: key.0,
        min_version: 1,
        max_version,
    };
    ApiVersionsResponse {
        api_keys: apis.map(api).to_vec(),
        ..ApiVersionsResponse::default()
    }
}

fn metadata() -> MetadataResponse {
    MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: 1,
            host: Str::from("broker"),
            port: PORT.into(),
            rack: None,
        }],
        topics: vec![MetadataResponseTopic {
            name: Some(Str::from("orders")),
            partitions: vec![MetadataResponsePartition {
                leader_id: 1,
                ..MetadataResponsePartition::default()
            }],
            ..MetadataResponseTopic::default()
        }],
        ..MetadataResponse::default()
    }
}

fn disk_error() -> ListOffsetsResponse {
    ListOffsetsResponse {
        topics: vec![ListOffsetsTopicResponse {
            name: Str::from("orders"),
            partitions: vec![ListOffsetsPartitionResponse {
                error_code: ErrorCode::KAFKA_STORAGE_ERROR.0,
                ..ListOffsetsPartitionResponse::default()
            }],
        }],
        ..ListOffsetsResponse::default()
    }
}

/// What `ask` gets from such a broker.
fn with_broker<F, T>(silent: Silent, ask: impl FnOnce(Cluster<SimEnv>) -> F) -> T
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let mut world = World::new(1, Profile::calm());
    world.start_node("broker", move |env| async move {
        let mut listener = env.network().listen("0.0.0.0", PORT).await.unwrap();
        loop {
            let socket = listener.accept().await.unwrap();
            env.spawner()
                .spawn("connection", broken_broker(socket, silent));
        }
    });
    let client = world.start_node("client", |_| std::future::pending());
    let options = ClientOptions::new(&format!("broker:{PORT}")).unwrap();
    let cluster = Cluster::new(&world.env(client), options);
    world.block_on(client, ask(cluster)).unwrap()
}

/// What is told of the only partition when its end is asked for, for one minute.
fn told_of_the_end(silent: Silent) -> Error {
    with_broker(silent, async |mut cluster| {
        let at = TopicPartition::new("orders", 0);
        let deadline = cluster.now().after_ms(60_000);
        let places = BTreeMap::from([(at.clone(), OffsetSpec::Latest)]);
        let isolation = Isolation::ReadUncommitted;
        let mut found = cluster.list_offsets(places, isolation, deadline).await;
        let result: Result<FoundOffset, Error> = found.remove(&at).unwrap();
        assert!(cluster.now() <= deadline);
        result.unwrap_err()
    })
}

#[test]
fn the_brokers_reason_outlives_a_last_try_that_had_no_time() {
    let storage = Error::server(ErrorCode::KAFKA_STORAGE_ERROR);
    // The try after it does not even learn who leads the partition.
    assert_eq!(told_of_the_end(Silent::MetadataLater), storage);
    // The try after it is not answered.
    assert_eq!(told_of_the_end(Silent::OffsetsLater), storage);
}

#[test]
fn a_cluster_that_says_nothing_is_not_one_without_the_topic() {
    let is_nothing_done = |e: &Error| matches!(e, Error::Timeout { sent: false, .. });
    let error = told_of_the_end(Silent::Metadata);
    assert!(is_nothing_done(&error), "{error:?}");
    // It was only asked for: nothing can have been done.
    let error = with_broker(Silent::Metadata, async |mut cluster| {
        let deadline = cluster.now().after_ms(50);
        cluster.refresh_until(Topics::All, deadline).await
    });
    assert!(is_nothing_done(&error.clone().unwrap_err()), "{error:?}");
}
