//! What a broker does on its end of a connection, and a world with one broker in it.

use bytes::Bytes;
use env::{Env, Listener, Network, Spawner};
use ottla_client::ClientOptions;
use protocol::api_versions_response::ApiVersion;
use protocol::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use protocol::{
    ApiKey, ApiVersionsResponse, Message, MetadataResponse, Reader, RequestHeader, Str,
    decode_request_header, encode_response, response_header_version,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use world::network::SimConnection;
use world::{Profile, SimEnv, World};

const PORT: u16 = 9092;

/// What `client` gets in a world whose only broker, number 1, does `serve` with each connection.
pub fn with_broker<B, F, T>(
    serve: impl Fn(SimConnection) -> B + Clone + Send + Sync + 'static,
    client: impl FnOnce(SimEnv, ClientOptions) -> F,
) -> T
where
    B: Future<Output = ()> + Send + 'static,
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let mut world = World::new(1, Profile::calm());
    world.start_node("broker", move |env| {
        let serve = serve.clone();
        async move {
            let mut listener = env.network().listen("0.0.0.0", PORT).await.unwrap();
            loop {
                let socket = listener.accept().await.unwrap();
                env.spawner().spawn("connection", serve(socket));
            }
        }
    });
    let node = world.start_node("client", |_| std::future::pending());
    let options = ClientOptions::new(&format!("broker:{PORT}")).unwrap();
    let client = client(world.env(node), options);
    world.block_on(node, client).unwrap()
}

/// The next request; `None` when the client has closed.
pub async fn request(input: &mut (impl AsyncRead + Unpin)) -> Option<(RequestHeader, Reader)> {
    let mut size = [0u8; 4];
    input.read_exact(&mut size).await.ok()?;
    let mut frame = vec![0u8; u32::from_be_bytes(size) as usize];
    input.read_exact(&mut frame).await.ok()?;
    let mut reader = Reader::new(Bytes::from(frame));
    let header = decode_request_header(&mut reader).unwrap();
    Some((header, reader))
}

/// Answers a request.
pub async fn answer<M: Message>(
    output: &mut (impl AsyncWrite + Unpin),
    header: &RequestHeader,
    message: &M,
) {
    let header_version = response_header_version(header.api_key, header.api_version);
    let id = header.correlation_id;
    let frames = encode_response(id, header_version, message, header.api_version).unwrap();
    for frame in frames {
        output.write_all(&frame).await.unwrap();
    }
}

/// APIs, each up to a version.
pub fn versions(apis: &[(ApiKey, i16)]) -> ApiVersionsResponse {
    let api = |(key, max_version): &(ApiKey, i16)| ApiVersion {
        api_key: key.0,
        min_version: 1,
        max_version: *max_version,
    };
    ApiVersionsResponse {
        api_keys: apis.iter().map(api).collect(),
        ..ApiVersionsResponse::default()
    }
}

/// A topic whose partitions the broker leads.
pub fn metadata(topic: &str, partitions: i32) -> MetadataResponse {
    let partition = |partition_index| MetadataResponsePartition {
        partition_index,
        leader_id: 1,
        ..MetadataResponsePartition::default()
    };
    MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: 1,
            host: Str::from("broker"),
            port: PORT.into(),
            rack: None,
        }],
        topics: vec![MetadataResponseTopic {
            name: Some(Str::from(topic)),
            partitions: (0..partitions).map(partition).collect(),
            ..MetadataResponseTopic::default()
        }],
        ..MetadataResponse::default()
    }
}
