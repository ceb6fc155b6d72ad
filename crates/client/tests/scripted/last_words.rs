//! What is said of an operation whose time ran out: the last thing that tells why.

use std::collections::BTreeMap;

use env::Connection;
use ottla_client::{Cluster, Error, FoundOffset, Isolation, OffsetSpec, TopicPartition, Topics};
use protocol::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use protocol::{ApiKey, ListOffsetsResponse, Str};
use types::ErrorCode;
use world::SimEnv;
use world::network::SimConnection;

use crate::broker::{answer, metadata, request, versions, with_broker};

const APIS: [(ApiKey, i16); 3] = [
    (ApiKey::API_VERSIONS, 4),
    (ApiKey::METADATA, 9),
    (ApiKey::LIST_OFFSETS, 5),
];

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
            ApiKey::API_VERSIONS => answer(&mut output, &header, &versions(&APIS)).await,
            ApiKey::METADATA => {
                let later = silent == Silent::MetadataLater && asked_for_offsets;
                if silent != Silent::Metadata && !later {
                    answer(&mut output, &header, &metadata("orders", 1)).await;
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
fn with_cluster<F, T>(silent: Silent, ask: impl FnOnce(Cluster<SimEnv>) -> F) -> T
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    with_broker(
        move |socket| broken_broker(socket, silent),
        |env, options| ask(Cluster::new(&env, options)),
    )
}

/// What is told of the only partition when its end is asked for, for one minute.
fn told_of_the_end(silent: Silent) -> Error {
    with_cluster(silent, async |mut cluster| {
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
    let error = with_cluster(Silent::Metadata, async |mut cluster| {
        let deadline = cluster.now().after_ms(50);
        cluster.refresh_until(Topics::All, deadline).await
    });
    assert!(is_nothing_done(&error.clone().unwrap_err()), "{error:?}");
}
