//! `selvedge backends`: what models can be run with here, and why not with the
//! rest.
//!
//! A host that runs is asked: it has the libraries loaded. Where none does, they
//! are loaded by this command as a host would, going by its configuration. Which
//! of both it was is said.

mod pin;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::client::HostError;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::host_options::HostOptions;
use crate::cli::output::{Align, Columns, Paint, json, say};
use crate::cli::{files, wait};
use crate::config::HostConfig;
use crate::inference::Backends;

/// Where a host that is a service has its configuration.
const USUAL_CONFIG: &str = "/etc/selvedge/host.toml";

pub(super) const AFTER_HELP: &str = "\
Examples:
  selvedge backends
  selvedge backends --host-config /etc/selvedge/host.toml
  selvedge backends pin /opt/onnxruntime/lib/libonnxruntime.so.1.32.0
  selvedge backends pin /opt/onnxruntime/lib/libonnxruntime.so.1.32.0 --json

Without a host that runs, and without `--host-config`, the configuration is
/etc/selvedge/host.toml if that is there.

Exit codes: 0 fine, 1 failure, 64 usage, 78 configuration.";

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Load what this configuration names, and ask no host.
    #[arg(long, value_name = "FILE", conflicts_with = "host")]
    host_config: Option<PathBuf>,
    #[command(flatten)]
    host: HostOptions,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print what host.toml has to say to allow a library as it is now.
    Pin(pin::Args),
}

/// Who says it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "source")]
enum Told {
    /// The host that runs, with what it has loaded.
    Host { backends: Value },
    /// This command, with what the configuration names; the defaults without one.
    Configuration {
        file: Option<PathBuf>,
        backends: Value,
    },
}

/// One of them: [`crate::inference::BackendStatus`].
#[derive(Debug, Deserialize)]
struct Backend {
    backend: String,
    version: Option<String>,
    library: Option<String>,
    digest: Option<String>,
    providers: Vec<Provider>,
    unavailable: Option<Unavailable>,
}

#[derive(Debug, Deserialize)]
struct Provider {
    provider: String,
    device: String,
    unavailable: Option<Unavailable>,
}

#[derive(Debug, Deserialize)]
struct Unavailable {
    code: String,
    reason: String,
    help: Option<String>,
}

