//! Deployments that come while another one is under way.

use selvedge::deployment::deployments::QUEUE_MAX;
use selvedge::deployment::report::Phase;
use selvedge::deployment::submission::{SubmitError, WhenBusy};

use super::world::{Device, Line};

fn line(version: usize, mode: &str) -> Line {
    Line::new(version).plugin("a", "handles", mode)
}

#[tokio::test]
async fn a_deployment_waits_is_refused_or_takes_over_as_asked() {
    let device = Device::new();
    let host = device.start().await;
    let kept = host.commit(&line(1, "traps-on-poison")).await;
    let watched = host.begin(&line(2, "is-slow").probation(3600)).await;
    let refused = host.submit(&line(3, "rejects"), WhenBusy::Refuse).await;
    assert!(matches!(refused, Err(SubmitError::Busy(id)) if id == watched));
    let mut waiting = Vec::new();
    for version in 0..QUEUE_MAX {
        let line = line(10 + version, "rejects");
        waiting.push(host.submit(&line, WhenBusy::Queue).await.unwrap());
    }
    let too_many = host.submit(&line(3, "rejects"), WhenBusy::Queue).await;
    assert!(matches!(too_many, Err(SubmitError::TooMany(QUEUE_MAX))));
    assert_eq!(host.deployments().under_way().len(), 1 + QUEUE_MAX);
    assert_eq!(host.active(), Some(kept));
    assert_eq!(host.plugin("a").deployment, watched);

    let last = host
        .submit(&line(4, "sleeps"), WhenBusy::Supersede)
        .await
        .unwrap();
    assert_eq!(host.ended(last).await.phase, Phase::Committed);
    for id in waiting.into_iter().chain([watched]) {
        assert_eq!(host.ended(id).await.phase, Phase::Superseded);
    }
    assert_eq!(host.plugin("a").deployment, last);
    host.assert_whole().await;
    host.stop().await;
}

#[tokio::test]
async fn one_after_the_other_each_has_its_turn() {
    let device = Device::new();
    let host = device.start().await;
    let mut ids = Vec::new();
    for version in 1..=4 {
        let mode = if version % 2 == 0 {
            "is-slow"
        } else {
            "rejects"
        };
        ids.push(
            host.submit(&line(version, mode), WhenBusy::Queue)
                .await
                .unwrap(),
        );
    }
    for &id in &ids {
        assert_eq!(host.ended(id).await.phase, Phase::Committed);
    }
    assert_eq!(host.active(), ids.last().copied());
    host.assert_whole().await;
    host.stop().await;
}

#[tokio::test]
async fn going_back_in_a_probation_ends_it_and_nothing_more() {
    let device = Device::new();
    let host = device.start().await;
    host.commit(&line(1, "rejects")).await;
    let kept = host.commit(&line(2, "traps-on-poison")).await;
    let watched = host.begin(&line(3, "is-slow").probation(3600)).await;
    let back = host
        .deployments()
        .roll_back(None, "me".to_owned())
        .await
        .unwrap();
    assert_eq!(host.ended(back).await.phase, Phase::Committed);
    assert_eq!(host.phase(watched), Phase::Superseded);
    // What runs was never touched: it is the predecessor itself.
    assert_eq!(host.plugin("a").deployment, kept);
    host.answer("a", "seen/traps-on-poison").await;
    host.stop().await;
}

#[tokio::test]
async fn a_host_that_stops_takes_nothing_in() {
    let device = Device::new();
    let host = device.start().await;
    host.deployments().stop().await;
    let refused = host.submit(&line(1, "rejects"), WhenBusy::Queue).await;
    assert!(matches!(refused, Err(SubmitError::Stopping)), "{refused:?}");
    host.stop().await;
}
