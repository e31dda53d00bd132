use std::time::{Duration, Instant};

use super::{Mishap, Rehearsal, bounds, rehearse_here};
use crate::inference::config::InferenceConfig;
use crate::inference::onnx_writer::autoencoder;
use crate::inference::{Device, InferenceLimits, LoadError, ModelSource};
use crate::spec::BackendKind;

fn tried(program: &str, arguments: &[&str]) -> Result<(), LoadError> {
    let rehearsal = Rehearsal::with(program.into(), arguments, InferenceConfig::default());
    let source = ModelSource::onnx(autoencoder());
    let limits = InferenceLimits {
        run_ms_max: 1.try_into().unwrap(),
        ..InferenceLimits::default()
    };
    rehearsal.of(&source, (BackendKind::Tract, Device::Cpu), &limits)
}

fn mishap(script: &str) -> Mishap {
    match tried("/bin/sh", &["-c", script]).unwrap_err() {
        LoadError::Mishap { mishap, .. } => mishap,
        error => panic!("{error:?}"),
    }
}

/// Not a test by itself: the other process of those below and of other modules.
#[test]
fn the_other_process() {
    if std::env::args().any(|argument| argument == "inference::rehearsal::tests::the_other_process")
    {
        assert_eq!(rehearse_here(), std::process::ExitCode::SUCCESS);
    }
}

#[test]
fn a_model_in_order_is_tried_and_the_process_ended() {
    let program = std::env::current_exe().unwrap();
    let arguments = [
        "--exact",
        "--nocapture",
        "inference::rehearsal::tests::the_other_process",
    ];
    tried(program.to_str().unwrap(), &arguments).unwrap();
}

#[test]
fn what_ends_the_process_is_told_by_its_signal() {
    let mishap = mishap("kill -s SEGV $$");
    let Mishap::Crash { how } = &mishap else {
        panic!("{mishap:?}")
    };
    assert!(how.contains("signal: 11"), "{how}");
}

#[test]
fn a_process_that_only_ends_has_tried_nothing() {
    let mishap = mishap("exit 0");
    assert!(matches!(&mishap, Mishap::Crash { how } if how.contains("exit status: 0")));
}

#[test]
fn memory_is_taken_back_before_it_is_all_gone() {
    let started = Instant::now();
    let mishap = mishap("exec dd if=/dev/zero of=/dev/null bs=2G 3>&1");
    assert!(matches!(mishap, Mishap::Memory { .. }), "{mishap:?}");
    assert!(started.elapsed() < Duration::from_secs(50));
}

#[test]
fn a_library_that_is_another_by_now_is_not_passed_over() {
    let error = tried(
        "/bin/sh",
        &["-c", "echo 'the library cannot be used'; exec cat"],
    );
    assert_eq!(error.unwrap_err().code(), "model-backend-unusable");
}

#[test]
fn a_program_that_is_not_there_is_an_error() {
    let error = tried("/nowhere/selvedge", &[]).unwrap_err();
    assert_eq!(error.code(), "model-not-tried");
}

#[test]
fn what_a_publisher_asks_for_does_not_lift_the_bound() {
    let limits = InferenceLimits::default();
    let bytes = |concurrency: u32| {
        let mut source = ModelSource::onnx(vec![0; 20 << 20].into());
        source.options.concurrency = Some(concurrency.try_into().unwrap());
        bounds(&source, Device::Cpu, &limits).0
    };
    assert_eq!(bytes(2) - bytes(1), 8 * (20 << 20));
    assert_eq!(bytes(13), bytes(u32::MAX));
    assert!(bytes(u32::MAX) <= 4 << 30);
}
