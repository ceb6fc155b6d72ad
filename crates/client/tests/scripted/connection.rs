//! A connection against brokers that behave, that are old, that are slow, and that are none.

use std::time::Duration;

use env::{Clock, Connection as _, Env, Listener, Network, Spawner};
use env_tokio::{Runtime, RuntimeOptions, TokioEnv, Workers};
use ottla_client::{ClientOptions, Connection, Error, Outcome};
use protocol::api_versions_response::ApiVersion;
use protocol::{
    ApiKey, ApiVersionsResponse, HeartbeatRequest, HeartbeatResponse, ListGroupsRequest, Message,
};
use tokio::io::AsyncWriteExt;
use types::ErrorCode;

use crate::broker::{answer, request};

type World = TokioEnv;
type Socket = <<World as Env>::Network as Network>::Connection;
type Input = <Socket as env::Connection>::Reader;
type Output = <Socket as env::Connection>::Writer;

/// Runs `broker` for the first connection to an address, and `client` with that address.
fn with_broker<B, C>(
    broker: impl FnOnce(Input, Output) -> B + Send + 'static,
    client: impl FnOnce(World, u16) -> C,
) where
    B: Future<Output = ()> + Send + 'static,
    C: Future<Output = ()>,
{
    let runtime = Runtime::new(&RuntimeOptions {
        workers: Workers::Caller,
        ..RuntimeOptions::default()
    })
    .unwrap();
    let env = runtime.env().clone();
    runtime.block_on(async move {
        let mut listener = env.network().listen("127.0.0.1", 0).await.unwrap();
        let port = listener.local_addr().port();
        env.spawner().spawn("broker", async move {
            let (input, output) = listener.accept().await.unwrap().split();
            broker(input, output).await;
        });
        client(env, port).await;
    });
}

fn versions() -> ApiVersionsResponse {
    let api = |(key, min_version, max_version): (ApiKey, i16, i16)| ApiVersion {
        api_key: key.0,
        min_version,
        max_version,
    };
    let apis = [
        (ApiKey::API_VERSIONS, 0, 2),
        (ApiKey::HEARTBEAT, 0, 4),
        (ApiKey::LIST_GROUPS, 6, 9),
    ];
    ApiVersionsResponse {
        api_keys: apis.map(api).to_vec(),
        ..ApiVersionsResponse::default()
    }
}

/// Agrees on versions as a broker does that knows ApiVersions up to 2.
async fn greet(input: &mut Input, output: &mut Output) {
    let (mut header, _) = request(input).await.unwrap();
    assert_eq!(
        (header.api_key, header.api_version),
        (ApiKey::API_VERSIONS, 4)
    );
    header.api_version = 0;
    let refusal = ApiVersionsResponse {
        error_code: ErrorCode::UNSUPPORTED_VERSION.0,
        ..versions()
    };
    answer(output, &header, &refusal).await;
    let (header, _) = request(input).await.unwrap();
    assert_eq!(
        (header.api_key, header.api_version),
        (ApiKey::API_VERSIONS, 2)
    );
    answer(output, &header, &versions()).await;
}

async fn connect(env: &World, port: u16) -> Result<Connection<World>, Error> {
    let options = ClientOptions::new("unused:1").unwrap();
    let options = options.timeout(Duration::from_millis(500));
    let deadline = env.clock().mono().after_ms(5000);
    Connection::connect(env, &options, "127.0.0.1", port, deadline).await
}

fn heartbeat(generation_id: i32) -> HeartbeatRequest {
    HeartbeatRequest {
        generation_id,
        ..HeartbeatRequest::default()
    }
}

