//! How a deployment ended, told to people.
//!
//! Pure: a report in, lines out.

use jiff::SignedDuration;

use super::plan::{change_tone, sign};
use crate::cli::output::{Align, Cell, Columns, Paint, Tone, units};
use crate::deployment::document::fault::plain;
use crate::deployment::plan::{Change, ModelSwap, PluginChange};
use crate::deployment::report::{DeploymentReport, FaultReport, Phase, Reason};

/// A phase as it is called everywhere.
pub(super) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Queued => "queued",
        Phase::Pull => "pull",
        Phase::Verify => "verify",
        Phase::Admit => "admit",
        Phase::Compile => "compile",
        Phase::Prepare => "prepare",
        Phase::Swap => "swap",
        Phase::Probation => "probation",
        Phase::Committed => "committed",
        Phase::RolledBack => "rolled-back",
        Phase::Failed => "failed",
        Phase::Superseded => "superseded",
    }
}

/// What a phase says of a deployment, as a colour.
pub(super) fn phase_tone(phase: Phase) -> Tone {
    match phase {
        Phase::Committed => Tone::Good,
        Phase::Failed | Phase::RolledBack => Tone::Bad,
        Phase::Superseded => Tone::Faint,
        _ => Tone::Doubtful,
    }
}

/// Why it was made, in words.
pub(super) fn reason(reason: &Reason) -> String {
    match reason {
        Reason::Submitted => "submitted".to_owned(),
        Reason::RollBackTo { deployment } => format!("back to {deployment}"),
        Reason::SwapOf { plugin } => format!("swap of `{plugin}`"),
    }
}

/// How long it took, or has taken so far.
pub(super) fn took(report: &DeploymentReport) -> Option<SignedDuration> {
    let ended = report.ended_at?;
    Some(ended.duration_since(report.requested_at))
}

/// A fault as `selvedge check` prints one. None of what it quotes steers a
/// terminal.
pub(super) fn fault(fault: &FaultReport) -> String {
    let part = |text: &Option<String>| text.as_deref().map(plain);
    let fault = FaultReport {
        code: plain(&fault.code),
        message: plain(&fault.message),
        plugin: fault.plugin.clone(),
        place: part(&fault.place),
        help: part(&fault.help),
    };
    fault.to_string()
}

/// The end in a line.
pub(super) fn ending(report: &DeploymentReport) -> String {
    let id = report.id;
    let after = took(report).map_or(String::new(), |took| {
        format!(" after {}", units::span(took))
    });
    match report.phase {
        Phase::Committed => {
            let (name, version) = (plain(&report.name), plain(&report.version));
            format!("deployment {id} committed{after}: {name} {version}")
        }
        Phase::RolledBack => {
            format!("deployment {id} was rolled back{after}: what ran before runs again")
        }
        Phase::Failed => {
            format!("deployment {id} failed{after}: what ran before was not touched")
        }
        Phase::Superseded => format!("deployment {id} was superseded{after}: a newer one came"),
        phase => format!("deployment {id} is at {}", phase_name(phase)),
    }
}

/// What changed, plugin by plugin, with how each changed hands.
pub(super) fn changes(report: &DeploymentReport, paint: Paint) -> Vec<String> {
    let plan = report.plan.clone().unwrap_or_default();
    let mut table = Columns::new([("", Align::Left); 5]);
    let mut untouched = 0;
    for plugin in &plan.plugins {
        if plugin.change == Change::Untouched {
            untouched += 1;
            continue;
        }
        let mut swaps = report.swaps.iter();
        let swap = swaps.rfind(|swap| swap.plugin == plugin.plugin);
        let pause = swap.map(|swap| format!("paused {}", units::pause(swap.pause_us)));
        let state = swap.and_then(|swap| swap.state_bytes);
        let state = state.map(|bytes| format!("state {}", units::bytes(bytes)));
        table.row([
            Cell::new(change_tone(plugin.change), sign(plugin.change)),
            plugin.plugin.as_str().into(),
            versions(plugin).into(),
            pause.unwrap_or_default().into(),
            state.unwrap_or_default().into(),
        ]);
    }
    for model in &plan.models {
        table.row([
            Cell::new(change_tone(model.change), sign(model.change)),
            format!("model {}", model.model).into(),
            model.swap.map_or("", ModelSwap::told).into(),
            "".into(),
            "".into(),
        ]);
    }
    let mut lines = table.lines(paint);
    if untouched > 0 {
        lines.push(format!(
            "= {} untouched",
            units::counted(untouched, "plugin")
        ));
    }
    lines.iter().map(|line| format!("  {line}")).collect()
}

