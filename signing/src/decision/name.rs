//! Step 5: is it the package and version that were asked for?
//!
//! What the signed manifest says counts, not where it was found: a genuine
//! release may stand under any name in a registry.

use selvedge_artifact::{Manifest, PackageName, media_type};
use semver::Version;

use crate::decision::{Artifact, Contents};
use crate::{Refusal, Request};
use selvedge_artifact::foreign::cut;

/// The version, as signed.
pub(super) fn check<C: Contents>(
    request: &Request,
    artifact: &Artifact<C>,
) -> Result<Version, Refusal> {
    let signed: PackageName = annotation(
        &artifact.manifest,
        media_type::PACKAGE,
        "a package, `acme/thermostat`",
    )?;
    let version: Version = annotation(
        &artifact.manifest,
        media_type::VERSION,
        "a version, `1.2.0`",
    )?;
    if signed != request.package {
        let asked = request.package.clone();
        return Err(Refusal::OtherPackage { asked, signed });
    }
    match &request.version {
        Some(asked) if *asked != version => {
            return Err(Refusal::OtherVersion(Box::new((asked.clone(), version))));
        }
        _ => {}
    }
    if let Some((name, of_manifest)) = artifact.contents.named()
        && (name != signed.name() || *of_manifest != version)
    {
        return Err(Refusal::PluginManifest {
            found: format!("{} {of_manifest}", cut(name)),
            signed: format!("{signed} {version}"),
        });
    }
    Ok(version)
}

fn annotation<T: std::str::FromStr>(
    manifest: &Manifest,
    annotation: &'static str,
    expected: &'static str,
) -> Result<T, Refusal> {
    let found = manifest.annotations.get(annotation);
    let found = found.ok_or(Refusal::AnnotationMissing(annotation))?;
    found.parse().map_err(|_| Refusal::AnnotationInvalid {
        annotation,
        found: cut(found),
        expected,
    })
}
