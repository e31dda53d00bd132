//! `selvedge verify`: may it run, and by whose word?

use std::process::ExitCode;

use jiff::Timestamp;
use selvedge_artifact::{ArtifactKind, Manifest, Reference};
use selvedge_signing::{
    Attestation, Candidate, Device, Origin, Purpose, Refusal, Request, Signer, Verifier,
};
use serde_json::{Value, json};

use crate::artifacts::candidate;
use crate::error_chain::ErrorChain;
use crate::names::Digest;

use super::failure::Outcome;
use super::output::{self, Table};
use super::progress::Bars;
use super::registry_options::RegistryOptions;
use super::trust_options::TrustOptions;
use super::{EXIT_FAILURE, wait};

#[derive(Debug, clap::Args)]
#[command(after_help = "Ends with exit code 1 if it may not run.")]
pub(super) struct Args {
    /// The artifact: with its digest, from the host's store if it is there; else
    /// from its registry.
    #[arg(value_name = "REFERENCE")]
    reference: Reference,
    /// Say it as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: TrustOptions,
    #[command(flatten)]
    registry: RegistryOptions,
}

/// What is told of something that may run.
struct Verified {
    origin: Origin,
    /// Of a plugin, what the policy leaves it.
    imports_allowed: Option<Vec<String>>,
}

pub(super) fn run(args: &Args) -> Outcome {
    let verifier = args.trust.verifier(&args.registry)?;
    let (digest, candidate) = find(&args.reference, &args.registry)?;
    let request = Request {
        package: args.reference.package().clone(),
        version: args.reference.tag().and_then(|tag| tag.version()),
        digest: Some(digest),
    };
    let device = Device {
        now: Timestamp::now(),
        purpose: Purpose::Install,
        version_seen: None,
        accepted: &[],
    };
    let is_model = Manifest::parse(&candidate.manifest)
        .is_ok_and(|manifest| ArtifactKind::of(&manifest) == Some(ArtifactKind::Model));
    let verdict = if is_model {
        let verified = verifier.verify_model(&request, &candidate, &device);
        verified.map(|model| Verified {
            origin: model.into_origin(),
            imports_allowed: None,
        })
    } else {
        let verified = verifier.verify(&request, &candidate, &device);
        verified.map(|artifact| Verified {
            imports_allowed: artifact.imports_allowed().map(<[_]>::to_vec),
            origin: artifact.into_origin(),
        })
    };
    let pinned = args.reference.with_digest(digest);
    if args.json {
        output::json(&as_json(&pinned, &verdict, &verifier))?;
    } else {
        table(&pinned, &verdict, &verifier).print()?;
    }
    Ok(match verdict {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(EXIT_FAILURE),
    })
}

/// The artifact, from the host's store if that has it by its digest and may be
/// read, else from its registry: what a tag means, only a registry can say.
pub(super) fn find(
    reference: &Reference,
    options: &RegistryOptions,
) -> Outcome<(Digest, Candidate)> {
    let pinned = reference.digest().is_some();
    let stored = pinned && options.host()?.artifacts_directory().is_dir();
    if let Some(store) = stored.then(|| options.store().ok()).flatten()
        && let Some(manifest) = store.find(reference)?
    {
        return Ok((
            manifest.digest,
            candidate(store.layout(), &manifest.digest)?,
        ));
    }
    let passing = options.passing()?;
    let artifacts = &passing.artifacts;
    let pulled = wait(async { Ok(artifacts.pull(reference, &Bars::new()).await?) })?;
    let digest = pulled.manifest.digest;
    Ok((digest, candidate(artifacts.layout(), &digest)?))
}

/// Who signed, in a line.
pub(super) fn signer(signer: &Signer) -> String {
    match signer {
        Signer::Identity { issuer, identity } => format!("{identity} (by {issuer})"),
        Signer::Key { key } => format!("key {key}"),
    }
}

fn table(reference: &Reference, verdict: &Result<Verified, Refusal>, verifier: &Verifier) -> Table {
    let mut table = Table::default();
    table.row("artifact", reference.to_string());
    match verdict {
        Ok(artifact) => {
            let origin = &artifact.origin;
            table.row("verdict", "may run");
            let package = origin.package();
            table.row("package", format!("{package} {}", origin.version()));
            let what = match origin.kind() {
                ArtifactKind::Plugin => "component",
                ArtifactKind::Model => "model",
            };
            table.row(what, origin.component_digest().to_string());
            table.row("publisher", origin.publisher());
            table.row("signed by", signer(origin.signer()));
            table.row("signed at", origin.signed_at().to_string());
            table.row("policy line", format!("packages `{}`", origin.rule()));
            for attestation in origin.attestations() {
                let Attestation {
                    predicate_type,
                    publisher,
                    signed_at,
                    ..
                } = attestation;
                let line = format!("{predicate_type} by {publisher} at {signed_at}");
                table.row("attestation", line);
            }
            match &artifact.imports_allowed {
                Some(imports) => table.row("may import", imports.join(", ")),
                None if origin.kind() == ArtifactKind::Model => {}
                None => table.row("may import", "what its deployment grants"),
            }
        }
        Err(refusal) => {
            table.row("verdict", "REFUSED");
            table.row("step", refusal.step().to_string());
            table.row("reason", ErrorChain(refusal).to_string());
            table.row("code", refusal.code());
            if let Some(hint) = refusal.hint() {
                table.row("help", hint);
            }
        }
    }
    let expires = verifier.expires().map(|expires| expires.to_string());
    table.row("policy until", expires.as_deref().unwrap_or("for ever"));
    table
}

/// What became of each bundle, if none was a release.
fn bundles(refusal: &Refusal) -> Vec<Value> {
    let Refusal::Unreleased(unreleased) = refusal else {
        return Vec::new();
    };
    let reasons = unreleased.reasons();
    let reasons = reasons
        .map(|reason| json!({ "code": reason.code(), "reason": ErrorChain(reason).to_string() }));
    reasons.collect()
}

fn as_json(
    reference: &Reference,
    verdict: &Result<Verified, Refusal>,
    verifier: &Verifier,
) -> Value {
    let signer = |signer: &Signer| match signer {
        Signer::Identity { issuer, identity } => json!({ "issuer": issuer, "identity": identity }),
        Signer::Key { key } => json!({ "key": key }),
    };
    let mut report = match verdict {
        Ok(artifact) => json!({
            "ok": true,
            "kind": artifact.origin.kind(),
            "package": artifact.origin.package(),
            "version": artifact.origin.version(),
            "component": artifact.origin.component_digest(),
            "publisher": artifact.origin.publisher(),
            "signer": signer(artifact.origin.signer()),
            "signed_at": artifact.origin.signed_at(),
            "policy_line": artifact.origin.rule(),
            "imports_allowed": artifact.imports_allowed,
            "attestations": artifact.origin.attestations().iter().map(|attestation| json!({
                "predicate_type": attestation.predicate_type,
                "publisher": attestation.publisher,
                "signer": signer(&attestation.signer),
                "signed_at": attestation.signed_at,
            })).collect::<Vec<_>>(),
        }),
        Err(refusal) => json!({
            "ok": false,
            "step": refusal.step().to_string(),
            "code": refusal.code(),
            "reason": ErrorChain(refusal).to_string(),
            "help": refusal.hint(),
            "bundles": bundles(refusal),
        }),
    };
    if let Value::Object(fields) = &mut report {
        fields.insert("reference".to_owned(), json!(reference));
        fields.insert("policy_until".to_owned(), json!(verifier.expires()));
    }
    report
}
