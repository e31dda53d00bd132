//! `selvedge history`: deployments, newest first, or one in full.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use jiff::Timestamp;

use super::follow;
use super::outcome::{self, phase_name, phase_tone};
use crate::cli::client::Client;
use crate::cli::failure::Outcome;
use crate::cli::host_options::HostOptions;
use crate::cli::output::{Align, Cell, Columns, Paint, Table, raw, say, to_the_second, units};
use crate::cli::wait;
use crate::deployment::document::fault::plain;
use crate::deployment::report::{ComputedBy, DeploymentId, DeploymentReport};

pub(super) const AFTER_HELP: &str = "\
Exit codes: 0 fine, 1 failure, 64 usage. With --follow: 0 committed, 1 failed,
rolled back or superseded, 130 interrupted while the deployment goes on.";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// This deployment alone, in full.
    #[arg(value_name = "ID")]
    id: Option<u64>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 20, conflicts_with = "id")]
    limit: u32,
    /// Only those before this one.
    #[arg(long, value_name = "ID", conflicts_with = "id")]
    before: Option<u64>,
    /// Follow the deployment to its end.
    #[arg(short, long, requires = "id")]
    follow: bool,
    /// Print its document, as it was handed in.
    #[arg(long, requires = "id", conflicts_with_all = ["follow", "json"])]
    document: bool,
    #[command(flatten)]
    host: HostOptions,
}

pub(super) fn run(args: &Args) -> Outcome {
    let client = args.host.client()?;
    wait(async {
        match args.id {
            Some(id) if args.follow => {
                follow::interruptible(&client, DeploymentId(id), &args.host).await
            }
            Some(id) if args.document => document(&client, id).await,
            Some(id) => one(&client, id, &args.host).await,
            None => list(&client, args).await,
        }
    })
}

