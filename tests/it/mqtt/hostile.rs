//! Those who come to do harm: each costs itself its connection, and others are
//! served meanwhile.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::Value as Json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use super::gateway::{Gateway, Setup};
use super::raw::{Client, Connect, Version};
use super::target::{Stream, Target};
use crate::process::DEADLINE;

/// Beside any harm, a neighbour is in within this. An honest handshake takes
/// milliseconds; the machine may be busy.
const SERVED_WITHIN: Duration = Duration::from_secs(20);

fn limits(lines: &str) -> Setup {
    Setup {
        broker: lines.to_owned(),
        ..Setup::default()
    }
}

/// A device comes, is answered and goes.
async fn is_served(target: &Target, client_id: &str) {
    let served = async {
        let connect = Connect::new(Version::V5, client_id);
        let mut client = Client::connect(target, &connect).await;
        client.ping().await;
        client.disconnect().await;
    };
    timeout(SERVED_WITHIN, served)
        .await
        .expect("neighbours are served");
}

/// Waits until the other side has closed.
async fn closed(stream: &mut (impl Stream + ?Sized)) {
    let mut bytes = [0; 256];
    let closed = async { while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {} };
    timeout(DEADLINE, closed).await.expect("it is cut off");
}

/// Sends `bytes` one by one and slowly, until the other side closes; how long that
/// took.
async fn drip(stream: &mut (impl Stream + ?Sized), bytes: &[u8]) -> Duration {
    let begun = Instant::now();
    for byte in bytes.iter().cycle() {
        let mut answer = [0; 64];
        let written = stream.write_all(&[*byte]).await.is_ok() && stream.flush().await.is_ok();
        let read = timeout(Duration::from_millis(50), stream.read(&mut answer)).await;
        let ended = matches!(read, Ok(Ok(0) | Err(_)));
        if !written || ended {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < DEADLINE, "it may go on for ever");
    }
    unreachable!("the bytes never end")
}

