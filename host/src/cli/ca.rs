//! `selvedge ca`: the site's own authority.
//!
//! It is kept in the data directory. The host need not run, and sees what changes
//! by itself if it does.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;

use super::device::site::SiteOptions;
use super::failure::Outcome;
use super::output::{Table, json, say, to_the_second};
use crate::devices::{Authority, AuthorityFiles, Issued, KeyType, NewAuthority};

const AFTER_HELP_INIT: &str = "\
Examples:
  selvedge ca init
  selvedge ca init --san gateway.plant.example --host-config /etc/selvedge/host.toml
  selvedge ca init --from plant-ca.crt plant-ca.key

The folder `ca` in the data directory holds it: ca.crt and ca.key (keep it, and
nobody else), crl.pem, and server.crt and server.key for this gateway, which the
host renews by itself.

Exit codes: 0 fine, 1 failure, 64 usage, 78 configuration.";
const AFTER_HELP_RENEW: &str = "\
Examples:
  selvedge ca renew-server
  selvedge ca renew-server --san gateway.plant.example --san 10.0.0.7

Exit codes: 0 fine, 1 failure, 64 usage, 78 configuration.";
const AFTER_HELP_SHOW: &str = "Exit codes: 0 fine, 1 failure, 64 usage, 78 configuration.";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make the authority, and the certificate of this gateway. What is there is
    /// never overwritten.
    #[command(after_help = AFTER_HELP_INIT)]
    Init(Init),
    /// Give this gateway a new certificate, for all its names and addresses.
    #[command(after_help = AFTER_HELP_RENEW)]
    RenewServer(RenewServer),
    /// Say what the authority is, and how long it lasts.
    #[command(after_help = AFTER_HELP_SHOW)]
    Show(Show),
}

#[derive(Debug, clap::Args)]
pub(super) struct Init {
    /// What the authority is called in its certificate.
    #[arg(long, value_name = "NAME", conflicts_with = "from", value_parser = name)]
    name: Option<String>,
    /// For how many days it vouches: ten years.
    #[arg(long, value_name = "DAYS", default_value_t = 3653, conflicts_with = "from", value_parser = clap::value_parser!(u32).range(1..=36_525))]
    days: u32,
    /// What kind of key it has.
    #[arg(
        long,
        value_name = "KIND",
        value_enum,
        default_value_t,
        conflicts_with = "from"
    )]
    key_type: KeyType,
    /// Take an authority that is there instead of making one: its certificate,
    /// followed by those that vouch for it, and its key (PEM).
    #[arg(long, num_args = 2, value_names = ["CERTIFICATE", "KEY"])]
    from: Option<Vec<PathBuf>>,
    /// Another name or address of this gateway. Its host name, `localhost` and all
    /// its addresses are known.
    #[arg(long = "san", value_name = "NAME")]
    names: Vec<String>,
    /// Say it as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    site: SiteOptions,
}

#[derive(Debug, clap::Args)]
pub(super) struct RenewServer {
    /// Another name or address of this gateway, instead of those given last time.
    #[arg(long = "san", value_name = "NAME")]
    names: Vec<String>,
    /// Say it as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    site: SiteOptions,
}

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// Say it as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    site: SiteOptions,
}

/// An authority as programs read of it.
#[derive(Debug, Serialize)]
struct Shown {
    certificate: PathBuf,
    fingerprint: String,
    not_after: Timestamp,
    crl: PathBuf,
    server_certificate: PathBuf,
    certificates: usize,
    revoked: usize,
}

/// A certificate of this gateway as programs read of it.
#[derive(Debug, Serialize)]
struct Renewed {
    certificate: PathBuf,
    fingerprint: String,
    serial: String,
    not_after: Timestamp,
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::Init(args) => init(args),
        Command::RenewServer(args) => renew_server(args),
        Command::Show(args) => {
            let site = args.site.open()?;
            show(&site.authority()?, args.json)
        }
    }
}

fn init(args: &Init) -> Outcome {
    let site = args.site.open()?;
    let from = match args.from.as_deref() {
        Some([certificate, key]) => Some((certificate.clone(), key.clone())),
        _ => None,
    };
    let new = NewAuthority {
        name: args.name.clone().unwrap_or_else(default_name),
        days: args.days,
        key_type: args.key_type,
        from,
        server_names: args.names.clone(),
    };
    let authority = Authority::create(&site.data_directory, &new)?;
    if args.json {
        return show(&authority, true);
    }
    let AuthorityFiles {
        chain,
        crl,
        server_certificate,
        ..
    } = authority.files();
    let key = chain.with_file_name("ca.key");
    let line = |path: &Path, what: &str| say(&format!("{}: {what}", path.display()));
    line(chain, "the authority, for devices to trust")?;
    line(&key, "its key; keep it, and nobody else")?;
    line(crl, "what is revoked")?;
    line(server_certificate, "the certificate of this gateway")?;
    say(&format!("fingerprint: {}", authority.fingerprint()?))?;
    Ok(ExitCode::SUCCESS)
}

fn renew_server(args: &RenewServer) -> Outcome {
    let site = args.site.open()?;
    let authority = site.authority()?;
    let Issued {
        fingerprint,
        serial,
        not_after,
        ..
    } = authority.renew_server(&args.names)?;
    let certificate = authority.files().server_certificate.clone();
    if args.json {
        json(&Renewed {
            certificate,
            fingerprint: fingerprint.to_string(),
            serial,
            not_after,
        })?;
    } else {
        let (path, until) = (certificate.display(), to_the_second(not_after));
        say(&format!("{path}: good until {until}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(authority: &Authority, as_json: bool) -> Outcome {
    let records = authority.records()?;
    let files = authority.files();
    let shown = Shown {
        certificate: files.chain.clone(),
        fingerprint: authority.fingerprint()?.to_string(),
        not_after: authority.not_after()?,
        crl: files.crl.clone(),
        server_certificate: files.server_certificate.clone(),
        certificates: records.len(),
        revoked: records.iter().filter(|one| one.revoked.is_some()).count(),
    };
    if as_json {
        json(&shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::default();
    table.row("certificate", shown.certificate.display().to_string());
    table.row("fingerprint", shown.fingerprint);
    table.row("ends", to_the_second(shown.not_after).to_string());
    table.row("issued", shown.certificates.to_string());
    table.row("revoked", shown.revoked.to_string());
    table.print()?;
    Ok(ExitCode::SUCCESS)
}

fn default_name() -> String {
    match crate::devices::host_name() {
        Some(host) => format!("Selvedge site authority of {host}"),
        None => "Selvedge site authority".to_owned(),
    }
}

/// What may stand in a certificate and a log.
fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_alphanumeric() || " .,-_'()".contains(c);
    match (1..=64).contains(&text.len()) && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("expected 1 to 64 letters, digits, spaces and `.,-_'()`".to_owned()),
    }
}
