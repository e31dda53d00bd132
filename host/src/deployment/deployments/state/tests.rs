use jiff::Timestamp;

use super::{DOCUMENTS_MAX, Kept, REPORTS_MAX, State, UnderWay};
use crate::deployment::report::{DeploymentId, DeploymentReport, Phase, Reason};
use crate::names::Digest;

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

pub(in crate::deployment::deployments) fn report() -> DeploymentReport {
    DeploymentReport {
        id: DeploymentId(0),
        name: "line".to_owned(),
        version: "1.0.0".to_owned(),
        reason: Reason::Submitted,
        requested_by: "a test".to_owned(),
        requested_at: NOW,
        ended_at: None,
        phase: Phase::Queued,
        faults: Vec::new(),
        plan: None,
        plugins: Default::default(),
        models: Default::default(),
        computed_by: Default::default(),
        swaps: Vec::new(),
        document: Digest::of(b""),
    }
}

pub(in crate::deployment::deployments) fn kept() -> Kept {
    Kept {
        text: String::new(),
        file: "line.toml".to_owned(),
        files: Default::default(),
    }
}

fn with_one_under_way(phase: Phase) -> (State, DeploymentId, DeploymentId) {
    let mut state = State::default();
    let first = state.take_in(report(), kept());
    state.begin();
    state.end(first, Phase::Committed, Vec::new(), NOW);
    let second = state.take_in(report(), kept());
    assert_eq!(state.begin(), Some(second));
    state.enter(second, phase);
    (state, first, second)
}

fn phase(state: &State, id: DeploymentId) -> Phase {
    state.reports[&id].phase
}

#[test]
fn an_end_before_the_swap_is_tried_again_once() {
    for interrupted in [
        Phase::Pull,
        Phase::Verify,
        Phase::Admit,
        Phase::Compile,
        Phase::Prepare,
    ] {
        let (mut state, first, second) = with_one_under_way(interrupted);
        state.recover(NOW);
        assert_eq!(phase(&state, second), Phase::Pull);
        assert_eq!(state.begin(), Some(second));
        state.enter(second, interrupted);
        state.recover(NOW);
        assert_eq!(phase(&state, second), Phase::Failed);
        assert_eq!(state.reports[&second].faults[0].code, "interrupted");
        assert_eq!((state.active, state.under_way), (Some(first), None));
    }
}

#[test]
fn an_end_after_the_swap_began_is_a_failure() {
    for interrupted in [Phase::Swap, Phase::Probation] {
        let (mut state, first, second) = with_one_under_way(interrupted);
        state.recover(NOW);
        assert_eq!(phase(&state, second), Phase::RolledBack);
        assert_eq!((state.active, state.under_way), (Some(first), None));
        let before = state.clone();
        state.recover(NOW);
        assert_eq!(state, before, "it ends once");
    }
}

#[test]
fn what_was_to_make_place_is_not_begun_again() {
    let (mut state, first, second) = with_one_under_way(Phase::Compile);
    assert_eq!(state.supersede(), Some(second));
    let third = state.take_in(report(), kept());
    state.recover(NOW);
    assert_eq!(phase(&state, second), Phase::Superseded);
    assert_eq!((state.active, state.begin()), (Some(first), Some(third)));
}

#[test]
fn a_host_that_stops_in_order_counts_as_no_attempt() {
    let (mut state, _, second) = with_one_under_way(Phase::Compile);
    for _ in 0..5 {
        state.put_back(second);
        assert_eq!(phase(&state, second), Phase::Queued);
        state.recover(NOW);
        assert_eq!(state.begin(), Some(second));
    }
    assert_eq!(state.under_way.unwrap().attempt, 1);
}

#[test]
fn what_comes_too_late_changes_nothing() {
    let (mut state, _, second) = with_one_under_way(Phase::Swap);
    state.end(second, Phase::RolledBack, Vec::new(), NOW);
    let before = state.clone();
    state.enter(second, Phase::Probation);
    state.put_back(second);
    state.end(second, Phase::Committed, Vec::new(), NOW);
    assert_eq!(state, before);
}

#[test]
fn lost_records_leave_nothing_open() {
    let (mut state, _, second) = with_one_under_way(Phase::Pull);
    let third = state.take_in(report(), kept());
    // As if these had not been readable.
    state.under_way = None;
    state.queue.clear();
    state.last = 0;
    state.recover(NOW);
    for id in [second, third] {
        assert_eq!(phase(&state, id), Phase::Failed);
    }
    assert_eq!(state.take_in(report(), kept()), DeploymentId(4));
    // A document that is gone cannot be deployed.
    state.documents.clear();
    state.under_way = Some(UnderWay {
        id: DeploymentId(4),
        phase: Phase::Pull,
        attempt: 1,
        superseded: false,
    });
    state.recover(NOW);
    assert_eq!((state.under_way, state.queue.len()), (None, 0));
    assert_eq!(phase(&state, DeploymentId(4)), Phase::Failed);
}

