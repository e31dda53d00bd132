use super::{Arc, Clients, NoRoom, SocketAddr, Ticket};
use crate::devices::{Device, Quota};
use tokio_util::sync::CancellationToken;

fn device(name: &str) -> Arc<Device> {
    Arc::new(Device {
        name: name.parse().unwrap(),
        class: None,
        fingerprints: Vec::new(),
        publish: Vec::new(),
        subscribe: Vec::new(),
        quota: Quota::default(),
    })
}

fn enter(clients: &Arc<Clients>, address: &str) -> Result<Ticket, NoRoom> {
    let address: SocketAddr = address.parse().unwrap();
    clients.enter(address, &CancellationToken::new())
}

fn is_sent_away(ticket: &Ticket) -> bool {
    ticket.end().token().is_cancelled()
}

#[test]
fn who_has_been_entering_for_longest_makes_room_and_who_is_in_stays() {
    let clients = Arc::new(Clients::new(3, 10));
    let known = enter(&clients, "10.0.0.1:1").unwrap();
    assert!(known.is(&device("pump"), &"pump".into(), None));
    let slow = enter(&clients, "10.0.0.2:1").unwrap();
    let other = enter(&clients, "10.0.0.3:1").unwrap();
    let newcomer = enter(&clients, "10.0.0.4:1").unwrap();
    assert_eq!(
        [&known, &slow, &other, &newcomer].map(is_sent_away),
        [false, true, false, false]
    );
    assert!(!slow.is(&device("slow"), &"slow".into(), None));
    assert_eq!(clients.count(), (3, 2));
    assert!(other.is(&device("a"), &"a".into(), None));
    assert!(newcomer.is(&device("b"), &"b".into(), None));
    let refused = enter(&clients, "10.0.0.5:1").unwrap_err();
    assert_eq!(refused, NoRoom::Connections { max: 3 });
    drop(slow);
    assert_eq!(clients.count(), (3, 0));
    drop(other);
    assert_eq!(clients.count(), (2, 0));
    assert!(enter(&clients, "10.0.0.5:1").is_ok());
}

#[test]
fn one_address_crowds_out_only_itself() {
    let clients = Arc::new(Clients::new(100, 2));
    let neighbour = enter(&clients, "10.0.0.1:1").unwrap();
    let crowd: Vec<_> = (1..=5)
        .map(|port| enter(&clients, &format!("10.0.0.2:{port}")).unwrap())
        .collect();
    assert!(!is_sent_away(&neighbour));
    let gone: Vec<_> = crowd.iter().map(is_sent_away).collect();
    assert_eq!(gone, [true, true, true, false, false]);
    for ticket in &crowd[3..] {
        assert!(ticket.is(&device("a"), &"a".into(), None));
    }
    let refused = enter(&clients, "[::ffff:10.0.0.2]:9").unwrap_err();
    assert_eq!(refused, NoRoom::Address { max: 2 });
}

#[test]
fn all_addresses_of_one_network_of_ipv6_are_one() {
    let clients = Arc::new(Clients::new(100, 1));
    let first = enter(&clients, "[2001:db8:1:2::1]:1").unwrap();
    let second = enter(&clients, "[2001:db8:1:2:ffff::2]:1").unwrap();
    let other = enter(&clients, "[2001:db8:1:3::1]:1").unwrap();
    assert_eq!(
        [&first, &second, &other].map(is_sent_away),
        [true, false, false]
    );
}
