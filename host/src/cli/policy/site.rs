//! The folder of a site, and how its policy is put into force.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use selvedge_signer::{Lifetimes, RepositoryKeys, SigningKey, TrustRepository};
use selvedge_signing::{Policy, Trust, Verifier};

use super::SiteOptions;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::output::say;
use crate::cli::signing_options::first_line;

/// A site on the operator's machine.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) folder: PathBuf,
    repository: TrustRepository,
    password: Option<String>,
    lifetimes: Lifetimes,
}

/// A policy to be put into force, with files that it newly names.
#[derive(Debug)]
pub(super) struct Change {
    policy: Policy,
    files: Vec<(String, Bytes)>,
}

impl Change {
    pub(super) fn of(policy: Policy) -> Self {
        let files = Vec::new();
        Self { policy, files }
    }

    pub(super) fn with_files(policy: Policy, files: Vec<(String, Bytes)>) -> Self {
        Self { policy, files }
    }
}

impl Site {
    /// Makes a site with new keys and a policy that trusts nobody.
    pub(super) fn create(options: &SiteOptions) -> Outcome<Self> {
        let password = password(options)?;
        let keys = options.site.join("keys");
        fs_err::create_dir_all(&keys)?;
        for role in ["root", "targets", "online"] {
            let path = keys.join(format!("{role}.key"));
            SigningKey::generate()?.write(&path, password.as_deref())?;
        }
        let lifetimes = lifetimes(options);
        let policy = Policy {
            format: 1,
            ..Policy::default()
        };
        let repository = TrustRepository::create(
            &options.site.join("repository"),
            &read_keys(&options.site, password.as_deref(), true)?,
            &policy,
            &[],
            lifetimes,
            Timestamp::now(),
        )?;
        fs_err::write(options.site.join("root.json"), repository.root())?;
        Ok(Self {
            folder: options.site.clone(),
            repository,
            password,
            lifetimes,
        })
    }

    /// The site in the folder that the options name.
    pub(super) fn open(options: &SiteOptions) -> Outcome<Self> {
        let repository = options.site.join("repository");
        let repository = TrustRepository::open(&repository).map_err(|error| {
            let hint = "`--site` names the folder that `selvedge policy init` made";
            Failure::new(error, Some(hint.to_owned()))
        })?;
        Ok(Self {
            folder: options.site.clone(),
            repository,
            password: password(options)?,
            lifetimes: lifetimes(options),
        })
    }

    pub(super) fn policy(&self) -> &Policy {
        self.repository.policy()
    }

    /// Puts a policy into force, and says what that changes.
    pub(super) fn publish(&mut self, change: Change) -> Outcome {
        let bytes = change.policy.to_bytes();
        let policy = Policy::parse(&bytes)?;
        let changes = policy.diff(self.policy());
        if changes.is_empty() {
            say("no change")?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut files: BTreeMap<_, _> = self.repository.files().into_iter().collect();
        files.extend(change.files);
        files.retain(|name, _| policy.trust.values().any(|target| target == name));
        // What devices would refuse, or could not decide by, is not published.
        Verifier::new(Trust::of_this_process(&bytes, files.clone())?)?;
        let files: Vec<_> = files.into_iter().collect();
        let keys = read_keys(&self.folder, self.password.as_deref(), false)?;
        let now = Timestamp::now();
        self.repository
            .publish(&keys, &policy, &files, self.lifetimes, now)?;
        for change in changes {
            say(&change.to_string())?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Says again that the policy is current.
    pub(super) fn refresh(&mut self, now: Timestamp) -> Outcome<()> {
        let path = self.folder.join("keys/online.key");
        let online = SigningKey::read(&path, self.password.as_deref())?;
        Ok(self.repository.refresh(&online, self.lifetimes, now)?)
    }
}

/// The policy in a file, or of a site.
pub(super) fn policy_at(path: &Path) -> Outcome<Policy> {
    if path.is_dir() {
        let repository = path.join("repository");
        let repository = if repository.is_dir() {
            &repository
        } else {
            path
        };
        return Ok(TrustRepository::open(repository)?.policy().clone());
    }
    let bytes = fs_err::read(path)?;
    Policy::parse(&bytes).map_err(|error| Failure::about(path, error))
}

/// The keys that a change needs: that of the root only where it is changed.
fn read_keys(folder: &Path, password: Option<&str>, root: bool) -> Outcome<RepositoryKeys> {
    let read = |role: &str| SigningKey::read(&folder.join(format!("keys/{role}.key")), password);
    Ok(RepositoryKeys {
        root: if root {
            vec![read("root")?]
        } else {
            Vec::new()
        },
        targets: vec![read("targets")?],
        online: read("online")?,
    })
}

fn password(options: &SiteOptions) -> Outcome<Option<String>> {
    options.password_file.as_deref().map(first_line).transpose()
}

fn lifetimes(options: &SiteOptions) -> Lifetimes {
    let current = SignedDuration::from_hours(24 * i64::from(options.valid_days));
    Lifetimes {
        snapshot: current,
        timestamp: current,
        ..Lifetimes::default()
    }
}
