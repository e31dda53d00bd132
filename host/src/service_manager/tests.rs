use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram as StdDatagram};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::UnixDatagram;
use tokio::time::timeout;

use super::address::{Address, AddressError};
use super::{HealthCheck, ServiceManager};
use crate::supervisor::Supervisor;

const DEADLINE: Duration = Duration::from_secs(30);

/// The other end: a socket in `folder`.
fn listen(folder: &Path) -> (UnixDatagram, Address) {
    let path = folder.join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    (socket, Address::parse(path.as_os_str()).unwrap())
}

async fn heard(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    let received = timeout(DEADLINE, socket.recv(&mut buffer)).await;
    let length = received.expect("nothing was said").unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

fn supervisor() -> Supervisor {
    Supervisor::new(DEADLINE, Arc::new(|_: &str, _: &_| {}))
}

#[test]
fn only_addresses_of_unix_sockets_are_taken() {
    for good in ["/run/systemd/notify", "@/org/notify", "@x"] {
        assert!(Address::parse(OsStr::new(good)).is_ok(), "{good}");
    }
    for bad in ["", "@", "run/notify", "vsock:2:1"] {
        let refused = Address::parse(OsStr::new(bad)).unwrap_err();
        assert!(matches!(refused, AddressError::Kind), "{bad}: {refused}");
    }
    for long in [
        format!("/{}", "x".repeat(200)),
        format!("@{}", "x".repeat(200)),
    ] {
        let refused = Address::parse(OsStr::new(&long)).unwrap_err();
        assert!(matches!(refused, AddressError::Unusable(_)), "{refused}");
    }
}

#[tokio::test]
async fn what_is_said_keeps_its_order_and_a_status_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, address) = listen(folder.path());
    let manager = ServiceManager::at(address, None);

    manager.ready("line 1\nMAINPID=1").await;
    assert_eq!(heard(&socket).await, "READY=1\nSTATUS=line 1 MAINPID=1\n");

    manager.reload(async { "again".to_owned() }).await;
    let reloading = heard(&socket).await;
    let start = "RELOADING=1\nSTATUS=reloading\nMONOTONIC_USEC=";
    assert!(reloading.starts_with(start), "{reloading}");
    assert_eq!(heard(&socket).await, "READY=1\nSTATUS=again\n");

    // Told to stop within a reload, it is not ready again.
    let stopping = manager.clone();
    let work = async move {
        stopping.stopping().await;
        "late".to_owned()
    };
    manager.reload(work).await;
    assert!(heard(&socket).await.starts_with("RELOADING=1\n"));
    assert!(heard(&socket).await.starts_with("STOPPING=1\n"));
    manager.ready("never").await;
    let more = socket.try_recv(&mut [0; 64]);
    assert!(more.is_err(), "something was said after the end");
}

#[tokio::test]
async fn a_reload_before_the_host_serves_does_not_make_it_ready() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, address) = listen(folder.path());
    let manager = ServiceManager::at(address, None);
    manager.reload(async { "early".to_owned() }).await;
    manager.ready("now").await;
    assert_eq!(heard(&socket).await, "READY=1\nSTATUS=now\n");
}

#[tokio::test]
async fn an_abstract_socket_is_heard_from() {
    // The name is this process's own: the namespace is shared by the machine.
    let name = format!("selvedge-test-{}", std::process::id());
    let bound = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
    let socket = StdDatagram::bind_addr(&bound).unwrap();
    socket.set_nonblocking(true).unwrap();
    let socket = UnixDatagram::from_std(socket).unwrap();
    let address = Address::parse(OsStr::new(&format!("@{name}"))).unwrap();
    ServiceManager::at(address, None).ready("here").await;
    assert_eq!(heard(&socket).await, "READY=1\nSTATUS=here\n");
}

