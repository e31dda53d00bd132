//! `selvedge status`: how the host fares, on one screen.

use std::process::ExitCode;

use jiff::Timestamp;

use super::outcome::phase_name;
use super::ps;
use crate::api::wire::{HostStatus, ModelSummary};
use crate::cli::failure::Outcome;
use crate::cli::host_options::HostOptions;
use crate::cli::output::{Align, Cell, Columns, Paint, Table, Tone, say, units};
use crate::cli::wait;
use crate::deployment::document::fault::plain;
use crate::deployment::report::DeploymentReport;
use crate::inference::Device;

/// Characters of a digest that tell versions apart: `sha256:` and twelve more.
const DIGEST_CHARS: usize = 19;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    host: HostOptions,
}

pub(super) fn run(args: &Args) -> Outcome {
    let client = args.host.client()?;
    wait(async {
        let answer = client.get(client.url(&["status"], &[])).await?;
        if args.host.json {
            answer.print()?;
        } else {
            let status: HostStatus = answer.read()?;
            let lines = lines(&status, Timestamp::now(), Paint::stdout());
            lines.iter().try_for_each(|line| say(line))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn lines(status: &HostStatus, now: Timestamp, paint: Paint) -> Vec<String> {
    let mut lines = vec![if status.ready {
        paint.text(Tone::Good, "ready")
    } else {
        paint.text(Tone::Bad, "not ready")
    }];
    for reason in &status.reasons {
        let (what, reason) = (plain(&reason.what), plain(&reason.reason));
        lines.push(format!("  {what}: {reason}"));
    }
    let mut table = Table::default();
    let up = units::span(now.duration_since(status.started_at));
    table.row("host", format!("selvedge {}, up for {up}", status.version));
    let active = status.active.as_ref();
    let active = active.map(|active| deployment(active, now));
    table.row("deployment", active.unwrap_or_else(|| "none".to_owned()));
    for report in &status.under_way {
        let what = format!("{}, {}", deployment(report, now), phase_name(report.phase));
        table.row("under way", what);
    }
    lines.extend(table.lines());
    if !status.plugins.is_empty() {
        lines.push(String::new());
        lines.extend(ps::table(&status.plugins).lines(paint));
    }
    if !status.models.is_empty() {
        lines.push(String::new());
        lines.extend(models(&status.models).lines(paint));
    }
    lines
}

/// The models: which version serves, who brought it, and what computes it.
fn models(models: &[ModelSummary]) -> Columns<10> {
    let mut table = Columns::new([
        ("MODEL", Align::Left),
        ("VERSION", Align::Left),
        ("DIGEST", Align::Left),
        ("LOADED BY", Align::Left),
        ("BACKEND", Align::Left),
        ("PROVIDER", Align::Left),
        ("DEVICE", Align::Left),
        ("FAILED", Align::Right),
        ("SWAPS", Align::Right),
        ("WHY", Align::Left),
    ]);
    for model in models {
        // Whoever withdraws it says that it is revoked.
        let why = model.withdrawn.as_deref().map(plain);
        let device = match (model.by.device, model.degraded) {
            (Device::Gpu, _) => Cell::new(Tone::Usual, "gpu"),
            (Device::Cpu, false) => Cell::new(Tone::Usual, "cpu"),
            (Device::Cpu, true) => Cell::new(Tone::Bad, "cpu, degraded"),
        };
        let digest: String = model
            .digest
            .to_string()
            .chars()
            .take(DIGEST_CHARS)
            .collect();
        let version = model.version.as_deref().map(plain);
        table.row([
            model.model.as_str().into(),
            version.unwrap_or_else(|| "-".to_owned()).into(),
            digest.into(),
            model.loaded_by.name().into(),
            model.by.backend.name().into(),
            plain(&model.by.provider).into(),
            device,
            model.failures_total.to_string().into(),
            model.swaps_total.to_string().into(),
            Cell::new(Tone::Bad, why.unwrap_or_default()),
        ]);
    }
    table
}

/// `7: press-line 1.2.0, by uid 0, 5 s ago`.
fn deployment(report: &DeploymentReport, now: Timestamp) -> String {
    let when = units::ago(now, report.ended_at.unwrap_or(report.requested_at));
    let (id, name, version) = (report.id, &report.name, &report.version);
    format!("{id}: {name} {version}, by {}, {when}", report.requested_by)
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::lines;
    use crate::api::wire::{HealthReason, HostStatus, ModelSummary};
    use crate::cli::operate::outcome::tests::report;
    use crate::cli::operate::ps::tests::plugin;
    use crate::cli::output::Paint;
    use crate::deployment::deployments::LoadedBy;
    use crate::deployment::report::{ComputedBy, Phase};
    use crate::inference::Device;
    use crate::names::Digest;
    use crate::spec::BackendKind;

    #[test]
    fn a_host_that_is_not_ready_says_why_before_anything_else() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let status = HostStatus {
            version: "0.1.0".to_owned(),
            started_at: now - SignedDuration::from_secs(3_900),
            ready: false,
            reasons: vec![HealthReason {
                what: "plugin/detector".to_owned(),
                reason: "given up".to_owned(),
            }],
            active: Some(report(Phase::Committed)),
            under_way: vec![report(Phase::Probation)],
            plugins: vec![plugin("window")],
            models: vec![ModelSummary {
                model: "pump".parse().unwrap(),
                version: Some("1.2.0".to_owned()),
                digest: Digest::of(b""),
                by: ComputedBy {
                    backend: BackendKind::Tract,
                    provider: "cpu".to_owned(),
                    device: Device::Cpu,
                },
                degraded: true,
                failures_total: 0,
                swaps_total: 3,
                loaded_by: LoadedBy::InferenceApi,
                withdrawn: Some("revoked".to_owned()),
            }],
        };
        let lines = lines(&status, now, Paint::plain());
        let expected = [
            "not ready",
            "  plugin/detector: given up",
            "host        selvedge 0.1.0, up for 1 h 5 min",
            "deployment  7: press-line 1.2.0, by uid 0, 1 min 36 s ago",
            "under way   7: press-line 1.2.0, by uid 0, 1 min 36 s ago, probation",
            "",
        ];
        assert_eq!(lines[..6], expected);
        assert!(lines[6].starts_with("PLUGIN"), "{lines:?}");
        let model = lines.last().unwrap();
        let words: Vec<_> = model.split_whitespace().collect();
        let expected = [
            "pump",
            "1.2.0",
            "sha256:e3b0c44298fc",
            "inference-api",
            "tract",
            "cpu",
            "cpu,",
            "degraded",
            "0",
            "3",
            "revoked",
        ];
        assert_eq!(words, expected);
    }
}
