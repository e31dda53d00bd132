//! Do a component's imports fit its grants? Decided before it is instantiated.

use crate::names::PluginName;
use crate::spec::Grants;

/// An import that a plugin may not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    #[error("plugin `{plugin}` imports `{import}`, which this host does not offer")]
    NotOffered { plugin: PluginName, import: String },
    #[error("plugin `{plugin}` imports `{import}`, which needs `{grant}` in its grants")]
    NotGranted {
        plugin: PluginName,
        import: String,
        grant: &'static str,
    },
    #[error("plugin `{plugin}` imports `{import}`, which the site's policy denies its publisher")]
    DeniedByPolicy { plugin: PluginName, import: String },
    #[error("plugin `{plugin}` exports nothing that the host calls")]
    NothingExported { plugin: PluginName },
    #[error(
        "plugin `{plugin}` imports the inbox, but does not export `service`: it is handed its messages"
    )]
    InboxWithoutService { plugin: PluginName },
    #[error(
        "plugin `{plugin}` exports `service` together with `{other}`: a service reads its inbox"
    )]
    MixedExports {
        plugin: PluginName,
        other: &'static str,
    },
    #[error("plugin `{plugin}` exports `{export}` with another type than the contract's")]
    Mistyped {
        plugin: PluginName,
        export: &'static str,
    },
}

impl AdmitError {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotOffered { .. } => "import-not-offered",
            Self::NotGranted { .. } => "import-not-granted",
            Self::DeniedByPolicy { .. } => "import-denied-by-policy",
            Self::NothingExported { .. } => "nothing-exported",
            Self::MixedExports { .. } => "mixed-exports",
            Self::Mistyped { .. } => "export-mistyped",
            Self::InboxWithoutService { .. } => "inbox-without-service",
        }
    }
}

/// What an import needs.
enum Need {
    Nothing,
    Grant(&'static str, fn(&Grants) -> bool),
    Unknown,
}

/// Every import that `grants` do not cover.
pub fn admit<'a>(
    plugin: &PluginName,
    imports: impl Iterator<Item = &'a str>,
    grants: &Grants,
) -> Vec<AdmitError> {
    let refuse = |import: &str| {
        let (plugin, name) = (plugin.clone(), import.to_owned());
        match need(import) {
            Need::Nothing => None,
            Need::Grant(_, granted) if granted(grants) => None,
            Need::Grant(grant, _) => Some(AdmitError::NotGranted {
                plugin,
                import: name,
                grant,
            }),
            Need::Unknown => Some(AdmitError::NotOffered {
                plugin,
                import: name,
            }),
        }
    };
    imports.filter_map(refuse).collect()
}

/// The interface of an import, without its version: `wasi:io/poll`.
pub fn interface_of(import: &str) -> &str {
    parts(import).1
}

/// Whether an import is offered and covered by `grants`.
pub fn is_admitted(import: &str, grants: &Grants) -> bool {
    match need(import) {
        Need::Nothing => true,
        Need::Grant(_, granted) => granted(grants),
        Need::Unknown => false,
    }
}

/// The grant that an import needs, if it needs one: the name of its list.
pub fn grant_for(import: &str) -> Option<&'static str> {
    match need(import) {
        Need::Grant(grant, _) => grant.split('`').next(),
        Need::Nothing | Need::Unknown => None,
    }
}

/// Every import that is not in `allowed`: interfaces without version, or whole
/// packages, `wasi:sockets/*`.
pub fn admit_by_policy<'a>(
    plugin: &PluginName,
    imports: impl Iterator<Item = &'a str>,
    allowed: &[String],
) -> Vec<AdmitError> {
    let is_allowed = |import: &str| {
        let (package, interface) = parts(import);
        let names = |entry: &String| match entry.strip_suffix("/*") {
            Some(whole) => whole == package,
            None => entry == interface,
        };
        allowed.iter().any(names)
    };
    let refused = imports.filter(|import| !is_allowed(import));
    refused
        .map(|import| AdmitError::DeniedByPolicy {
            plugin: plugin.clone(),
            import: import.to_owned(),
        })
        .collect()
}

