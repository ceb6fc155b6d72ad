//! What must hold of connections.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{Clock, Connection, Either, Env, Listener, Network, Spawner, Task, race};

/// All of them.
pub async fn all<E: Env>(env: &E) {
    bytes_come_in_order(env).await;
    both_ways_at_once(env).await;
    dropping_the_writer_half_closes(env).await;
    shutdown_half_closes(env).await;
    a_closed_connection_fails_the_peer(env).await;
    nobody_listens(env).await;
    an_unknown_host(env).await;
    a_port_is_taken_once(env).await;
    a_slow_reader_holds_up_the_writer(env).await;
    many_connections(env).await;
    vectored_writes(env).await;
    addresses_agree(env).await;
}

type Conn<E> = <<E as Env>::Network as Network>::Connection;

const LOCAL: &str = "127.0.0.1";

/// The two ends of a new connection.
async fn pair<E: Env>(env: &E) -> (Conn<E>, Conn<E>) {
    let mut listener = env.network().listen(LOCAL, 0).await.expect("a free port");
    let port = listener.local_addr().port();
    let client = env
        .network()
        .connect(LOCAL, port)
        .await
        .expect("somebody listens");
    let server = listener.accept().await.expect("a connection");
    (client, server)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}

/// Bytes come as they were sent, however they are cut.
pub async fn bytes_come_in_order<E: Env>(env: &E) {
    let (client, server) = pair(env).await;
    let sent = pattern(300_000);
    let expected = sent.clone();
    let task = env.spawner().spawn("writer", async move {
        let (_reader, mut writer) = client.split();
        let (mut at, mut len) = (0, 1);
        while at < sent.len() {
            let end = sent.len().min(at + len);
            writer.write_all(&sent[at..end]).await.expect("a write");
            (at, len) = (end, len * 3 % 65_521);
        }
        writer.flush().await.expect("a flush");
    });
    let (mut reader, _writer) = server.split();
    let mut got = Vec::new();
    reader.read_to_end(&mut got).await.expect("a read");
    assert!(got == expected, "{} bytes of {}", got.len(), expected.len());
    task.ended().await;
}

/// The directions do not disturb each other.
pub async fn both_ways_at_once<E: Env>(env: &E) {
    let (client, server) = pair(env).await;
    let echo = env.spawner().spawn("echo", async move {
        let (mut reader, mut writer) = server.split();
        let mut buffer = vec![0; 4096];
        loop {
            let len = reader.read(&mut buffer).await.expect("a read");
            if len == 0 {
                return;
            }
            writer.write_all(&buffer[..len]).await.expect("a write");
        }
    });
    let sent = pattern(200_000);
    let expected = sent.clone();
    let (mut reader, mut writer) = client.split();
    let send = env.spawner().spawn("send", async move {
        writer.write_all(&sent).await.expect("a write");
    });
    let mut got = Vec::new();
    reader.read_to_end(&mut got).await.expect("a read");
    assert!(got == expected, "{} bytes of {}", got.len(), expected.len());
    send.ended().await;
    echo.ended().await;
}

/// After its writer is gone, an end still hears the other.
pub async fn dropping_the_writer_half_closes<E: Env>(env: &E) {
    let (client, server) = pair(env).await;
    let (mut client_reader, mut client_writer) = client.split();
    let (mut server_reader, mut server_writer) = server.split();
    client_writer
        .write_all(b"last words")
        .await
        .expect("a write");
    drop(client_writer);
    let mut got = Vec::new();
    server_reader.read_to_end(&mut got).await.expect("a read");
    assert_eq!(got, b"last words");
    assert_eq!(
        server_reader
            .read(&mut [0; 8])
            .await
            .expect("the end stays the end"),
        0
    );
    server_writer
        .write_all(b"heard")
        .await
        .expect("the other direction is open");
    drop(server_writer);
    got.clear();
    client_reader.read_to_end(&mut got).await.expect("a read");
    assert_eq!(got, b"heard");
}

/// `shutdown` says the same without dropping.
pub async fn shutdown_half_closes<E: Env>(env: &E) {
    let (client, server) = pair(env).await;
    let (_client_reader, mut client_writer) = client.split();
    let (mut server_reader, _server_writer) = server.split();
    client_writer.write_all(b"x").await.expect("a write");
    client_writer.shutdown().await.expect("a shutdown");
    let mut got = Vec::new();
    server_reader.read_to_end(&mut got).await.expect("a read");
    assert_eq!(got, b"x");
    client_writer
        .write_all(b"more")
        .await
        .expect_err("nothing can be sent after the end");
}

/// Who writes to an end that is gone learns of it.
pub async fn a_closed_connection_fails_the_peer<E: Env>(env: &E) {
    let (client, server) = pair(env).await;
    drop(server);
    let (mut reader, mut writer) = client.split();
    let chunk = pattern(10_000);
    let limit = env.clock().mono().after(Duration::from_secs(60));
    let fails = async {
        while writer.write_all(&chunk).await.is_ok() {
            let soon = env.clock().mono().after(Duration::from_millis(1));
            env.clock().sleep_until(soon).await;
        }
    };
    match race(fails, env.clock().sleep_until(limit)).await {
        Either::First(()) => {}
        Either::Second(()) => panic!("the writer was never told"),
    }
    // Reading ends too: with the end of the stream or with an error.
    let mut got = Vec::new();
    let _ = reader.read_to_end(&mut got).await;
    assert!(got.is_empty());
}