pub(super) fn run(args: &Args) -> Outcome {
    if let Some(Command::Pin(args)) = &args.command {
        return pin::run(args);
    }
    let told = match &args.host_config {
        Some(path) => configured(Some(path))?,
        None => match asked(&args.host) {
            Some(told) => told?,
            None => configured(usual_config())?,
        },
    };
    if args.host.json {
        json(&told)?;
    } else {
        show(&told)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a host says; none if none runs where it usually would.
fn asked(host: &HostOptions) -> Option<Outcome<Told>> {
    let client = match host.client() {
        Ok(client) => client,
        Err(failure) => return Some(Err(failure)),
    };
    let answer = wait(async { Ok(client.get(client.url(&["backends"], &[])).await) });
    match answer {
        Ok(Err(HostError::Nobody { .. })) if !host.is_named() => None,
        Ok(Ok(answer)) => Some(Ok(Told::Host {
            backends: answer.json,
        })),
        Ok(Err(error)) => Some(Err(error.into())),
        Err(failure) => Some(Err(failure)),
    }
}

fn usual_config() -> Option<&'static Path> {
    let path = Path::new(USUAL_CONFIG);
    path.exists().then_some(path)
}

/// What a host with that configuration would say.
fn configured(path: Option<&Path>) -> Outcome<Told> {
    let config = match path {
        Some(path) => files::host_config(path).map_err(|faults| Failure::config(&faults))?,
        None => HostConfig::default(),
    };
    let backends = Backends::open(&config.inference).status();
    Ok(Told::Configuration {
        file: path.map(Path::to_owned),
        backends: serde_json::to_value(backends)?,
    })
}

fn show(told: &Told) -> Outcome<()> {
    let (by, backends) = match told {
        Told::Host { backends } => ("the host that runs".to_owned(), backends),
        Told::Configuration {
            file: Some(file),
            backends,
        } => (format!("{}, no host was asked", file.display()), backends),
        Told::Configuration {
            file: None,
            backends,
        } => (
            "no host runs, and there is no host.toml".to_owned(),
            backends,
        ),
    };
    let backends: Vec<Backend> = Vec::deserialize(backends)?;
    table(&backends).print(Paint::stdout())?;
    for line in reasons(&backends) {
        say(&line)?;
    }
    say("")?;
    say(&crate::deployment::document::fault::plain(&format!(
        "According to: {by}"
    )))
}

fn table(backends: &[Backend]) -> Columns<6> {
    let mut table = Columns::new([
        ("BACKEND", Align::Left),
        ("VERSION", Align::Left),
        ("COMPUTES BY", Align::Left),
        ("DEVICE", Align::Left),
        ("STATE", Align::Left),
        ("LIBRARY", Align::Left),
    ]);
    let state = |unavailable: &Option<Unavailable>| {
        let code = unavailable.as_ref().map(|why| why.code.clone());
        code.unwrap_or_else(|| "usable".to_owned())
    };
    for backend in backends {
        let version = backend.version.as_deref().unwrap_or("-");
        let library = match (&backend.library, &backend.digest) {
            (Some(library), Some(digest)) => {
                let short: String = digest.chars().take(19).collect();
                format!("{library} ({short}…)")
            }
            (Some(library), None) => library.clone(),
            (None, _) if backend.unavailable.is_none() => "built in".to_owned(),
            (None, _) => String::new(),
        };
        let mut row = |provider: &str, device: &str, state: String| {
            table.row([
                (&backend.backend).into(),
                version.into(),
                provider.into(),
                device.into(),
                state.into(),
                (&library).into(),
            ]);
        };
        if backend.providers.is_empty() || backend.unavailable.is_some() {
            row("-", "-", state(&backend.unavailable));
        } else {
            for provider in &backend.providers {
                let state = state(&provider.unavailable);
                row(&provider.provider, &provider.device, state);
            }
        }
    }
    table
}

/// Why each that cannot be used cannot, and what to do: lines fit for a terminal.
fn reasons(backends: &[Backend]) -> Vec<String> {
    let plain = crate::deployment::document::fault::plain;
    let mut lines = Vec::new();
    let mut tell = |what: String, why: &Unavailable| {
        lines.push(String::new());
        lines.push(plain(&format!("{what}: {}", why.reason)));
        let help = why.help.iter();
        lines.extend(help.map(|help| format!("  help: {}", plain(help))));
    };
    for backend in backends {
        if let Some(why) = &backend.unavailable {
            tell(backend.backend.clone(), why);
            continue;
        }
        for provider in &backend.providers {
            if let Some(why) = &provider.unavailable {
                let Provider {
                    provider, device, ..
                } = provider;
                let name = &backend.backend;
                let what = if provider == device {
                    format!("{name} by {provider}")
                } else {
                    format!("{name} by {provider} on the {device}")
                };
                tell(what, why);
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{Backend, reasons, table};
    use crate::cli::output::Paint;
    use crate::inference::{BackendStatus, Device, ModelFormat, ProviderStatus, Unavailable};
    use crate::names::Digest;
    use crate::spec::BackendKind;

    fn status(backend: BackendKind) -> BackendStatus {
        let provider = |provider: &str, device, unavailable| ProviderStatus {
            provider: provider.to_owned(),
            device,
            unavailable,
        };
        let no_driver = Unavailable {
            code: "no-device".to_owned(),
            reason: "there is no driver\u{1b}[2J".to_owned(),
            help: Some("install it".to_owned()),
        };
        BackendStatus {
            backend,
            version: Some("2026.4.1".to_owned()),
            library: Some("/opt/libopenvino_c.so".into()),
            digest: Some(Digest::of(b"")),
            formats: vec![ModelFormat::Onnx],
            providers: vec![
                provider("cpu", Device::Cpu, None),
                provider("gpu", Device::Gpu, Some(no_driver)),
            ],
            unavailable: None,
        }
    }

    #[test]
    fn what_cannot_be_used_is_listed_with_why_and_what_to_do() {
        let missing = BackendStatus {
            version: None,
            library: Some("/opt/libonnxruntime.so".into()),
            digest: None,
            providers: Vec::new(),
            unavailable: Some(Unavailable {
                code: "library-missing".to_owned(),
                reason: "there is no /opt/libonnxruntime.so".to_owned(),
                help: None,
            }),
            ..status(BackendKind::Onnxruntime)
        };
        let told = serde_json::to_value([status(BackendKind::Openvino), missing]).unwrap();
        let backends: Vec<Backend> = serde_json::from_value(told).unwrap();
        let expected = [
            "BACKEND      VERSION   COMPUTES BY  DEVICE  STATE            LIBRARY",
            "openvino     2026.4.1  cpu          cpu     usable           \
             /opt/libopenvino_c.so (sha256:e3b0c44298fc…)",
            "openvino     2026.4.1  gpu          gpu     no-device        \
             /opt/libopenvino_c.so (sha256:e3b0c44298fc…)",
            "onnxruntime  -         -            -       library-missing  /opt/libonnxruntime.so",
        ];
        assert_eq!(table(&backends).lines(Paint::plain()), expected);
        let expected = [
            "",
            "openvino by gpu: there is no driver\\u{1b}[2J",
            "  help: install it",
            "",
            "onnxruntime: there is no /opt/libonnxruntime.so",
        ];
        assert_eq!(reasons(&backends), expected);
    }
}
