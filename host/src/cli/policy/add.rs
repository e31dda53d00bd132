//! `selvedge policy add`: whom a site trusts, and for what.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use selvedge_artifact::{ArtifactKind, Digest, PackageName, PackagePattern};
use selvedge_signing::{
    Grant, IdentityPattern, KeyPublisher, KeylessPublisher, Need, Policy, Publisher,
};
use semver::Version;

use super::SiteOptions;
use super::site::{Change, Site};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::files::complain;

/// The identity provider of GitHub's workflows.
const GITHUB: &str = "https://token.actions.githubusercontent.com";

#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// Know a publisher by a name: one with a key, or one with an identity.
    Publisher(Box<PublisherArgs>),
    /// Let publishers release packages.
    Grant(GrantArgs),
    /// Install no lower version of a package than this.
    Floor(FloorArgs),
    /// Let devices go back to this version of a package.
    Downgrade(FloorArgs),
}

const PUBLISHER_EXAMPLES: &str = "\
Examples:
  selvedge policy add publisher acme --key acme.pub --root clock.root.json
  selvedge policy add publisher acme-ci --root trusted_root.json \\
    --issuer https://token.actions.githubusercontent.com \\
    --identity 'https://github.com/acme/plugins/.github/workflows/release.yml@refs/tags/*' \\
    --claim source_repository_owner_identifier=1234567";

const GRANT_EXAMPLE: &str = "\
Examples:
  selvedge policy add grant 'acme/*' --by acme --need slsa-provenance
  selvedge policy add grant 'acme-models/*' --by acme-ml --kind model";

#[derive(Debug, clap::Args)]
#[command(after_help = PUBLISHER_EXAMPLES)]
pub(in crate::cli) struct PublisherArgs {
    /// What the policy calls the publisher.
    #[arg(value_name = "NAME")]
    name: String,
    /// The trusted root (`trusted_root.json`) of who says when it was signed,
    /// and, for identities, of the sigstore instance that certifies them.
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
    /// The public key: NAME.pub of `selvedge keygen`, or cosign's.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "identity",
        conflicts_with = "identity"
    )]
    key: Option<PathBuf>,
    /// The signature must be in a transparency log of the root.
    #[arg(long, requires = "key")]
    log: bool,
    /// The identity: an address, or a URI that may end in `*`.
    #[arg(long, value_name = "IDENTITY", requires = "issuer")]
    identity: Option<String>,
    /// The identity provider.
    #[arg(long, value_name = "URL", requires = "identity")]
    issuer: Option<String>,
    /// A claim that the certificate must make. For GitHub, pin
    /// `source_repository_owner_identifier`: names can be registered anew.
    #[arg(long = "claim", value_name = "NAME=VALUE", requires = "identity", value_parser = pair)]
    claims: Vec<(String, String)>,
    #[command(flatten)]
    site: SiteOptions,
}

#[derive(Debug, clap::Args)]
#[command(after_help = GRANT_EXAMPLE)]
pub(in crate::cli) struct GrantArgs {
    /// Which: `acme/thermostat`, `acme/*`, or `*`.
    #[arg(value_name = "PACKAGES")]
    packages: PackagePattern,
    /// The publishers who may release them, by the policy's names.
    #[arg(long, value_name = "NAME", required = true)]
    by: Vec<String>,
    /// What the packages may be.
    #[arg(long = "kind", value_name = "KIND", default_value = "plugin")]
    kinds: Vec<Kind>,
    /// What must be stated beside the release, and perhaps by whom:
    /// `slsa-provenance`, `cyclonedx=scanner`, `https://…`.
    #[arg(long = "need", value_name = "TYPE[=NAME]")]
    needs: Vec<String>,
    /// Interfaces that they may import, `wasi:sockets/tcp` or `wasi:sockets/*`;
    /// without it, the deployment alone decides.
    #[arg(long = "import", value_name = "INTERFACE")]
    imports: Vec<String>,
    #[command(flatten)]
    site: SiteOptions,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct FloorArgs {
    /// The package.
    #[arg(value_name = "PACKAGE")]
    package: PackageName,
    /// The version.
    #[arg(value_name = "VERSION")]
    version: Version,
    #[command(flatten)]
    site: SiteOptions,
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::Publisher(args) => publisher(args),
        Command::Grant(args) => grant(args),
        Command::Floor(args) => changed(&args.site, |policy| {
            policy
                .floor
                .insert(args.package.clone(), args.version.clone());
            // What may be gone back to is not below what may be installed.
            if let Some(versions) = policy.downgrade.get_mut(&args.package) {
                versions.retain(|version| *version >= args.version);
            }
            policy.downgrade.retain(|_, versions| !versions.is_empty());
        }),
        Command::Downgrade(args) => changed(&args.site, |policy| {
            let versions = policy.downgrade.entry(args.package.clone()).or_default();
            versions.insert(args.version.clone());
        }),
    }
}