#[test]
fn requests_are_pipelined_and_answers_find_their_question() {
    with_broker(
        |mut input, mut output| async move {
            greet(&mut input, &mut output).await;
            // Nothing is answered before all has come.
            let mut headers = Vec::new();
            for _ in 0..20 {
                let (header, mut reader) = request(&mut input).await.unwrap();
                assert_eq!(header.client_id.as_deref(), Some("ottla"));
                let body = HeartbeatRequest::decode(&mut reader, header.api_version).unwrap();
                headers.push((header, body));
            }
            for (header, body) in headers {
                let echo = HeartbeatResponse {
                    throttle_time_ms: body.generation_id,
                    error_code: 0,
                };
                answer(&mut output, &header, &echo).await;
            }
        },
        async |env, port| {
            let connection = connect(&env, port).await.unwrap();
            assert_eq!(connection.versions().range(ApiKey::HEARTBEAT), Some((0, 4)));
            let deadline = env.clock().mono().after_ms(5000);
            let mut pending = Vec::new();
            for i in 0..20 {
                let version = connection.version::<HeartbeatRequest>(0, i16::MAX).unwrap();
                assert_eq!(version, 4);
                let sent = connection.send(&heartbeat(i), version).unwrap();
                // Some callers stop waiting; the others get their own answers all the same.
                if i % 3 != 0 {
                    pending.push((i, sent));
                }
            }
            for (i, pending) in pending {
                assert_eq!(pending.answer(deadline).await.unwrap().throttle_time_ms, i);
            }
            // The broker has more recent versions of this API, and none that this side has.
            let error = connection
                .version::<ListGroupsRequest>(0, i16::MAX)
                .unwrap_err();
            assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
        },
    );
}

#[test]
fn a_request_that_is_not_answered_ends_the_connection() {
    with_broker(
        |mut input, mut output| async move {
            greet(&mut input, &mut output).await;
            while request(&mut input).await.is_some() {}
        },
        async |env, port| {
            let connection = connect(&env, port).await.unwrap();
            let soon = env.clock().mono().after_ms(50);
            let late = env.clock().mono().after_ms(5000);
            let first = connection.send(&heartbeat(1), 4).unwrap();
            let second = connection.send(&heartbeat(2), 4).unwrap();
            let error = first.answer(soon).await.unwrap_err();
            assert!(
                matches!(error, Error::Timeout { sent: true, .. }),
                "{error:?}"
            );
            let error = second.answer(late).await.unwrap_err();
            assert!(
                matches!(error, Error::Closed { sent: true, .. }),
                "{error:?}"
            );
            assert_eq!(error.outcome(), Outcome::Unknown);
            assert!(connection.is_closed());
            let error = connection.send(&heartbeat(3), 4).unwrap_err();
            assert!(
                matches!(error, Error::Closed { sent: false, .. }),
                "{error:?}"
            );
            assert_eq!(error.outcome(), Outcome::NotDone);
        },
    );
}

#[test]
fn a_broker_that_goes_away_leaves_nobody_waiting() {
    with_broker(
        |mut input, mut output| async move {
            greet(&mut input, &mut output).await;
            let (header, _) = request(&mut input).await.unwrap();
            answer(&mut output, &header, &HeartbeatResponse::default()).await;
            request(&mut input).await.unwrap();
        },
        async |env, port| {
            let connection = connect(&env, port).await.unwrap();
            let deadline = env.clock().mono().after_ms(5000);
            connection.call(|_| heartbeat(1), deadline).await.unwrap();
            let error = connection
                .call(|_| heartbeat(2), deadline)
                .await
                .unwrap_err();
            assert!(
                error.is_connection() && error.outcome() == Outcome::Unknown,
                "{error:?}"
            );
            assert!(!matches!(error, Error::Timeout { .. }), "{error:?}");
        },
    );
}

#[test]
fn an_answer_to_another_question_is_not_believed() {
    with_broker(
        |mut input, mut output| async move {
            greet(&mut input, &mut output).await;
            let (mut header, _) = request(&mut input).await.unwrap();
            header.correlation_id += 1;
            answer(&mut output, &header, &HeartbeatResponse::default()).await;
            while request(&mut input).await.is_some() {}
        },
        async |env, port| {
            let connection = connect(&env, port).await.unwrap();
            let deadline = env.clock().mono().after_ms(5000);
            let error = connection
                .call(|_| heartbeat(1), deadline)
                .await
                .unwrap_err();
            assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
            assert_eq!(error.outcome(), Outcome::Unknown);
        },
    );
}

#[test]
fn what_is_no_broker_is_found_out() {
    with_broker(
        |mut input, mut output| async move {
            request(&mut input).await.unwrap();
            output
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .unwrap();
        },
        async |env, port| {
            let error = connect(&env, port).await.unwrap_err();
            assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
        },
    );
    // One that accepts and says nothing.
    with_broker(
        |mut input, output| async move {
            while request(&mut input).await.is_some() {}
            drop(output);
        },
        async |env, port| {
            let error = connect(&env, port).await.unwrap_err();
            assert!(
                matches!(error, Error::Timeout { sent: false, .. }),
                "{error:?}"
            );
        },
    );
}
