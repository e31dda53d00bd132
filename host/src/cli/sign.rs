//! `selvedge sign`: signs an artifact in a registry, or a statement about one.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytes::Bytes;
use selvedge_artifact::{Annotations, Descriptor, Reference, attachment, media_type};
use selvedge_signing::{SignatureBundle, predicate_type};
use serde_json::Value;

use super::failure::{Failure, Outcome};
use super::output::say;
use super::progress::Bars;
use super::registry_options::RegistryOptions;
use super::signing_options::SigningOptions;
use super::wait;

/// Annotation of an attached bundle: what it states, so that others need not
/// open it (as cosign writes it).
const PREDICATE_TYPE: &str = "dev.sigstore.bundle.predicateType";
/// Bytes of a predicate.
const PREDICATE_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The artifact, with its digest: what a tag means, the registry says, and
    /// it could have anything signed.
    #[arg(value_name = "REFERENCE")]
    reference: Reference,
    /// State this instead of a release: a predicate type, `https://…`.
    #[arg(long, value_name = "TYPE", requires = "predicate")]
    predicate_type: Option<String>,
    /// The predicate (JSON). A bill of materials needs no `--predicate-type`.
    #[arg(long, value_name = "FILE")]
    predicate: Option<PathBuf>,
    /// Attach this bundle, which another tool has made, instead of signing.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["predicate", "key", "identity_token_file"])]
    bundle: Option<PathBuf>,
    #[command(flatten)]
    signing: SigningOptions,
    #[command(flatten)]
    registry: RegistryOptions,
}

/// A bundle to be attached.
#[derive(Debug)]
pub(super) struct Signed {
    pub(super) kind: String,
    pub(super) bytes: Bytes,
}

impl Signed {
    pub(super) fn new(kind: &str, bytes: Bytes) -> Self {
        let kind = kind.to_owned();
        Self { kind, bytes }
    }

    pub(super) fn annotations(&self) -> Annotations {
        [(PREDICATE_TYPE.to_owned(), self.kind.clone())].into()
    }
}

pub(super) fn run(args: &Args) -> Outcome {
    let signer = match &args.bundle {
        Some(_) => None,
        None if args.reference.digest().is_none() => {
            return Err(Failure::usage(format!(
                "which artifact? `{}` is what its registry says it is by now; name the digest that `selvedge publish` printed",
                args.reference
            )));
        }
        None => Some(args.signing.required()?),
    };
    let predicate = args.predicate.as_deref().map(read_json).transpose()?;
    let client = args.registry.client()?;
    wait(async {
        let (manifest, _) = client.manifest(&args.reference).await?;
        let signed = match (&signer, &args.bundle) {
            (Some(signer), _) => {
                let (kind, statement) = statement(args, predicate.as_ref(), &manifest)?;
                Signed::new(&kind, signer.sign(&statement).await?)
            }
            (None, Some(path)) => foreign(path)?,
            (None, None) => return Err(Failure::usage("who signs?")),
        };
        let attached = attachment(
            manifest.clone(),
            media_type::SIGSTORE_BUNDLE,
            signed.bytes.clone(),
            signed.annotations(),
        );
        let bars = Bars::new();
        client.attach(&args.reference, &attached, &bars).await?;
        say(&format!(
            "attached to {}: `{}`",
            manifest.digest, signed.kind
        ))?;
        Ok(ExitCode::SUCCESS)
    })
}

/// What is stated about `manifest`, and the kind of statement.
fn statement(
    args: &Args,
    predicate: Option<&Value>,
    manifest: &Descriptor,
) -> Outcome<(String, Vec<u8>)> {
    let (package, digest) = (args.reference.package(), &manifest.digest);
    let Some(predicate) = predicate else {
        let statement = selvedge_signer::release(package, digest);
        return Ok((predicate_type::RELEASE.to_owned(), statement));
    };
    let kind = args.predicate_type.as_deref();
    let kind = kind
        .or_else(|| sbom_type(predicate))
        .ok_or_else(|| Failure::usage("what does it state? name `--predicate-type`"))?;
    let statement = selvedge_signer::attestation(package, digest, kind, predicate);
    Ok((kind.to_owned(), statement))
}

/// A bundle that another tool has made.
fn foreign(path: &Path) -> Outcome<Signed> {
    let bytes = fs_err::read(path)?;
    let bundle = SignatureBundle::parse(&bytes).map_err(|error| Failure::about(path, error))?;
    let kind = bundle.predicate_type_claimed();
    let kind = kind.unwrap_or_else(|| "the artifact itself".to_owned());
    let bytes = bytes.into();
    Ok(Signed { kind, bytes })
}

/// What a bill of materials says it is.
pub(super) fn sbom_type(sbom: &Value) -> Option<&'static str> {
    if sbom.get("bomFormat").and_then(Value::as_str) == Some("CycloneDX") {
        return Some(predicate_type::CYCLONEDX);
    }
    sbom.get("spdxVersion").map(|_| predicate_type::SPDX)
}

/// The JSON in a file.
pub(super) fn read_json(path: &Path) -> Outcome<Value> {
    use std::io::Read as _;

    let mut bytes = Vec::new();
    let file = fs_err::File::open(path)?;
    file.take(PREDICATE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > PREDICATE_BYTES_MAX {
        let what = format!("it has more than {PREDICATE_BYTES_MAX} bytes");
        return Err(Failure::about(path, what));
    }
    serde_json::from_slice(&bytes).map_err(|error| Failure::about(path, error))
}
