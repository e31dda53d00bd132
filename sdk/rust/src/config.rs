//! The plugin's configuration, as the deployment gives it.

use serde::de::DeserializeOwned;

use crate::bindings::imports::wasi::config::store;

/// The key under which the host gives the whole table as one JSON object.
const WHOLE: &str = "";

/// The deployment's `config` table.
#[derive(Debug, Clone, Default)]
pub struct Config {
    table: serde_json::Map<String, serde_json::Value>,
}

/// Why the configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(String);

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl From<ConfigError> for String {
    fn from(error: ConfigError) -> Self {
        error.0
    }
}

impl Config {
    /// Asks the host for it.
    ///
    /// # Errors
    /// The host cannot read it.
    pub fn load() -> Result<Self, ConfigError> {
        let whole = store::get(WHOLE)
            .map_err(|error| ConfigError(format!("cannot read the config: {error:?}")))?;
        whole.map_or_else(|| Ok(Self::default()), |json| Self::from_json(&json))
    }

    /// From a JSON object, for native tests.
    ///
    /// # Errors
    /// `json` is not a JSON object.
    pub fn from_json(json: &str) -> Result<Self, ConfigError> {
        let table = serde_json::from_str(json)
            .map_err(|error| ConfigError(format!("the config is not a JSON object: {error}")))?;
        Ok(Self { table })
    }

    /// One value, if it is text.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.table.get(key)?.as_str()
    }

    /// The whole table as a typed value.
    ///
    /// # Errors
    /// A key is missing, unknown or of the wrong kind; the text names it.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        serde_json::from_value(self.table.clone().into())
            .map_err(|error| ConfigError(format!("the config does not fit: {error}")))
    }
}