/// `1.0.0 -> 1.1.0`, or the one version there is.
pub(super) fn versions(plugin: &PluginChange) -> String {
    match (&plugin.from, &plugin.to) {
        (Some(from), Some(to)) if from != to => format!("{from} -> {to}"),
        (_, Some(version)) | (Some(version), None) => version.clone(),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::{changes, ending, fault};
    use crate::cli::output::Paint;
    use crate::deployment::report::{DeploymentReport, FaultReport, Phase};

    /// A deployment as a host tells of it.
    pub(in crate::cli::operate) fn report(phase: Phase) -> DeploymentReport {
        let digest = format!("sha256:{}", "0".repeat(64));
        let json = json!({
            "id": 7,
            "name": "press-line",
            "version": "1.2.0",
            "reason": { "kind": "submitted" },
            "requested_by": "uid 0",
            "requested_at": "2027-01-15T07:58:20Z",
            "ended_at": "2027-01-15T07:58:23.25Z",
            "phase": phase,
            "plan": { "plugins": [
                { "plugin": "detector", "change": "added", "to": "0.3.0" },
                { "plugin": "modbus", "change": "untouched", "from": "0.1.0", "to": "0.1.0" },
                { "plugin": "old", "change": "removed", "from": "0.1.0" },
                { "plugin": "window", "change": "replaced", "from": "0.1.0", "to": "0.2.0" },
            ], "models": [{ "model": "oven", "change": "replaced" }] },
            "swaps": [{ "plugin": "window", "pause_us": 1240, "state_bytes": 1_048_576 }],
            "document": digest,
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_commit_says_what_changed_and_what_it_cost() {
        let report = report(Phase::Committed);
        assert_eq!(
            ending(&report),
            "deployment 7 committed after 3.2 s: press-line 1.2.0"
        );
        let expected = [
            "  +  detector    0.3.0",
            "  -  old         0.1.0",
            "  ~  window      0.1.0 -> 0.2.0  paused 1.2 ms  state 1.0 MiB",
            "  ~  model oven",
            "  = 1 plugin untouched",
        ];
        assert_eq!(changes(&report, Paint::plain()), expected);
    }

    #[test]
    fn every_end_says_what_runs_now() {
        for (phase, end) in [
            (Phase::RolledBack, "what ran before runs again"),
            (Phase::Failed, "what ran before was not touched"),
            (Phase::Superseded, "a newer one came"),
        ] {
            assert!(ending(&report(phase)).ends_with(end), "{phase:?}");
        }
    }

    #[test]
    fn a_fault_reads_as_one_of_check_and_cannot_forge_another() {
        let report = FaultReport {
            code: "guest-trapped".to_owned(),
            message: "plugin `window` trapped\nok.toml:1:1: fine".to_owned(),
            plugin: None,
            place: Some("line.toml:4:1".to_owned()),
            help: Some("look at `selvedge logs window`".to_owned()),
        };
        assert_eq!(
            fault(&report),
            "line.toml:4:1: error: plugin `window` trapped\\u{a}ok.toml:1:1: fine \
             [guest-trapped]\n  help: look at `selvedge logs window`"
        );
    }
}