fn changed(options: &SiteOptions, change: impl FnOnce(&mut Policy)) -> Outcome {
    let mut site = Site::open(options)?;
    let mut policy = site.policy().clone();
    change(&mut policy);
    site.publish(Change::of(policy))
}

fn publisher(args: &PublisherArgs) -> Outcome {
    if args.issuer.as_deref() == Some(GITHUB) && args.claims.is_empty() {
        complain(&format_args!(
            "warning: names on GitHub can be registered anew by others, and a workflow that others \
             may call lends them its identity; pin the owner with \
             `--claim source_repository_owner_identifier=NUMBER`"
        ));
    }
    let mut site = Site::open(&args.site)?;
    let mut policy = site.policy().clone();
    let (trust, file) = trusted_root(&args.root, &mut policy)?;
    let publisher = match (&args.key, &args.identity, &args.issuer) {
        (Some(key), _, _) => Publisher::Key(KeyPublisher {
            key: fs_err::read_to_string(key)?,
            trust,
            log: args.log,
        }),
        (None, Some(identity), Some(issuer)) => Publisher::Keyless(KeylessPublisher {
            trust,
            issuer: issuer.clone(),
            identity: IdentityPattern::try_from(identity.clone())?,
            claims: args.claims.iter().cloned().collect(),
        }),
        _ => {
            return Err(Failure::usage(
                "name `--key`, or `--identity` with `--issuer`",
            ));
        }
    };
    if policy.publishers.contains_key(&args.name) {
        return Err(Failure::new(
            format!("the policy knows `{}` already", args.name),
            Some(
                "to change it, edit what `selvedge policy show` prints and put that into force \
                 with `selvedge policy apply`"
                    .to_owned(),
            ),
        ));
    }
    policy.publishers.insert(args.name.clone(), publisher);
    site.publish(Change::with_files(policy, vec![file]))
}

/// Hex digits of its digest in the name of a trusted root. With few, whoever
/// hands one in could make it be called like another's, and replace that.
const ROOT_DIGITS: usize = 40;

/// The trusted root as a target of the repository, under a name of its own: the
/// same bytes are there once.
fn trusted_root(path: &Path, policy: &mut Policy) -> Outcome<(String, (String, Bytes))> {
    let bytes = Bytes::from(fs_err::read(path)?);
    let digits: String = Digest::of(&bytes).hex().chars().take(ROOT_DIGITS).collect();
    let target = format!("trusted_root-{digits}.json");
    let named = |(name, found): (&String, &String)| (*found == target).then(|| name.clone());
    let known = policy.trust.iter().find_map(named);
    let name = known.unwrap_or_else(|| format!("root-{digits}"));
    policy.trust.insert(name.clone(), target.clone());
    Ok((name, (target, bytes)))
}

fn grant(args: &GrantArgs) -> Outcome {
    let mut need: BTreeMap<String, Need> = BTreeMap::new();
    for entry in &args.needs {
        // Types are URLs, which may hold `=`; names of publishers do not.
        match entry.rsplit_once('=') {
            Some((kind, by)) if !by.contains('/') => {
                need.entry(kind.to_owned())
                    .or_default()
                    .by
                    .insert(by.to_owned());
            }
            _ => {
                need.entry(entry.clone()).or_default();
            }
        }
    }
    let imports = (!args.imports.is_empty()).then(|| args.imports.iter().cloned().collect());
    let grant = Grant {
        packages: args.packages.clone(),
        by: args.by.iter().cloned().collect(),
        kinds: args.kinds.iter().map(|kind| (*kind).into()).collect(),
        need,
        imports,
    };
    changed(&args.site, |policy| {
        policy
            .grants
            .retain(|granted| granted.packages != grant.packages);
        policy.grants.push(grant);
    })
}

/// What a package may be.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    /// A component that runs in the sandbox.
    Plugin,
    /// A model that a library of the host runs.
    Model,
}

impl From<Kind> for ArtifactKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Plugin => Self::Plugin,
            Kind::Model => Self::Model,
        }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
