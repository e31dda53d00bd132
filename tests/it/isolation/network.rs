//! Guests that reach for what they are not granted.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use crate::support::{Host, Plugin};

/// Endpoints, as a deployment names them.
fn endpoints(texts: &[&str]) -> Vec<selvedge::spec::Endpoint> {
    texts
        .iter()
        .map(|text| (*text).to_owned().try_into().unwrap())
        .collect()
}

/// What the guest saw of each attempt.
async fn attempts(host: &Host, tcp: &[&str], udp: &[&str], attempts: &[&str]) -> Vec<String> {
    let mut seen = host.listen("seen/connects");
    let plugin = Plugin::guest("connects").grants(|grants| {
        grants.tcp = endpoints(tcp);
        grants.udp = endpoints(udp);
    });
    host.run(plugin.limits(|limits| limits.call_ms_max = 15_000.try_into().unwrap()))
        .await
        .unwrap();
    let mut answers = Vec::new();
    for attempt in attempts {
        host.publish("offence/go", *attempt).await;
        let answer = seen.next().await;
        answers.push(
            answer
                .strip_prefix(&format!("{attempt}: "))
                .unwrap()
                .to_owned(),
        );
    }
    host.neighbour_answers().await;
    answers
}

/// Answers every connection with a word, from a thread of its own.
fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.read_exact(&mut [0]).unwrap();
            stream.write_all(b"hello").unwrap();
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_granted_endpoints_are_reached() {
    let (granted, other) = (server(), server());
    let host = Host::start().await;
    let grant = format!("127.0.0.1:{granted}");
    let tried = [
        format!("connect 127.0.0.1:{granted}"),
        format!("connect 127.0.0.1:{other}"),
        format!("connect localhost:{granted}"),
        format!("connect 127.0.0.2:{granted}"),
        "connect 169.254.169.254:80".to_owned(),
        "connect [fd00:ec2::254]:80".to_owned(),
    ];
    let tried: Vec<&str> = tried.iter().map(String::as_str).collect();
    let answers = attempts(&host, &[&grant], &[], &tried).await;
    assert_eq!(answers[0], "hello");
    assert_eq!(answers[1..], ["PermissionDenied"; 5]);
}

/// Whoever owns a name must not lead a plugin to the gateway or to the
/// credentials beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_granted_name_does_not_lead_to_metadata_or_the_gateway() {
    let open = server();
    let mut host = Host::start().await;
    for (name, address) in [
        ("metadata.example", "169.254.169.254"),
        ("mapped.example", "::ffff:169.254.169.254"),
        ("six.example", "fd00:ec2::254"),
        ("translated.example", "64:ff9b::a9fe:a9fe"),
        ("gateway.example", "127.0.0.1"),
    ] {
        host.hosts.insert(name.to_owned(), address.parse().unwrap());
    }
    let gateway = format!("gateway.example:{open}");
    let granted = [
        "metadata.example:80",
        "mapped.example:80",
        "six.example:80",
        "translated.example:80",
        &gateway,
    ];
    let tried = granted.map(|endpoint| format!("connect {endpoint}"));
    let mut tried: Vec<&str> = tried.iter().map(String::as_str).collect();
    // Nor is the address itself granted by its name.
    tried.push("connect 169.254.169.254:80");
    let answers = attempts(&host, &granted, &[], &tried).await;
    assert_eq!(answers, ["PermissionDenied"; 6]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_granted_names_are_resolved() {
    let mut host = Host::start().await;
    host.hosts
        .insert("plc.example".to_owned(), "192.0.2.7".parse().unwrap());
    host.hosts
        .insert("other.example".to_owned(), "192.0.2.8".parse().unwrap());
    let answers = attempts(
        &host,
        &["plc.example:502"],
        &[],
        &[
            "resolve plc.example:1",
            "resolve other.example:1",
            "resolve secret.attacker.example:53",
        ],
    )
    .await;
    assert_eq!(answers, ["1 found", "PermissionDenied", "PermissionDenied"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_listens() {
    let host = Host::start().await;
    let answers = attempts(
        &host,
        &["127.0.0.1:1", "0.0.0.0:1502"],
        &[],
        &[
            "listen 127.0.0.1:0",
            "listen 0.0.0.0:1502",
            "listen 0.0.0.0:0",
        ],
    )
    .await;
    assert_eq!(answers, ["PermissionDenied"; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datagrams_go_only_to_granted_endpoints() {
    let meter = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let granted = meter.local_addr().unwrap().to_string();
    let host = Host::start().await;
    let sent = format!("send {granted}");
    let answers = attempts(
        &host,
        // The standard library of a guest brings TCP along with UDP.
        &["192.0.2.1:1"],
        &[&granted],
        &[
            &sent,
            "send 127.0.0.1:9",
            "send 169.254.169.254:80",
            "bind 127.0.0.1:0",
            "connect 127.0.0.1:9",
        ],
    )
    .await;
    assert_eq!(answers[0], "sent");
    assert_eq!(answers[1..], ["PermissionDenied"; 4]);
}