#[tokio::test]
async fn a_service_manager_that_is_gone_does_not_stop_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, address) = listen(folder.path());
    drop(socket);
    let manager = ServiceManager::at(address, None);
    manager.ready("said to nobody").await;
    manager.stopping().await;
    assert!(
        manager
            .watchdog(Arc::new(|| Box::pin(async { Ok(String::new()) })))
            .is_none()
    );
}

#[tokio::test]
async fn signs_of_life_come_while_the_host_is_well_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, address) = listen(folder.path());
    let patience = Duration::from_millis(400);
    let manager = ServiceManager::at(address, Some(patience));
    let well = Arc::new(AtomicBool::new(true));
    let (asked, mut asks) = tokio::sync::mpsc::channel(1_024);
    let check: HealthCheck = {
        let well = Arc::clone(&well);
        Arc::new(move || {
            let (well, asked) = (Arc::clone(&well), asked.clone());
            Box::pin(async move {
                asked.try_send(())?;
                if well.load(Ordering::Relaxed) {
                    Ok("fine".to_owned())
                } else {
                    Err("the disk is full".into())
                }
            })
        })
    };
    let supervisor = supervisor();
    supervisor.start(manager.watchdog(check).unwrap());
    for _ in 0..3 {
        assert_eq!(heard(&socket).await, "WATCHDOG=1\nSTATUS=fine\n");
    }

    well.store(false, Ordering::Relaxed);
    // Asked before it became unwell, and once more within the same moment.
    while asks.try_recv().is_ok() {}
    for _ in 0..3 {
        timeout(DEADLINE, asks.recv()).await.unwrap().unwrap();
    }
    while socket.try_recv(&mut [0; 64]).is_ok() {}
    for _ in 0..8 {
        timeout(DEADLINE, asks.recv()).await.unwrap().unwrap();
    }
    assert!(
        socket.try_recv(&mut [0; 64]).is_err(),
        "a sign of life while unwell"
    );

    well.store(true, Ordering::Relaxed);
    assert_eq!(heard(&socket).await, "WATCHDOG=1\nSTATUS=fine\n");
    supervisor.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_holds_the_signs_back_and_is_asked_once() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, address) = listen(folder.path());
    let manager = ServiceManager::at(address, Some(Duration::from_secs(30)));
    let asked = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let check: HealthCheck = Arc::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::pending())
    });
    let supervisor = supervisor();
    supervisor.start(manager.watchdog(check).unwrap());
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert!(socket.try_recv(&mut [0; 64]).is_err(), "a sign of life");
    // And it does not hold up the end.
    timeout(DEADLINE, supervisor.shut_down()).await.unwrap();
}

#[test]
fn an_executor_that_stands_still_gives_no_sign_of_life() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = StdDatagram::bind(&path).unwrap();
    let patience = Duration::from_millis(400);
    let (stand_still, commands) = std::sync::mpsc::sync_channel(0);
    let (go_on, released) = std::sync::mpsc::sync_channel::<()>(0);
    let host = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(async {
            let address = Address::parse(path.as_os_str()).unwrap();
            let manager = ServiceManager::at(address, Some(patience));
            let check: HealthCheck = Arc::new(|| Box::pin(async { Ok("fine".to_owned()) }));
            let supervisor = supervisor();
            supervisor.start(manager.watchdog(check).unwrap());
            loop {
                match commands.try_recv() {
                    // A guest that never yielded would do this.
                    Ok(()) => released.recv().unwrap(),
                    Err(std::sync::mpsc::TryRecvError::Empty) => {}
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
                }
                tokio::time::sleep(patience / 100).await;
            }
        });
    });
    let mut buffer = [0; 64];
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.recv(&mut buffer).unwrap();
    stand_still.send(()).unwrap();
    socket.set_nonblocking(true).unwrap();
    while socket.recv(&mut buffer).is_ok() {}
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(patience * 2)).unwrap();
    assert!(socket.recv(&mut buffer).is_err(), "a sign of life");
    go_on.send(()).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.recv(&mut buffer).unwrap();
    drop(stand_still);
    host.join().unwrap();
}
