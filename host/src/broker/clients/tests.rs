use super::{Arc, Clients, Entrance, NoRoom, Reason, SocketAddr, Ticket};
use crate::devices::{Device, Quota};

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

fn enter(entrance: &Entrance, address: &str) -> Result<Ticket, NoRoom> {
    let address: SocketAddr = address.parse().unwrap();
    entrance.enter(address)
}

fn is_sent_away(ticket: &Ticket) -> bool {
    ticket.end().reason().is_some()
}

#[test]
fn who_has_been_entering_for_longest_makes_room_and_who_is_in_stays() {
    let clients = Arc::new(Clients::new(3, 10));
    let entrance = clients.open();
    let known = enter(&entrance, "10.0.0.1:1").unwrap();
    assert!(known.is(&device("pump"), &"pump".into(), None));
    let slow = enter(&entrance, "10.0.0.2:1").unwrap();
    let other = enter(&entrance, "10.0.0.3:1").unwrap();
    let newcomer = enter(&entrance, "10.0.0.4:1").unwrap();
    assert_eq!(
        [&known, &slow, &other, &newcomer].map(is_sent_away),
        [false, true, false, false]
    );
    assert!(!slow.is(&device("slow"), &"slow".into(), None));
    assert_eq!(clients.count(), (3, 2));
    assert!(other.is(&device("a"), &"a".into(), None));
    assert!(newcomer.is(&device("b"), &"b".into(), None));
    let refused = enter(&entrance, "10.0.0.5:1").unwrap_err();
    assert_eq!(refused, NoRoom::Connections { max: 3 });
    drop(slow);
    assert_eq!(clients.count(), (3, 0));
    drop(other);
    assert_eq!(clients.count(), (2, 0));
    assert!(enter(&entrance, "10.0.0.5:1").is_ok());
}

#[test]
fn one_address_crowds_out_only_itself() {
    let clients = Arc::new(Clients::new(100, 2));
    let entrance = clients.open();
    let neighbour = enter(&entrance, "10.0.0.1:1").unwrap();
    let crowd: Vec<_> = (1..=5)
        .map(|port| enter(&entrance, &format!("10.0.0.2:{port}")).unwrap())
        .collect();
    assert!(!is_sent_away(&neighbour));
    let gone: Vec<_> = crowd.iter().map(is_sent_away).collect();
    assert_eq!(gone, [true, true, true, false, false]);
    for ticket in &crowd[3..] {
        assert!(ticket.is(&device("a"), &"a".into(), None));
    }
    let refused = enter(&entrance, "[::ffff:10.0.0.2]:9").unwrap_err();
    assert_eq!(refused, NoRoom::Address { max: 2 });
}

#[test]
fn all_addresses_of_one_network_of_ipv6_are_one() {
    let clients = Arc::new(Clients::new(100, 1));
    let entrance = clients.open();
    let first = enter(&entrance, "[2001:db8:1:2::1]:1").unwrap();
    let second = enter(&entrance, "[2001:db8:1:2:ffff::2]:1").unwrap();
    let other = enter(&entrance, "[2001:db8:1:3::1]:1").unwrap();
    assert_eq!(
        [&first, &second, &other].map(is_sent_away),
        [true, false, false]
    );
}

#[test]
fn who_came_in_by_an_entrance_ends_with_it_and_the_first_reason_stands() {
    let clients = Arc::new(Clients::new(100, 100));
    let (one, other) = (clients.open(), clients.open());
    let entering = enter(&one, "10.0.0.1:1").unwrap();
    let inside = enter(&one, "10.0.0.1:2").unwrap();
    assert!(inside.is(&device("pump"), &"pump".into(), None));
    let neighbour = enter(&other, "10.0.0.1:3").unwrap();
    inside.end().tell(Reason::ADMINISTRATIVE_ACTION);
    drop(one);
    let told = [&entering, &inside, &neighbour].map(|ticket| ticket.end().reason());
    let reasons = [
        Some(Reason::SERVER_SHUTTING_DOWN),
        Some(Reason::ADMINISTRATIVE_ACTION),
        None,
    ];
    assert_eq!(told, reasons);
}