#[test]
fn the_past_is_bounded() {
    let mut state = State::default();
    for number in 1..=300_u64 {
        let id = state.take_in(report(), kept());
        assert_eq!((id, state.begin()), (DeploymentId(number), Some(id)));
        let phase = if number <= 2 {
            Phase::Committed
        } else {
            Phase::Failed
        };
        state.end(id, phase, Vec::new(), NOW);
    }
    assert_eq!(state.reports.len(), REPORTS_MAX + 2);
    assert_eq!(state.documents.len(), DOCUMENTS_MAX + 2);
    assert_eq!(
        (state.active, state.previous()),
        (Some(DeploymentId(2)), Some(DeploymentId(1)))
    );
}

#[test]
fn a_host_for_one_document_begins_with_nothing_but_the_past() {
    for interrupted in [Phase::Pull, Phase::Probation] {
        let (mut state, _, second) = with_one_under_way(interrupted);
        let third = state.take_in(report(), kept());
        state.begin_afresh(NOW);
        assert!(phase(&state, second).is_final());
        assert_eq!(phase(&state, third), Phase::Superseded);
        assert_eq!(
            (state.active, state.under_way, state.queue.len()),
            (None, None, 0)
        );
        assert_eq!(state.reports.len(), 3);
    }
}

#[test]
fn one_whose_record_is_lost_is_not_begun_again_and_again() {
    for interrupted in [Phase::Compile, Phase::Probation] {
        for superseded in [false, true] {
            let (mut state, first, second) = with_one_under_way(interrupted);
            let waiting = state.take_in(report(), kept());
            let lost = state.take_in(report(), kept());
            state.under_way.as_mut().unwrap().superseded = superseded;
            state.reports.remove(&second);
            state.reports.remove(&lost);
            state.recover(NOW);
            assert_eq!(state.under_way, None);
            assert_eq!(state.queue, [waiting]);
            assert_eq!(state.active, Some(first));
        }
    }
}

#[test]
fn one_that_was_superseded_as_the_host_stopped_is_not_begun_again() {
    let (mut state, _, second) = with_one_under_way(Phase::Compile);
    let newer = state.take_in(report(), kept());
    state.supersede();
    state.put_back(second);
    state.recover(NOW);
    assert_eq!(phase(&state, second), Phase::Superseded);
    assert_eq!(state.begin(), Some(newer));
}

#[test]
fn what_is_told_of_a_failure_is_bounded() {
    let (mut state, _, second) = with_one_under_way(Phase::Verify);
    let fault = super::interrupted(&"\u{1f980}".repeat(2_000));
    state.end(second, Phase::Failed, vec![fault; 1_000], NOW);
    let faults = &state.reports[&second].faults;
    let bytes: usize = faults.iter().map(|fault| fault.message.len()).sum();
    assert!((1..=100).contains(&faults.len()) && bytes <= 64 << 10);
}

/// As hosts wrote it that ran models only from files, with one library.
const BEFORE_LIBRARIES: &str = r#"{
  "id": 7, "name": "line", "version": "1.0.0", "reason": {"kind": "submitted"},
  "requested_by": "uid 0", "requested_at": "2026-11-01T00:00:00Z",
  "ended_at": "2026-11-01T00:00:09Z", "phase": "committed",
  "plan": {
    "plugins": [{"plugin": "a", "change": "reconfigured", "differs": ["model oven"]}],
    "models": [
      {"model": "oven", "change": "replaced"},
      {"model": "press", "change": "added"}
    ]
  },
  "models": {"oven": "sha256:0000000000000000000000000000000000000000000000000000000000000000"},
  "swaps": [{"plugin": "a", "pause_us": 12}],
  "document": "sha256:0000000000000000000000000000000000000000000000000000000000000000"
}"#;

#[test]
fn what_an_older_host_wrote_is_read_and_nothing_is_made_up() {
    let report: DeploymentReport = serde_json::from_str(BEFORE_LIBRARIES).unwrap();
    assert!(report.computed_by.is_empty());
    let plan = report.plan.as_ref().unwrap();
    assert!(plan.models.iter().all(|model| model.swap.is_none()));
    assert!(plan.to_string().contains("model oven: replaced\n"));
    // And is written as it was.
    let written = serde_json::to_value(&report).unwrap();
    let before: serde_json::Value = serde_json::from_str(BEFORE_LIBRARIES).unwrap();
    assert_eq!(written, before);
}
