//! What machines and operators read of a refusal besides its message.

use crate::refusal::{BundleRefusal, Refusal, Step};
use selvedge_artifact::foreign::cut;

/// Names that are listed in a message.
const NAMES_SHOWN_MAX: usize = 5;

impl Refusal {
    /// Where in the decision.
    pub fn step(&self) -> Step {
        match self {
            Self::PolicyExpired { .. } => Step::Policy,
            Self::NotGranted(_) | Self::Denied { .. } | Self::KindNotGranted { .. } => Step::Grant,
            Self::ResumeWithoutDigest(_)
            | Self::DigestMismatch { .. }
            | Self::ManifestInvalid(_)
            | Self::ConfigType { .. }
            | Self::LayerCount(_)
            | Self::LayerType { .. }
            | Self::ConfigMismatch(_)
            | Self::ComponentMismatch(_)
            | Self::LayersMissing { .. }
            | Self::FileMismatch(_)
            | Self::ModelInvalid(_)
            | Self::ConfigInvalid(_)
            | Self::ConfigLayers
            | Self::NativeCode
            | Self::CoreModule
            | Self::NotAComponent => Step::Integrity,
            Self::Unsigned(_) | Self::Unreleased(_) => Step::Release,
            Self::AnnotationMissing(_)
            | Self::AnnotationInvalid { .. }
            | Self::OtherPackage { .. }
            | Self::OtherVersion(_)
            | Self::PluginManifest { .. } => Step::Name,
            Self::AttestationMissing { .. } => Step::Attestations,
            Self::DigestRevoked(_) | Self::PublisherRevoked { .. } => Step::Revocation,
            Self::BelowFloor(_) | Self::Downgrade(_) => Step::Version,
        }
    }

    /// A stable name for exit messages, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::PolicyExpired { .. } => "policy-expired",
            Self::NotGranted(_) => "package-not-granted",
            Self::Denied { .. } => "package-denied",
            Self::KindNotGranted { .. } => "kind-not-granted",
            Self::ResumeWithoutDigest(_) => "resume-without-digest",
            Self::DigestMismatch { .. } => "digest-mismatch",
            Self::ManifestInvalid(_) => "manifest-invalid",
            Self::ConfigType { .. } => "config-type-unsupported",
            Self::LayerCount(_) => "layer-count-unsupported",
            Self::LayerType { .. } => "layer-type-unsupported",
            Self::ConfigMismatch(_) => "config-mismatch",
            Self::ComponentMismatch(_) => "component-mismatch",
            Self::LayersMissing { .. } => "layers-missing",
            Self::FileMismatch(_) => "file-mismatch",
            Self::ModelInvalid(_) => "model-invalid",
            Self::ConfigInvalid(_) => "config-invalid",
            Self::ConfigLayers => "config-layers-mismatch",
            Self::NativeCode => "native-code",
            Self::CoreModule => "core-module",
            Self::NotAComponent => "not-a-component",
            Self::Unsigned(_) => "unsigned",
            Self::Unreleased(_) => "not-released",
            Self::AnnotationMissing(_) => "annotation-missing",
            Self::AnnotationInvalid { .. } => "annotation-invalid",
            Self::OtherPackage { .. } => "package-mismatch",
            Self::OtherVersion(_) => "version-mismatch",
            Self::PluginManifest { .. } => "plugin-manifest-mismatch",
            Self::AttestationMissing { .. } => "attestation-missing",
            Self::DigestRevoked(_) => "digest-revoked",
            Self::PublisherRevoked { .. } => "publisher-revoked",
            Self::BelowFloor(_) => "version-below-floor",
            Self::Downgrade(_) => "version-downgrade",
        }
    }

    /// What an operator can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::PolicyExpired { .. } => {
                "bring a newer copy of the trust repository to the device; what was installed keeps running"
            }
            Self::NotGranted(_) => "add a grant for the package to the policy",
            Self::KindNotGranted { kind, .. } => {
                return Some(format!(
                    "name `--kind {kind}` in the policy's grant: `selvedge policy add grant`"
                ));
            }
            Self::DigestMismatch { .. }
            | Self::ConfigMismatch(_)
            | Self::ComponentMismatch(_)
            | Self::FileMismatch(_) => {
                "the copy is damaged or was changed on its way: pull it again, from elsewhere if it stays so"
            }
            Self::NativeCode => "publish the component; each device compiles it for itself",
            Self::CoreModule => "build it for `wasm32-wasip2`",
            Self::Unsigned(_) => {
                "sign it, and mirror the signatures with it: they are the manifest's referrers"
            }
            Self::Unreleased(_) => {
                "compare who signed it with who may release it; a statement about it is no release"
            }
            Self::AnnotationMissing(_) => "publish it anew with its name and version",
            Self::AttestationMissing { .. } => {
                "attach the statement, signed by one of these, and mirror it with the artifact"
            }
            Self::DigestRevoked(_) => "install a version that is not revoked",
            Self::PublisherRevoked { .. } => {
                "have it signed anew by a publisher who is not revoked"
            }
            Self::Downgrade(mark) => {
                return Some(format!(
                    "to go back on purpose, add `{}` to `downgrade` of `{}` in the policy",
                    mark.found, mark.package
                ));
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// What became of the bundles, where that is the reason.
    pub fn bundles(&self) -> Vec<&BundleRefusal> {
        match self {
            Self::Unreleased(unreleased) => unreleased.reasons().collect(),
            Self::AttestationMissing { bundles, .. } => bundles.iter().collect(),
            _ => Vec::new(),
        }
    }
}

/// Names in a sentence: `a`; one of `a`, `b`.
pub(super) fn one_of(names: &[String]) -> String {
    let shown = names.iter().take(NAMES_SHOWN_MAX);
    let shown: Vec<String> = shown.map(|name| format!("`{}`", cut(name))).collect();
    let more = match names.len().checked_sub(NAMES_SHOWN_MAX) {
        Some(more @ 1..) => format!(" and {more} more"),
        _ => String::new(),
    };
    match names {
        [] => "nobody".to_owned(),
        [_] => shown.concat(),
        _ => format!("one of {}{more}", shown.join(", ")),
    }
}
