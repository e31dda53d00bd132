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

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        limit: f64,
        #[serde(default)]
        label: String,
    }

    #[track_caller]
    fn refused(json: &str, why: &str) {
        let config = Config::from_json(json).unwrap();
        let error = config.parse::<Settings>().unwrap_err();
        assert!(error.to_string().starts_with("the config does not fit: "));
        assert!(error.to_string().contains(why), "{error}");
    }

    #[test]
    fn a_table_becomes_a_typed_value() {
        let config = Config::from_json(r#"{"limit":2.5,"label":"hot"}"#).unwrap();
        let label = "hot".to_owned();
        assert_eq!(config.parse(), Ok(Settings { limit: 2.5, label }));
        assert_eq!(config.get("label"), Some("hot"));
        assert_eq!(config.get("limit"), None);
        assert_eq!(config.get("other"), None);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        refused("{}", "missing field `limit`");
        refused(r#"{"limit":1,"lable":"x"}"#, "unknown field `lable`");
        refused(r#"{"limit":"1"}"#, "expected f64");
    }

    #[test]
    fn what_is_not_an_object_is_no_config() {
        for json in ["", "[]", "3", "{"] {
            let error = Config::from_json(json).unwrap_err();
            assert!(error.to_string().contains("not a JSON object"), "{error}");
        }
        assert_eq!(Config::default().get(""), None);
    }
}
