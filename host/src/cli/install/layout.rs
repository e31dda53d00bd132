//! What is put where. Everything goes below one prefix that systemd looks below,
//! but the configuration.

use std::path::{Path, PathBuf};

use super::super::failure::{Failure, Outcome};
use super::below;

const UNIT: &str = include_str!("selvedge.service");
const SYSUSERS: &str = include_str!("selvedge.sysusers");
const TMPFILES: &str = include_str!("selvedge.tmpfiles");
const HOST: &str = include_str!("host.toml");

/// Stands in the unit where the prefix belongs.
const PREFIX: &str = "@PREFIX@";

/// The prefixes below which systemd looks for units, users and directories.
const PREFIXES: [&str; 2] = ["/usr", "/usr/local"];

/// Whose a file is once it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The installer's: it brings the new version of it.
    Ours,
    /// The operator's.
    Operators,
}

/// A file to be written.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) kind: Kind,
}

/// Where things are.
#[derive(Debug)]
pub(super) struct Layout {
    root: Option<PathBuf>,
    prefix: PathBuf,
}

impl Layout {
    pub(super) fn new(root: Option<&Path>, prefix: &Path) -> Outcome<Self> {
        if !PREFIXES.iter().any(|known| prefix == Path::new(known)) {
            let prefix = prefix.display();
            return Err(Failure::usage(format!(
                "systemd does not look for units below `{prefix}`: use /usr or /usr/local"
            )));
        }
        Ok(Self {
            root: root.map(Path::to_owned),
            prefix: prefix.to_owned(),
        })
    }

    pub(super) fn binary(&self) -> PathBuf {
        self.at_prefix("bin/selvedge")
    }

    pub(super) fn unit(&self) -> PathBuf {
        self.at_prefix("lib/systemd/system/selvedge.service")
    }

    pub(super) fn data(&self) -> PathBuf {
        below(self.root.as_deref(), Path::new("/var/lib/selvedge"))
    }

    /// All files but the binary.
    pub(super) fn files(&self) -> Vec<File> {
        let prefix = self.prefix.to_string_lossy();
        let ours = |path, text: String| File {
            path,
            text: super::put::sealed(&text),
            kind: Kind::Ours,
        };
        let host = below(self.root.as_deref(), Path::new("/etc/selvedge/host.toml"));
        vec![
            ours(self.unit(), UNIT.replace(PREFIX, &prefix)),
            ours(
                self.at_prefix("lib/sysusers.d/selvedge.conf"),
                SYSUSERS.to_owned(),
            ),
            ours(
                self.at_prefix("lib/tmpfiles.d/selvedge.conf"),
                TMPFILES.to_owned(),
            ),
            File {
                path: host,
                text: HOST.to_owned(),
                kind: Kind::Operators,
            },
        ]
    }

    fn at_prefix(&self, path: &str) -> PathBuf {
        below(self.root.as_deref(), &self.prefix.join(path))
    }
}