/// Where nobody listens, connections are refused.
pub async fn nobody_listens<E: Env>(env: &E) {
    let listener = env.network().listen(LOCAL, 0).await.expect("a free port");
    let port = listener.local_addr().port();
    drop(listener);
    let refused = env.network().connect(LOCAL, port).await;
    let error = refused.err().expect("nobody listens");
    assert_eq!(
        error.kind(),
        std::io::ErrorKind::ConnectionRefused,
        "{error}"
    );
}

/// A name that stands for nothing is an error.
pub async fn an_unknown_host<E: Env>(env: &E) {
    let refused = env.network().connect("no-such-host.invalid", 9092).await;
    assert!(refused.is_err());
}

/// A port has one listener, and is free when that is dropped.
pub async fn a_port_is_taken_once<E: Env>(env: &E) {
    let first = env.network().listen(LOCAL, 0).await.expect("a free port");
    let port = first.local_addr().port();
    assert_ne!(port, 0);
    let second = env.network().listen(LOCAL, port).await;
    let error = second.err().expect("the port is taken");
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse, "{error}");
    drop(first);
    env.network()
        .listen(LOCAL, port)
        .await
        .expect("the port is free again");
}

/// A writer whose reader does not read waits in the end.
pub async fn a_slow_reader_holds_up_the_writer<E: Env>(env: &E) {
    let (client, server) = pair(env).await;
    let (_client_reader, mut client_writer) = client.split();
    let (mut server_reader, _server_writer) = server.split();
    let chunk = vec![7; 1 << 20];
    let mut sent = 0u64;
    let flood = async {
        // 256 MiB: more than anybody's buffers.
        for _ in 0..256 {
            let mut at = 0;
            while at < chunk.len() {
                let len = client_writer.write(&chunk[at..]).await.expect("a write");
                at += len;
                sent += len as u64;
            }
        }
    };
    let patience = env.clock().mono().after(Duration::from_millis(500));
    match race(flood, env.clock().sleep_until(patience)).await {
        Either::First(()) => panic!("the writer was never held up"),
        Either::Second(()) => {}
    }
    // What was accepted arrives.
    drop(client_writer);
    let (mut got, mut buffer) = (0, vec![0; 1 << 16]);
    loop {
        let len = server_reader.read(&mut buffer).await.expect("a read");
        if len == 0 {
            break;
        }
        got += len as u64;
    }
    assert_eq!(got, sent);
}

/// Connections to one listener are told apart.
pub async fn many_connections<E: Env>(env: &E) {
    let mut listener = env.network().listen(LOCAL, 0).await.expect("a free port");
    let port = listener.local_addr().port();
    let mut tasks = Vec::new();
    for number in 0..32u8 {
        let client = env.clone();
        tasks.push(env.spawner().spawn("client", async move {
            let connection = client
                .network()
                .connect(LOCAL, port)
                .await
                .expect("somebody listens");
            let (mut reader, mut writer) = connection.split();
            writer.write_all(&[number]).await.expect("a write");
            let mut answer = [0];
            reader.read_exact(&mut answer).await.expect("a read");
            assert_eq!(answer[0], number ^ 0xff);
        }));
    }
    for _ in 0..32 {
        let connection = listener.accept().await.expect("a connection");
        tasks.push(env.spawner().spawn("server", async move {
            let (mut reader, mut writer) = connection.split();
            let mut number = [0];
            reader.read_exact(&mut number).await.expect("a read");
            writer
                .write_all(&[number[0] ^ 0xff])
                .await
                .expect("a write");
        }));
    }
    for task in tasks {
        task.ended().await;
    }
}

/// A vectored write sends its parts in order.
pub async fn vectored_writes<E: Env>(env: &E) {
    let (client, server) = pair(env).await;
    let (_client_reader, mut client_writer) = client.split();
    let (mut server_reader, _server_writer) = server.split();
    let parts = [pattern(3), pattern(0), pattern(5000), pattern(17)];
    let expected = parts.concat();
    let mut at = 0;
    while at < expected.len() {
        let mut skip = at;
        let rest: Vec<std::io::IoSlice<'_>> = parts
            .iter()
            .filter_map(|part| {
                let from = skip.min(part.len());
                skip -= from;
                (from < part.len()).then(|| std::io::IoSlice::new(&part[from..]))
            })
            .collect();
        let len = client_writer.write_vectored(&rest).await.expect("a write");
        assert!(len > 0);
        at += len;
    }
    drop(client_writer);
    let mut got = Vec::new();
    server_reader.read_to_end(&mut got).await.expect("a read");
    assert_eq!(got, expected);
}

/// Each end's own address is the other's peer.
pub async fn addresses_agree<E: Env>(env: &E) {
    let (client, server) = pair(env).await;
    assert_eq!(client.peer_addr(), server.local_addr());
    assert_eq!(server.peer_addr(), client.local_addr());
}
