//! Who may do what: a role for everyone who connects.
//!
//! On the Unix socket the kernel says who the peer is; on the network its
//! certificate does, which was verified before. Whoever is not named has no role
//! and is refused everything but the probes. What each route asks for is written
//! in its row of [`super::routes`].

mod accounts;

use std::io;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::net::UnixStream;

use self::accounts::Accounts;
use super::config::{ApiConfig, HttpsConfig};

/// What someone may do; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Whoever can connect: asks whether the host is well.
    Anyone,
    /// Looks at everything, changes nothing.
    Viewer,
    /// Changes things.
    Operator,
}

impl Role {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }
}

/// Someone who connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// `uid 1000 (anna)`, or the identity of a certificate.
    pub(crate) who: String,
    pub(crate) role: Role,
}

/// Who may do what on the Unix socket.
#[derive(Clone, Debug)]
pub(crate) struct Users {
    own_uid: u32,
    config: ApiConfig,
    files: AccountFiles,
}

/// Where users and groups are known from.
#[derive(Clone, Debug)]
pub(crate) struct AccountFiles {
    pub(super) passwd: PathBuf,
    pub(super) group: PathBuf,
}

impl Default for AccountFiles {
    fn default() -> Self {
        Self {
            passwd: "/etc/passwd".into(),
            group: "/etc/group".into(),
        }
    }
}

impl Users {
    /// The users that `config` names.
    pub(crate) fn new(config: &ApiConfig, files: AccountFiles) -> io::Result<Self> {
        // What the kernel would say of us to others.
        let (socket, _) = UnixStream::pair()?;
        Ok(Self {
            own_uid: socket.peer_cred()?.uid(),
            config: config.clone(),
            files,
        })
    }

    /// The peer with these credentials. Reads files.
    pub(crate) fn caller(&self, uid: u32, gid: u32) -> Caller {
        let accounts = Accounts::read(&self.files);
        let names = accounts.names(uid);
        let who = match names.first() {
            Some(name) => format!("uid {uid} ({name})"),
            None => format!("uid {uid}"),
        };
        Caller {
            role: self.role(uid, &names, &accounts.groups(gid, &names)),
            who,
        }
    }

    fn role(&self, uid: u32, names: &[&str], groups: &[&str]) -> Role {
        let named = |wanted: &[String], found: &[&str]| {
            let mut wanted = wanted.iter();
            wanted.any(|wanted| found.contains(&wanted.as_str()))
        };
        let ApiConfig {
            operators,
            viewers,
            operator_groups,
            viewer_groups,
            ..
        } = &self.config;
        if uid == 0
            || uid == self.own_uid
            || named(operators, names)
            || named(operator_groups, groups)
        {
            Role::Operator
        } else if named(viewers, names) || named(viewer_groups, groups) {
            Role::Viewer
        } else {
            Role::Anyone
        }
    }
}

/// The holder of a certificate with this identity.
pub(super) fn certified(config: &HttpsConfig, identity: String) -> Caller {
    let role = if config.operators.contains(&identity) {
        Role::Operator
    } else if config.viewers.contains(&identity) {
        Role::Viewer
    } else {
        Role::Anyone
    };
    Caller {
        who: identity,
        role,
    }
}

#[cfg(test)]
mod tests;
