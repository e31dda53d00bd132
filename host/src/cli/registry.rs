//! `selvedge registry`: a small registry over a store.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use selvedge_registry::{Access, Credentials, Layout, Server, ServerConfig};
use tokio_util::sync::CancellationToken;

use super::failure::{Failure, Outcome};
use super::output::say;
use super::signing_options::first_line;
use super::{Interrupts, log, wait};
use crate::config::LogConfig;

/// Bytes of one blob.
const BLOB_BYTES_MAX: u64 = 1 << 30;
/// Connections at once; more wait.
const CONNECTIONS_MAX: usize = 256;
/// Uploads under way at once.
const UPLOADS_MAX: usize = 64;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Serve the artifacts of a store: everyone who reaches it may pull.
    Serve(Serve),
}

#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    /// The store: an OCI image layout, made if it is not there.
    #[arg(value_name = "DIRECTORY")]
    store: PathBuf,
    /// Where to listen. Port 0: any that is free.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5000")]
    listen: SocketAddr,
    /// Let push whoever knows the `user:password` in the first line of this
    /// file. Without it, nobody may.
    #[arg(long, value_name = "FILE")]
    push_credentials_file: Option<PathBuf>,
    /// The certificate chain (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The certificate's private key (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
}

pub(super) fn run(command: &Command) -> Outcome {
    let Command::Serve(args) = command;
    let config = config(args)?;
    let layout = Layout::open(&args.store)?;
    log::start(&LogConfig::default());
    wait(async {
        let mut interrupts = Interrupts::listen();
        let server = Server::build(config, layout).await?;
        say(&format!("listening on {}", server.address()))?;
        let stop = CancellationToken::new();
        let mut serving = std::pin::pin!(server.run(stop.clone()));
        tokio::select! {
            served = &mut serving => served?,
            () = interrupts.next() => {
                stop.cancel();
                tokio::select! {
                    served = &mut serving => served?,
                    () = interrupts.next() => {}
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn config(args: &Serve) -> Outcome<ServerConfig> {
    let access = match &args.push_credentials_file {
        None => Access::ReadOnly,
        Some(file) => {
            let line = first_line(file)?;
            let (user, password) = line.split_once(':').ok_or_else(|| {
                Failure::usage(format!("{} does not hold `user:password`", file.display()))
            })?;
            Access::Push(Credentials {
                user: user.to_owned(),
                password: password.to_owned(),
            })
        }
    };
    let tls = match (&args.tls_certificate, &args.tls_key) {
        (Some(certificate), Some(key)) => Some((fs_err::read(certificate)?, fs_err::read(key)?)),
        _ => None,
    };
    Ok(ServerConfig {
        listen: args.listen,
        access,
        tls,
        blob_bytes_max: BLOB_BYTES_MAX,
        connections_max: CONNECTIONS_MAX,
        uploads_max: UPLOADS_MAX,
    })
}
