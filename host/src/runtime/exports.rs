//! What a component exports decides what the host does with it.

use wasmtime::component::{Component, ComponentExportIndex};

use super::component::CONTRACT;
use crate::capabilities::AdmitError;
use crate::names::PluginName;

/// The functions that the host calls, as far as a component has them.
#[derive(Clone, Default)]
pub struct Exports {
    pub(super) init: Option<ComponentExportIndex>,
    pub(super) handle: Option<ComponentExportIndex>,
    pub(super) tick: Option<ComponentExportIndex>,
    pub(super) run: Option<ComponentExportIndex>,
    pub(super) snapshot: Option<ComponentExportIndex>,
    pub(super) restore: Option<ComponentExportIndex>,
    pub(super) authorize: Option<ComponentExportIndex>,
}

impl std::fmt::Debug for Exports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl Exports {
    pub(super) fn of(component: &Component) -> Self {
        let function = |name: &str| {
            let of_contract = CONTRACT.iter().find(|function| function.name == name)?;
            let interface = component.get_export_index(None, of_contract.interface)?;
            component.get_export_index(Some(&interface), name)
        };
        Self {
            init: function("init"),
            handle: function("handle"),
            tick: function("tick"),
            run: function("run"),
            snapshot: function("snapshot"),
            restore: function("restore"),
            authorize: function("authorize"),
        }
    }

    /// Whether it hands its state to its successor and takes over its predecessor's.
    pub fn is_stateful(&self) -> bool {
        self.snapshot.is_some() && self.restore.is_some()
    }

    /// What is exported, by the names of the contract.
    pub fn names(&self) -> Vec<&'static str> {
        let named = [
            ("lifecycle", self.init.is_some()),
            ("subscriber", self.handle.is_some()),
            ("ticker", self.tick.is_some()),
            ("service", self.run.is_some()),
            ("stateful", self.is_stateful()),
            ("authorizer", self.authorize.is_some()),
        ];
        named
            .into_iter()
            .filter_map(|(name, is)| is.then_some(name))
            .collect()
    }
}

/// Whether the host knows what to do with what `has` these functions of the
/// contract; `inbox` is imported or not.
pub(super) fn admit(
    plugin: &PluginName,
    inbox: bool,
    has: impl Fn(&str) -> bool,
) -> Result<(), AdmitError> {
    let plugin = plugin.clone();
    if inbox && !has("run") {
        return Err(AdmitError::InboxWithoutService { plugin });
    }
    if has("run") && has("authorize") {
        let other = "authorizer";
        return Err(AdmitError::MixedExports { plugin, other });
    }
    match (has("run"), has("handle"), has("tick")) {
        (false, false, false) if has("authorize") => Ok(()),
        (false, false, false) => Err(AdmitError::NothingExported { plugin }),
        (true, true, _) => Err(AdmitError::MixedExports {
            plugin,
            other: "subscriber",
        }),
        (true, _, true) => Err(AdmitError::MixedExports {
            plugin,
            other: "ticker",
        }),
        _ => Ok(()),
    }
}