/// Package and interface of `wasi:io/poll@0.2.12`, without the version.
fn parts(import: &str) -> (&str, &str) {
    let interface = import
        .split_once('@')
        .map_or(import, |(interface, _)| interface);
    let package = interface
        .split_once('/')
        .map_or(interface, |(package, _)| package);
    (package, interface)
}

fn need(import: &str) -> Need {
    let (package, interface) = parts(import);
    match (package, interface) {
        (_, "selvedge:bus/types") => Need::Nothing,
        (_, "selvedge:bus/publisher") => {
            Need::Grant("publish", |grants| !grants.publish.is_empty())
        }
        (_, "selvedge:bus/inbox") => {
            Need::Grant("subscribe", |grants| !grants.subscribe.is_empty())
        }
        // Behind these is nothing that a plugin could reach or wear out.
        ("wasi:io" | "wasi:clocks" | "wasi:random" | "wasi:cli" | "wasi:filesystem", _)
        | (_, "wasi:config/store" | "wasi:logging/logging") => Need::Nothing,
        (_, "wasi:sockets/network" | "wasi:sockets/instance-network") => Need::Nothing,
        (_, "wasi:sockets/tcp" | "wasi:sockets/tcp-create-socket") => {
            Need::Grant("tcp", |grants| !grants.tcp.is_empty())
        }
        // A language's standard library brings UDP along with TCP.
        (_, "wasi:sockets/udp" | "wasi:sockets/udp-create-socket")
        | (_, "wasi:sockets/ip-name-lookup") => Need::Grant("tcp` or `udp", |grants| {
            !grants.tcp.is_empty() || !grants.udp.is_empty()
        }),
        ("wasi:keyvalue", "wasi:keyvalue/store") => {
            Need::Grant("keyvalue_bytes_max", |grants| grants.keyvalue_bytes_max > 0)
        }
        ("wasi:nn", _) | (_, "selvedge:inference/models") => {
            Need::Grant("models", |grants| !grants.models.is_empty())
        }
        _ => Need::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::{AdmitError, admit};
    use crate::spec::Grants;

    #[test]
    fn every_import_beyond_the_grants_is_named() {
        let plugin = "p".parse().unwrap();
        let imports = [
            "wasi:io/poll@0.2.6",
            "wasi:sockets/tcp@0.2.6",
            "wasi:nn/graph@0.2.0-rc-2024-10-28",
            "wasi:http/outgoing-handler@0.2.0",
            "selvedge:bus/publisher@0.1.0",
            "selvedge:inference/models@0.1.0",
        ];
        let refused = admit(&plugin, imports.into_iter(), &Grants::default());
        let codes: Vec<_> = refused.iter().map(AdmitError::code).collect();
        let not_granted = "import-not-granted";
        assert_eq!(
            codes,
            [
                not_granted,
                not_granted,
                "import-not-offered",
                not_granted,
                not_granted
            ]
        );
        assert_eq!(
            refused[0].to_string(),
            "plugin `p` imports `wasi:sockets/tcp@0.2.6`, which needs `tcp` in its grants"
        );
    }

    #[test]
    fn granted_imports_are_admitted() {
        let plugin = "p".parse().unwrap();
        let grants = Grants {
            publish: vec!["a/#".parse().unwrap()],
            tcp: vec!["h:1".to_owned().try_into().unwrap()],
            keyvalue_bytes_max: 1,
            ..Grants::default()
        };
        let imports = [
            "selvedge:bus/publisher@0.1.0",
            "wasi:sockets/tcp@0.2.6",
            "wasi:keyvalue/store@0.2.0-draft",
        ];
        assert_eq!(admit(&plugin, imports.into_iter(), &grants), []);
    }
}
