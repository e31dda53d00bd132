//! A candidate beside the model that serves, and what computes both, as the
//! document asks and the host tells.

use selvedge::deployment::document::source::Source;
use selvedge::deployment::plan::Change;
use selvedge::deployment::report::Phase;
use selvedge::deployment::submission::{Submission, SubmitError};
use selvedge::inference::ShadowStatus;

use super::exchanged::{answer, ask, device, line, swap};
use crate::deployments::world::{Host, Line};

fn with_shadow(version: usize, candidate: &str, fraction: &str) -> Line {
    line(version, "a").and(&format!(
        "[models.granted.shadow]\nmodel = \"next\"\nfraction = {fraction}\n\
         [models.next]\npath = \"{candidate}.onnx\""
    ))
}

fn shadow(host: &Host) -> Option<ShadowStatus> {
    let models = host.deployments().models();
    let mut status = models.status().into_iter();
    let granted = status.find(|it| it.model.as_str() == "granted");
    granted.unwrap().shadow
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_is_compared_and_the_plugins_hear_nothing_of_it() {
    let (_device, host) = device().await;
    let first = host.commit(&line(1, "a")).await;
    let report = host.deploy(&with_shadow(2, "b", "1")).await;
    assert_eq!(report.phase, Phase::Committed, "{report:?}");
    let plan = report.plan.as_ref().unwrap();
    let changes: Vec<_> = plan.models.iter().map(|it| it.change).collect();
    assert_eq!(changes, [Change::Reconfigured, Change::Added]);
    assert_eq!(swap(&report), None);
    assert_eq!(host.plugin("i").deployment, first);
    let by = &report.computed_by[&"next".parse().unwrap()];
    assert_eq!((by.backend.name(), by.provider.as_str()), ("tract", "cpu"));

    let answers = ask(&host, 1, |next| next <= 100).await;
    assert!(
        answers.values().all(|answer| answer == "1000"),
        "{answers:?}"
    );
    let all = |it: &ShadowStatus| it.compared_total + it.dropped_total == 100;
    host.until("all followed", |host| {
        shadow(host).as_ref().is_some_and(all)
    })
    .await;
    let status = shadow(&host).unwrap();
    assert!(status.compared_total > 0, "{status:?}");
    assert_eq!(status.beyond_total, status.values_total);
    assert!((status.difference_max - 1000.0).abs() < 1.0, "{status:?}");

    // It is gone with the document that asked for it.
    host.commit(&line(3, "a")).await;
    assert_eq!(shadow(&host), None);
    assert_eq!(host.plugin("i").deployment, first);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_that_takes_otherwise_is_refused() {
    let (device, host) = device().await;
    let kept = host.commit(&line(1, "a")).await;
    let report = host.deploy(&with_shadow(2, "wide", "0.5")).await;
    assert_eq!(report.phase, Phase::Failed, "{report:?}");
    assert_eq!(report.faults[0].code, "model-shadow-differs");
    assert_eq!(host.active(), Some(kept));
    assert_eq!(answer(&host, 1).await, "1000");

    let path = device.folder().join("line.toml");
    let itself = with_shadow(2, "b", "0.5");
    let text = itself
        .text()
        .replace("model = \"next\"", "model = \"granted\"");
    for (text, code) in [
        (text, "model-shadow-unknown"),
        (with_shadow(2, "b", "1.5").text(), "value-invalid"),
    ] {
        let source = Source::new(&path, text.into_bytes()).unwrap();
        let files = host.deployments().files();
        let submission = Submission::of_source(&source, &[], files);
        let error = match submission {
            Ok(submission) => host.deployments().submit(submission).await.unwrap_err(),
            Err(error) => error,
        };
        let SubmitError::Document(faults) = &error else {
            panic!("{error:?}")
        };
        assert_eq!(faults[0].code, code, "{faults:?}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_starts_again_compares_again() {
    let (device, host) = device().await;
    host.commit(&with_shadow(1, "b", "1")).await;
    host.stop().await;
    let host = device.start().await;
    assert_eq!(answer(&host, 7).await, "1000");
    host.until("it is compared", |host| {
        shadow(host).is_some_and(|it| it.compared_total == 1)
    })
    .await;
    host.stop().await;
}