/// The first message of a TLS client.
fn client_hello(gateway: &Gateway) -> Vec<u8> {
    use tokio_rustls::rustls::ClientConnection;

    let config = gateway.target("anyone").tls.unwrap();
    let name = gateway.address.ip().into();
    let mut hello = Vec::new();
    let mut session = ClientConnection::new(config, name).unwrap();
    session.write_tls(&mut hello).unwrap();
    hello
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_slowly_is_cut_off_in_tls_and_in_mqtt() {
    let setup = limits("limits.connect_ms_max = 2000");
    let mut gateway = Gateway::start_with(setup, &["pump"]).await;
    let pump = gateway.target("pump");
    let hello = client_hello(&gateway);

    let mut silent_in_mqtt = pump.dial().await;
    let mut silent = TcpStream::connect(gateway.address).await.unwrap();
    // Last, since their time begins here.
    let mut in_mqtt = pump.dial().await;
    let mut in_tls = TcpStream::connect(gateway.address).await.unwrap();
    // A CONNECT of a thousand bytes.
    let connect = [
        0x10, 0xE8, 0x07, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 60, 0,
    ];
    let least = Duration::from_millis(1000);
    let (tls, mqtt, (), (), ()) = tokio::join!(
        drip(&mut in_tls, &hello[..hello.len() - 1]),
        drip(&mut *in_mqtt, &connect),
        closed(&mut silent),
        closed(&mut *silent_in_mqtt),
        is_served(&pump, "pump"),
    );
    assert!(tls > least && mqtt > least, "{tls:?} {mqtt:?}");
    gateway.refused("handshake-too-slow").await;
    is_served(&pump, "pump").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_half_open_connections_keep_nobody_out() {
    // Fewer places than there are connections: each newcomer needs one.
    let setup = limits("limits.connections_max = 200\nlimits.connections_per_address_max = 150");
    let gateway = Gateway::start_with(setup, &["pump"]).await;
    let pump = gateway.target("pump");
    let mut before = Client::connect(&pump, &Connect::new(Version::V5, "pump-0")).await;
    let hello = client_hello(&gateway);
    let mut open = Vec::new();
    for index in 0..1_000 {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let begun = match index % 3 {
            0 => &[][..],
            1 => &hello[..hello.len() / 2],
            _ => &hello,
        };
        // It may have been cut off already.
        drop(stream.write_all(begun).await);
        open.push(stream);
    }
    is_served(&pump, "pump").await;
    before.ping().await;
    // The first made room.
    closed(&mut open[0]).await;
    drop(open);
    is_served(&pump, "pump").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_stall_hold_up_no_others() {
    let setup = limits("limits.handshakes_max = 2\nlimits.connect_ms_max = 60000");
    let gateway = Gateway::start_with(setup, &["pump"]).await;
    let pump = gateway.target("pump");
    let hello = client_hello(&gateway);
    let mut stalled = Vec::new();
    for _ in 0..10 {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(&hello).await.unwrap();
        stalled.push(stream);
    }
    is_served(&pump, "pump").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_from_one_address_crowds_out_only_itself() {
    let setup = limits(
        "limits.connections_per_address_max = 20\nquota.connections_max = 100\nquota.sessions_max = 100",
    );
    let mut gateway = Gateway::start_with(setup, &["pump", "flood"]).await;
    let pump = gateway.target("pump");
    // Loopback is a whole network; this one is the flood's.
    let from: IpAddr = [127, 0, 0, 2].into();
    let config = gateway.target("flood").tls.unwrap();
    let mut inside = Vec::new();
    for index in 0..20 {
        let stream = secured(from, gateway.address, &config).await.unwrap();
        inside.push(let_in(stream, &format!("flood-{index}")).await);
    }
    for _ in 0..20 {
        // TLS may not even begin.
        let refused = match secured(from, gateway.address, &config).await {
            Ok(mut stream) => stream.read_u8().await.is_err(),
            Err(_) => true,
        };
        assert!(refused);
    }
    gateway.refused("too-many-connections-from-address").await;
    is_served(&pump, "pump").await;
    drop(inside);
}

type Secured = tokio_rustls::client::TlsStream<TcpStream>;

async fn secured(
    from: IpAddr,
    to: SocketAddr,
    config: &std::sync::Arc<tokio_rustls::rustls::ClientConfig>,
) -> std::io::Result<Secured> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let tcp = socket.connect(to).await?;
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::clone(config));
    connector.connect(to.ip().into(), tcp).await
}

/// The same, once its CONNECT was accepted.
async fn let_in(mut stream: Secured, client_id: &str) -> Secured {
    let connect = Connect::new(Version::V4, client_id).bytes();
    stream.write_all(&connect).await.unwrap();
    let mut answer = [0; 4];
    let read = timeout(DEADLINE, stream.read_exact(&mut answer)).await;
    read.unwrap().unwrap();
    assert_eq!(answer, [0x20, 2, 0, 0]);
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_file_descriptors_serves_again_when_there_are_some() {
    let setup = Setup {
        open_files_max: Some(128),
        ..Setup::default()
    };
    let mut gateway = Gateway::start_with(setup, &["pump"]).await;
    let pump = gateway.target("pump");
    let mut flood = Vec::new();
    for _ in 0..200 {
        flood.push(TcpStream::connect(gateway.address).await.unwrap());
    }
    let complaint = |line: &Json| line["message"] == "connection not accepted";
    gateway.logged(1, complaint).await;
    drop(flood);
    is_served(&pump, "pump").await;
    // It does not complain of each attempt.
    assert!(
        gateway
            .lines()
            .iter()
            .filter(|line| complaint(line))
            .count()
            < 5
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_has_only_so_many_connections() {
    let setup = limits("quota.connections_max = 2");
    let mut gateway = Gateway::start_with(setup, &["pump", "valve"]).await;
    let pump = gateway.target("pump");
    let connect = |id: &str| Connect::new(Version::V5, id);
    let first = Client::connect(&pump, &connect("pump-1")).await;
    let _second = Client::connect(&pump, &connect("pump-2")).await;
    let refused = Client::try_connect(&pump, &connect("pump-3")).await;
    // Quota exceeded.
    assert_eq!(refused.err(), Some(Some(0x97)));
    gateway.refused("too-many-connections-of-device").await;
    is_served(&gateway.target("valve"), "valve").await;
    first.disconnect().await;
    let begun = Instant::now();
    while Client::try_connect(&pump, &connect("pump-3"))
        .await
        .is_err()
    {
        assert!(begun.elapsed() < DEADLINE);
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_tls_ends_the_connection() {
    let mut gateway = Gateway::start(&["pump"]).await;
    let pump = gateway.target("pump");
    let connect = Connect::new(Version::V5, "pump").bytes();
    let noise: Vec<u8> = (0..4096_u32)
        .map(|index| (index * 7919 % 251) as u8)
        .collect();
    let texts: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        &connect,
        &noise,
    ];
    for text in texts {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(text).await.unwrap();
        closed(&mut stream).await;
    }
    gateway
        .logged(4, |line| line["code"] == "tls-malformed")
        .await;
    is_served(&pump, "pump").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_or_too_early_before_connect_ends_the_connection() {
    let gateway = Gateway::start(&["pump"]).await;
    let pump = gateway.target("pump");
    let starts: [&[u8]; 5] = [
        // A CONNECT, a PUBLISH and an AUTH that announce 256 MiB.
        &[0x10, 0xFF, 0xFF, 0xFF, 0x7F, 0, 4, b'M', b'Q', b'T', b'T'],
        &[0x30, 0xFF, 0xFF, 0xFF, 0x7F, 0, 1, b'a'],
        &[0xF0, 0xFF, 0xFF, 0xFF, 0x7F],
        // A length of five bytes.
        &[0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
        // A PINGREQ.
        &[0xC0, 0],
    ];
    for start in starts {
        let mut stream = pump.dial().await;
        stream.write_all(start).await.unwrap();
        stream.flush().await.unwrap();
        closed(&mut *stream).await;
    }
    is_served(&pump, "pump").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tls_everybody_on_loopback_is_one_device_and_no_other() {
    let setup = limits("plain = { listen = \"127.0.0.1:0\", device = \"local\" }");
    let mut gateway = Gateway::start_with(setup, &["local", "pump"]).await;
    let plain = Target::open(gateway.plain.unwrap());
    is_served(&plain, "local-1").await;
    let foreign = Connect::new(Version::V5, "pump");
    let refused = Client::try_connect(&plain, &foreign).await;
    assert_eq!(refused.err(), Some(Some(0x85)));
    gateway.device("local", "disabled = true\n");
    gateway
        .logged(1, |line| line["message"] == "devices read")
        .await;
    let begun = Instant::now();
    while Client::try_connect(&plain, &Connect::new(Version::V5, "local"))
        .await
        .is_ok()
    {
        assert!(begun.elapsed() < DEADLINE);
        sleep(Duration::from_millis(20)).await;
    }
}
