//! `selvedge keygen`: keys, and one's own timestamp authority.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::Timestamp;
use selvedge_signer::{SigningKey, TimestampAuthority, TrustedRootBuilder};

use super::failure::{Failure, Outcome};
use super::output::say;
use super::signing_options::first_line;

/// How long a timestamp authority is believed: ten years.
const AUTHORITY_DAYS: u32 = 3653;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What the files are called: NAME.key and NAME.pub.
    #[arg(value_name = "NAME", default_value = "selvedge")]
    name: PathBuf,
    /// Encrypt the key with the password in the first line of this file.
    #[arg(long, value_name = "FILE", conflicts_with = "no_password")]
    password_file: Option<PathBuf>,
    /// Leave the key unencrypted: whoever reads the file can sign.
    #[arg(long)]
    no_password: bool,
    /// Make a timestamp authority instead: NAME.tsa.pem, which stays where it
    /// is, and NAME.root.json, which the policy names.
    #[arg(long, conflicts_with_all = ["password_file", "no_password"])]
    timestamp_authority: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    if args.timestamp_authority {
        authority(&args.name)?;
    } else {
        key(args)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn key(args: &Args) -> Outcome<()> {
    let password = args.password_file.as_deref().map(first_line).transpose()?;
    if password.as_ref().is_none_or(String::is_empty) && !args.no_password {
        return Err(Failure::usage(
            "a key needs a password: name `--password-file`, or say `--no-password`",
        ));
    }
    let (secret, public) = (named(&args.name, "key"), named(&args.name, "pub"));
    let key = SigningKey::generate()?;
    key.write(&secret, password.as_deref())?;
    write_new(&public, key.public_pem().as_bytes())?;
    say(&format!(
        "{}: the private key; keep it, and nobody else",
        secret.display()
    ))?;
    say(&format!(
        "{}: the public key, for the policy",
        public.display()
    ))
}

fn authority(name: &Path) -> Outcome<()> {
    let (secret, public) = (named(name, "tsa.pem"), named(name, "root.json"));
    let subject = name
        .file_name()
        .unwrap_or(name.as_os_str())
        .to_string_lossy();
    let now = Timestamp::now();
    let authority = TimestampAuthority::generate(&subject, now, AUTHORITY_DAYS)?;
    authority.write(&secret)?;
    // The certificate says since when; a device whose clock is behind would drop
    // an authority that begins later.
    let root = TrustedRootBuilder::default()
        .timestamp_authority(&authority.chain(), Timestamp::UNIX_EPOCH);
    write_new(&public, &root.to_bytes())?;
    let secret = secret.display();
    say(&format!(
        "{secret}: the authority; whoever has it can date signatures back"
    ))?;
    say(&format!(
        "{}: the trusted root, for the policy",
        public.display()
    ))
}

/// `NAME.ending`, whatever dots the name has.
fn named(name: &Path, ending: &str) -> PathBuf {
    let mut name = name.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn write_new(path: &Path, bytes: &[u8]) -> Outcome<()> {
    use std::io::Write as _;

    let mut file = fs_err::File::create_new(path)?;
    file.write_all(bytes)?;
    Ok(file.sync_all()?)
}
