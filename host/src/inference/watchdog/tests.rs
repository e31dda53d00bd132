use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use super::Watchdog;
use crate::inference::Control;

const LONG: Duration = Duration::from_secs(10);

#[test]
fn a_run_that_nobody_waits_for_is_stopped_at_its_deadline() {
    let watchdog = Watchdog::default();
    let (told, stopped) = sync_channel(1);
    let later = Control::watched(Instant::now() + LONG, &watchdog);
    let _later = later.on_cancel(|| panic!("it has time"));
    let soon = Instant::now() + Duration::from_millis(20);
    let control = Control::watched(soon, &watchdog);
    let _cancels = control.on_cancel(move || told.send(Instant::now()).unwrap());
    let at = stopped.recv_timeout(LONG).unwrap();
    assert!(at >= soon);
    assert!(control.check().is_err());
    assert!(later.check().is_ok());
}

#[test]
fn a_run_that_has_ended_is_not_stopped() {
    let watchdog = Watchdog::default();
    for _ in 0..100 {
        let control = Control::watched(Instant::now() + LONG, &watchdog);
        let (told, stopped) = sync_channel::<()>(1);
        drop(control.on_cancel(move || told.send(()).unwrap()));
        // Its end takes what would be called with it.
        assert!(stopped.recv_timeout(LONG).is_err());
    }
    assert!(watchdog.0.inner.state.lock().runs.is_empty());
}
