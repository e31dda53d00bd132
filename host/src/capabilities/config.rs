//! `wasi:config/store`: the plugin's configuration, read-only.

use wasmtime::component::{HasSelf, Linker};

use super::PluginState;
use super::bindings::wasi::config::store::{self, Error, Host};

/// What a plugin reads: each key of its table, and the whole under `""`.
#[derive(Debug, Clone, Default)]
pub(super) struct ConfigEntries(Vec<(String, String)>);

impl ConfigEntries {
    /// Text as it is, anything else as JSON.
    pub(super) fn new(table: &serde_json::Map<String, serde_json::Value>) -> Self {
        let whole = serde_json::Value::Object(table.clone()).to_string();
        let entries = table.iter().map(|(key, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            (key.clone(), text)
        });
        Self(
            std::iter::once((String::new(), whole))
                .chain(entries)
                .collect(),
        )
    }
}

pub(super) fn link(linker: &mut Linker<PluginState>) -> wasmtime::Result<()> {
    store::add_to_linker::<_, HasSelf<PluginState>>(linker, |state| state)
}

impl Host for PluginState {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, Error>> {
        let found = self.config.0.iter().find(|(name, _)| *name == key);
        Ok(Ok(found.map(|(_, value)| value.clone())))
    }

    fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, Error>> {
        Ok(Ok(self.config.0.iter().skip(1).cloned().collect()))
    }
}