async fn list(client: &Client, args: &Args) -> Outcome {
    let limit = args.limit.to_string();
    let before = args.before.map(|id| id.to_string());
    let mut query = vec![("limit", limit.as_str())];
    query.extend(before.as_deref().map(|before| ("before", before)));
    let answer = client.get(client.url(&["deployments"], &query)).await?;
    if args.host.json {
        answer.print()?;
    } else {
        let reports: Vec<DeploymentReport> = answer.read()?;
        table(&reports, Timestamp::now()).print(Paint::stdout())?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn one(client: &Client, id: u64, host: &HostOptions) -> Outcome {
    let url = client.url(&["deployments", &id.to_string()], &[]);
    let answer = client.get(url).await?;
    if host.json {
        answer.print()?;
    } else {
        let lines = full(&answer.read()?, Paint::stdout());
        lines.iter().try_for_each(|line| say(line))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn document(client: &Client, id: u64) -> Outcome {
    let url = client.url(&["deployments", &id.to_string(), "document"], &[]);
    let text = client.text(url).await?;
    if std::io::stdout().is_terminal() {
        text.lines()
            .try_for_each(|line| say(&plain(&line.replace('\t', "    "))))?;
    } else {
        raw(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn table(reports: &[DeploymentReport], now: Timestamp) -> Columns<8> {
    let mut table = Columns::new([
        ("ID", Align::Right),
        ("OUTCOME", Align::Left),
        ("NAME", Align::Left),
        ("VERSION", Align::Left),
        ("WHY", Align::Left),
        ("BY", Align::Left),
        ("WHEN", Align::Left),
        ("TOOK", Align::Right),
    ]);
    for report in reports {
        let took = outcome::took(report);
        table.row([
            report.id.to_string().into(),
            Cell::new(phase_tone(report.phase), phase_name(report.phase)),
            (&report.name).into(),
            (&report.version).into(),
            outcome::reason(&report.reason).into(),
            (&report.requested_by).into(),
            units::ago(now, report.requested_at).into(),
            took.map(units::span).unwrap_or_default().into(),
        ]);
    }
    table
}

/// All that is known of one.
fn full(report: &DeploymentReport, paint: Paint) -> Vec<String> {
    let mut table = Table::default();
    let id = report.id;
    table.row(
        "deployment",
        format!("{id}: {} {}", report.name, report.version),
    );
    table.row("outcome", phase_name(report.phase));
    table.row("why", outcome::reason(&report.reason));
    table.row("by", &report.requested_by);
    table.row("asked for", to_the_second(report.requested_at).to_string());
    if let (Some(ended), Some(took)) = (report.ended_at, outcome::took(report)) {
        let ended = to_the_second(ended);
        table.row("ended", format!("{ended}, after {}", units::span(took)));
    }
    table.row("document", report.document.to_string());
    let mut lines = table.lines();
    let mut part = |title: &str, part: Vec<String>| {
        if !part.is_empty() {
            lines.extend([String::new(), title.to_owned()]);
            lines.extend(part);
        }
    };
    part("changes", outcome::changes(report, paint));
    let mut installed = Columns::new([("", Align::Left); 4]);
    for (name, plugin) in &report.plugins {
        installed.row([
            format!("  {name}").into(),
            format!("{} {}", plugin.package, plugin.version).into(),
            (&plugin.publisher).into(),
            plugin.artifact.to_string().into(),
        ]);
    }
    for (name, digest) in &report.models {
        let by = report.computed_by.get(name);
        let by = by.map_or_else(String::new, ComputedBy::to_string);
        let name = format!("  model {name}");
        installed.row([name.into(), by.into(), "".into(), digest.to_string().into()]);
    }
    part("runs", installed.lines(paint));
    part("faults", report.faults.iter().map(outcome::fault).collect());
    lines
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::{full, table};
    use crate::cli::operate::outcome::tests::report;
    use crate::cli::output::Paint;
    use crate::deployment::report::{ComputedBy, FaultReport, Phase};
    use crate::inference::Device;
    use crate::names::{Digest, ModelName};
    use crate::spec::BackendKind;

    #[test]
    fn deployments_are_listed_with_how_they_ended() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut going = report(Phase::Probation);
        going.id.0 = 12;
        going.ended_at = None;
        going.requested_at = now - SignedDuration::from_secs(4);
        let lines = table(&[going, report(Phase::RolledBack)], now).lines(Paint::plain());
        let expected = [
            "ID  OUTCOME      NAME        VERSION  WHY        BY     WHEN             TOOK",
            "12  probation    press-line  1.2.0    submitted  uid 0  4 s ago",
            " 7  rolled-back  press-line  1.2.0    submitted  uid 0  1 min 40 s ago  3.2 s",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn one_deployment_is_told_in_full() {
        let mut report = report(Phase::RolledBack);
        report.faults.push(FaultReport {
            code: "guest-trapped".to_owned(),
            message: "plugin `window` trapped".to_owned(),
            plugin: None,
            place: None,
            help: None,
        });
        let model = "health".parse::<ModelName>().unwrap();
        let digest = Digest::of(b"");
        report.models.insert(model.clone(), digest);
        let by = ComputedBy {
            backend: BackendKind::Onnxruntime,
            provider: "cuda".to_owned(),
            device: Device::Gpu,
        };
        report.computed_by.insert(model, by);
        let lines = full(&report, Paint::plain());
        for line in [
            "deployment  7: press-line 1.2.0",
            "outcome     rolled-back",
            "ended       2027-01-15T07:58:23Z, after 3.2 s",
            "changes",
            "  ~  window      0.1.0 -> 0.2.0  paused 1.2 ms  state 1.0 MiB",
            "faults",
            "error: plugin `window` trapped [guest-trapped]",
        ] {
            assert!(
                lines.iter().any(|found| found == line),
                "{line}: {lines:#?}"
            );
        }
        let computed = "onnxruntime by cuda on the gpu";
        let told = |line: &String| line.starts_with("  model health") && line.contains(computed);
        assert!(lines.iter().any(told), "{lines:#?}");
    }
}
