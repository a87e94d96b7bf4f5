//! Layers of a configuration: the keys that one source sets, with the origin for error messages.

use super::error::ConfigError;
use figment::value::{Dict, Value};
use std::path::Path;

/// Keys and values that one source sets.
#[derive(Clone, Debug)]
pub(super) struct ConfigLayer {
    /// Origin for error messages, such as "the file portrait.toml".
    pub(super) origin: String,
    pub(super) values: Dict,
}

impl ConfigLayer {
    pub(super) fn of_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
        let table: toml::Table =
            toml::from_str(&text).map_err(|source| ConfigError::Syntax { path: path.to_owned(), source })?;
        let values = Value::serialize(table).ok().and_then(Value::into_dict).unwrap_or_default();
        Ok(Self { origin: format!("the file {}", path.display()), values })
    }

    pub(super) fn of_key(key: &str, value: toml::Value, origin: String) -> Result<Self, ConfigError> {
        // An empty component would nest under an empty key, and the error could not name it.
        if key.split('.').any(str::is_empty) {
            let remedy = "write it as section.key".to_owned();
            return Err(ConfigError::UnknownKey { key: key.to_owned(), origin, remedy });
        }
        match Value::serialize(value) {
            Ok(value) => {
                let values = figment::util::nest(key, value).into_dict().unwrap_or_default();
                Ok(Self { origin, values })
            }
            Err(error) => Err(ConfigError::Value { key: key.to_owned(), origin, problem: error.to_string() }),
        }
    }
}

impl figment::Provider for ConfigLayer {
    fn metadata(&self) -> figment::Metadata {
        figment::Metadata::named(self.origin.clone())
    }

    fn data(&self) -> figment::Result<figment::value::Map<figment::Profile, Dict>> {
        Ok(figment::Profile::Default.collect(self.values.clone()))
    }
}
