use crate::demo::machine::Kind;

use super::{Device, Event, Judge, Plan, State, Summary};

fn anomaly(device: Device, state: State, name: &str) -> Event {
    Event::Anomaly {
        device: device.name().to_owned(),
        state,
        kind: name.to_owned(),
    }
}

fn reading(device: Device, name: &str, value: f64) -> Event {
    Event::Telemetry {
        device: device.name().to_owned(),
        readings: vec![(name.to_owned(), value)],
    }
}

fn command(device: Device) -> Event {
    Event::Command {
        device: device.name().to_owned(),
        name: "x".to_owned(),
        value: "1".to_owned(),
    }
}

fn audit(device: Device, decision: &str) -> Event {
    Event::Audit {
        device: device.name().to_owned(),
        decision: decision.to_owned(),
        reason: String::new(),
    }
}

/// That the device's anomaly arrived in the cloud.
fn arrived(device: Device) -> Event {
    Event::Cloud {
        device: device.name().to_owned(),
        state: State::Raised,
        kind: device.kind().fault().to_owned(),
        after_s: None,
    }
}

/// A run in which everything is done right, as (time, event).
fn good_run(plan: &Plan) -> Vec<(f64, Event)> {
    let mut run = Vec::new();
    for device in Device::ALL {
        let first = plan.schedule(device).unwrap().first_s;
        let (name, bad, good) = match device.kind() {
            Kind::Pump => ("vibration", 6.0, 1.5),
            Kind::Press => ("pressure", 178_000.0, 18_000.0),
            Kind::Oven => ("temperature", 180.0, 181.0),
        };
        for tenth in 0..600 {
            let at = f64::from(tenth) / 10.0;
            let answered = at > first + 5.0;
            let alive = device.kind() == Kind::Oven && (answered || at < first);
            let wobble = if alive {
                f64::from(tenth % 7) / 10.0
            } else {
                0.0
            };
            let faulty = at >= first && !answered;
            let value = wobble + if faulty { bad } else { good };
            run.push((at, reading(device, name, value)));
        }
        run.push((
            first + 4.0,
            anomaly(device, State::Raised, device.kind().fault()),
        ));
        run.push((first + 4.2, arrived(device)));
        run.push((first + 4.5, command(device)));
        run.push((first + 4.6, audit(device, "confirmed")));
        run.push((
            first + 12.0,
            anomaly(device, State::Cleared, device.kind().fault()),
        ));
    }
    run.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    run
}

fn judge(plan: &Plan, run: &[(f64, Event)]) -> (Summary, Vec<String>) {
    let mut judge = Judge::new(plan);
    let said = run.iter().filter_map(|(at, event)| match event {
        Event::Cloud { device, state, .. } => {
            judge.arrived(*at, device, *state);
            None
        }
        event => judge.see(*at, event),
    });
    let said = said.collect();
    (judge.summary(60.0), said)
}

#[test]
fn a_run_in_which_all_is_done_right_passes() {
    let plan = Plan::new(1, None);
    let (summary, said) = judge(&plan, &good_run(&plan));
    assert!(summary.passed, "{summary:#?}");
    let pump = &summary.machines[0];
    assert!((pump.detected_after_s.unwrap() - 4.0).abs() < 1e-9);
    assert!((pump.cloud_after_s.unwrap() - 0.2).abs() < 1e-9);
    assert_eq!(said.len(), 4);
    assert!(
        said[0].starts_with("pump-2: vibration fell from 6.0 to 1.5 m/s2"),
        "{}",
        said[0]
    );
    assert!(
        said[2].starts_with("press-1: pressure fell from 178 to 18 bar"),
        "{}",
        said[2]
    );
}

#[test]
fn whatever_is_left_out_makes_it_fail() {
    let plan = Plan::new(1, None);
    let without = |out: &dyn Fn(&Event) -> bool| {
        let run: Vec<_> = good_run(&plan)
            .into_iter()
            .filter(|(_, event)| !out(event))
            .collect();
        judge(&plan, &run).0.passed
    };
    assert!(without(&|_| false));
    assert!(!without(
        &|event| matches!(event, Event::Anomaly { device, .. } if device == "pump-1")
    ));
    assert!(!without(
        &|event| matches!(event, Event::Command { device, .. } if device == "oven-1")
    ));
    assert!(!without(
        &|event| matches!(event, Event::Cloud { device, .. } if device == "pump-2")
    ));
    assert!(!without(
        &|event| matches!(event, Event::Audit { device, .. } if device == "press-1")
    ));
    assert!(!without(
        &|event| matches!(event, Event::Telemetry { device, .. } if device == "oven-1")
    ));
}

#[test]
fn an_alarm_before_the_fault_or_of_another_kind_is_false() {
    let plan = Plan::new(1, None);
    for (at, kind) in [(10.0, "bearing-wear"), (26.0, "sensor-stuck")] {
        let mut run = good_run(&plan);
        run.insert(0, (at, anomaly(Device::Pump1, State::Raised, kind)));
        run.insert(1, (at, anomaly(Device::Pump1, State::Cleared, kind)));
        let (summary, _) = judge(&plan, &run);
        assert_eq!(summary.machines[0].false_alarms, 1, "{kind}");
        assert!(!summary.passed);
    }
}

#[test]
fn a_device_found_healthy_is_no_alarm() {
    let plan = Plan::new(1, None);
    let mut run = good_run(&plan);
    run.insert(0, (1.0, anomaly(Device::Pump1, State::Cleared, "anomaly")));
    assert!(judge(&plan, &run).0.passed);
}

#[test]
fn a_late_detection_and_a_run_cut_short_do_not_pass() {
    let plan = Plan::new(1, None);
    let mut run = good_run(&plan);
    for (at, event) in &mut run {
        if !matches!(event, Event::Telemetry { .. }) {
            *at += 6.0;
        }
    }
    run.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    assert!(!judge(&plan, &run).0.passed);

    let summary = Judge::new(&plan).summary(10.0);
    assert!(!summary.passed);
    assert_eq!(summary.machines[0].injected_s, None);
}

#[test]
fn a_shorter_run_has_its_faults_earlier() {
    let half = Plan::new(1, Some(std::time::Duration::from_secs(30)));
    let whole = Plan::new(1, None);
    for device in Device::ALL {
        let (half, whole) = (
            half.schedule(device).unwrap(),
            whole.schedule(device).unwrap(),
        );
        assert!((2.0 * half.first_s - whole.first_s).abs() < 1e-9);
        assert!((15.0..36.0).contains(&whole.first_s));
    }
}
