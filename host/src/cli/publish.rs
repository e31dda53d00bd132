//! `selvedge publish`: packages a component, signs it and brings it to a registry.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytes::Bytes;
use jiff::Timestamp;
use selvedge_artifact::{
    Digest, PackageName, Packaged, PluginManifest, Reference, Release, Tag, attachment, media_type,
};
use selvedge_signing::predicate_type;
use semver::Version;
use serde::Serialize;

use super::failure::{Failure, Outcome};
use super::output::{json, say};
use super::progress::Bars;
use super::registry_options::RegistryOptions;
use super::signing_options::{Signer, SigningOptions};
use super::{sign, wait};
use crate::runtime::component;

const EXAMPLES: &str = "\
Examples:
  selvedge publish hot.wasm registry.example/acme/hot --key acme.key --timestamp-authority clock.tsa.pem
  selvedge publish hot.wasm registry.example/acme/hot --identity-token-file token \\
    --fulcio-url https://fulcio.sigstore.dev --rekor-url https://rekor.sigstore.dev";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The component.
    #[arg(value_name = "COMPONENT")]
    component: PathBuf,
    /// Where to, without a tag: `registry.example/acme/thermostat`. The tag is
    /// the version.
    #[arg(value_name = "REFERENCE")]
    to: Reference,
    /// The plugin's manifest; without it, `plugin.toml` beside the component, if
    /// it is there.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// The version, where there is no manifest to say it.
    #[arg(long, value_name = "VERSION")]
    version: Option<Version>,
    /// Let a version that was published before mean something else from now on.
    #[arg(long)]
    replace: bool,
    /// Publish without a signature; it runs nowhere until `selvedge sign` was
    /// used on it.
    #[arg(long)]
    unsigned: bool,
    /// Say what was published as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    statements: Statements,
    #[command(flatten)]
    signing: SigningOptions,
    #[command(flatten)]
    registry: RegistryOptions,
}

/// What is stated about what is published.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Statements {
    /// A bill of materials to sign and attach (CycloneDX or SPDX, JSON).
    #[arg(long, value_name = "FILE")]
    sbom: Option<PathBuf>,
    /// How it was built, to sign and attach (SLSA provenance predicate, JSON).
    #[arg(long, value_name = "FILE")]
    provenance: Option<PathBuf>,
}

/// What was published.
#[derive(Debug, Serialize)]
struct Published {
    /// With tag and digest, as a deployment names it.
    reference: String,
    version: Version,
    digest: String,
    component_bytes: usize,
    attached: Vec<String>,
}

pub(super) fn run(args: &Args) -> Outcome {
    let release = release(args)?;
    let (signer, statements) = args.statements.signed_by(&args.signing, args.unsigned)?;
    let client = args.registry.client()?;
    wait(async {
        let published = publish(args, release, signer, statements, &client).await?;
        if args.json {
            json(&published)?;
        } else {
            say(&published.reference)?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn publish(
    args: &Args,
    release: Release,
    signer: Option<Signer>,
    statements: Vec<Statement>,
    client: &selvedge_registry::Client,
) -> Outcome<Published> {
    let (version, component_bytes) = (release.version.clone(), release.component.len());
    let reference = args.to.with_tag(Tag::for_version(&version)?);
    let packaged = release.package()?;
    let (digest, package) = (packaged.digest(), reference.package().clone());
    // Signed before anything leaves: what cannot be signed is not published.
    let bundles = bundles(signer.as_ref(), &package, &digest, &statements).await?;
    unless_released(client, &reference, &digest, args.replace).await?;
    push(client, &reference, &packaged, &bundles).await?;
    Ok(Published {
        reference: reference.with_digest(digest).to_string(),
        version,
        digest: digest.to_string(),
        component_bytes,
        attached: bundles.into_iter().map(|bundle| bundle.kind).collect(),
    })
}

/// The release and what is stated besides, signed; nothing if nobody signs.
pub(super) async fn bundles(
    signer: Option<&Signer>,
    package: &PackageName,
    digest: &Digest,
    statements: &[Statement],
) -> Outcome<Vec<sign::Signed>> {
    let mut bundles = Vec::new();
    let Some(signer) = signer else {
        return Ok(bundles);
    };
    let statement = selvedge_signer::release(package, digest);
    bundles.push(sign::Signed::new(
        predicate_type::RELEASE,
        signer.sign(&statement).await?,
    ));
    for (kind, predicate) in statements {
        let statement = selvedge_signer::attestation(package, digest, kind, predicate);
        bundles.push(sign::Signed::new(kind, signer.sign(&statement).await?));
    }
    Ok(bundles)
}

/// Brings an artifact and its signatures to the registry.
pub(super) async fn push(
    client: &selvedge_registry::Client,
    reference: &Reference,
    packaged: &Packaged,
    bundles: &[sign::Signed],
) -> Outcome<()> {
    let bars = Bars::new();
    client.push(reference, packaged, &bars).await?;
    for bundle in bundles {
        let attached: Packaged = attachment(
            packaged.descriptor(),
            media_type::SIGSTORE_BUNDLE,
            bundle.bytes.clone(),
            bundle.annotations(),
        );
        client.attach(reference, &attached, &bars).await?;
    }
    Ok(())
}

/// Whoever pulled a version should get the same one tomorrow.
pub(super) async fn unless_released(
    client: &selvedge_registry::Client,
    reference: &Reference,
    digest: &Digest,
    replace: bool,
) -> Outcome<()> {
    if replace {
        return Ok(());
    }
    match client.manifest(reference).await {
        Ok((there, _)) if there.digest != *digest => Err(Failure::new(
            format!("`{reference}` was published before, as {}", there.digest),
            Some("give it another version, or name `--replace`".to_owned()),
        )),
        // It is the same, or not there; anything else, the push will say.
        _ => Ok(()),
    }
}

/// What is released, from the files that the arguments name.
fn release(args: &Args) -> Outcome<Release> {
    without_tag(&args.to)?;
    let component: Bytes = fs_err::read(&args.component)?.into();
    let summary = component::summary(&component);
    let summary = summary.map_err(|error| Failure::about(&args.component, error))?;
    let plugin = manifest(args)?;
    let version = match (&plugin, &args.version) {
        (Some(plugin), None) => plugin.version.clone(),
        (_, Some(version)) => version.clone(),
        (None, None) => {
            return Err(Failure::usage(
                "which version? write a `plugin.toml`, or name `--version`",
            ));
        }
    };
    Ok(Release {
        package: args.to.package().clone(),
        version,
        created: source_date_epoch()?,
        summary,
        plugin,
        component,
    })
}

/// The tag is made from the version.
pub(super) fn without_tag(to: &Reference) -> Outcome<()> {
    if to.tag().is_some() || to.digest().is_some() {
        return Err(Failure::usage(format!(
            "`{to}` names a tag or a digest; the version becomes the tag"
        )));
    }
    Ok(())
}

fn manifest(args: &Args) -> Outcome<Option<PluginManifest>> {
    let beside = args
        .component
        .parent()
        .unwrap_or(Path::new(""))
        .join("plugin.toml");
    let path = match &args.manifest {
        Some(path) => path,
        None if beside.exists() => &beside,
        None => return Ok(None),
    };
    let text = fs_err::read_to_string(path)?;
    let parsed = PluginManifest::parse(&text);
    let parsed = parsed.map_err(|error| Failure::about(path, error))?;
    Ok(Some(parsed))
}

/// When it was built, as reproducible builds say it.
pub(super) fn source_date_epoch() -> Outcome<Option<Timestamp>> {
    let Ok(seconds) = std::env::var("SOURCE_DATE_EPOCH") else {
        return Ok(None);
    };
    let seconds: i64 = seconds.parse()?;
    Ok(Some(Timestamp::from_second(seconds)?))
}

/// A predicate's type, and the predicate.
pub(super) type Statement = (String, serde_json::Value);

impl Statements {
    /// Who signs, and what besides the release; nobody only if that was asked for.
    pub(super) fn signed_by(
        &self,
        signing: &SigningOptions,
        unsigned: bool,
    ) -> Outcome<(Option<Signer>, Vec<Statement>)> {
        let signer = match signing.signer()? {
            None if !unsigned => Some(signing.required()?),
            signer => signer,
        };
        let statements = self.read()?;
        if signer.is_none() && !statements.is_empty() {
            return Err(Failure::usage("what is attached must be signed, too"));
        }
        Ok((signer, statements))
    }

    fn read(&self) -> Outcome<Vec<Statement>> {
        let mut statements = Vec::new();
        if let Some(path) = &self.sbom {
            let sbom = sign::read_json(path)?;
            let kind = sign::sbom_type(&sbom).ok_or_else(|| {
                Failure::usage(format!("{} is neither CycloneDX nor SPDX", path.display()))
            })?;
            statements.push((kind.to_owned(), sbom));
        }
        if let Some(path) = &self.provenance {
            let provenance = sign::read_json(path)?;
            statements.push((predicate_type::SLSA_PROVENANCE.to_owned(), provenance));
        }
        Ok(statements)
    }
}
