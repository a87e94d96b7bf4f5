//! Layers of a configuration: the keys that one source sets, and the source as a person knows it.

use super::error::ConfigError;
use figment::value::{Dict, Value};
use std::path::Path;

/// What one source sets.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// The source, as a person knows it.
    pub(super) place: String,
    pub(super) values: Dict,
}

impl Layer {
    pub(super) fn of_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
        let table: toml::Table =
            toml::from_str(&text).map_err(|source| ConfigError::Syntax { path: path.to_owned(), source })?;
        let values = Value::serialize(table).ok().and_then(Value::into_dict).unwrap_or_default();
        Ok(Self { place: format!("the file {}", path.display()), values })
    }

    pub(super) fn of_key(key: &str, value: toml::Value, place: String) -> Result<Self, ConfigError> {
        if key.split('.').any(str::is_empty) {
            let remedy = "write it as section.key".to_owned();
            return Err(ConfigError::UnknownKey { key: key.to_owned(), place, remedy });
        }
        match Value::serialize(value) {
            Ok(value) => {
                let values = figment::util::nest(key, value).into_dict().unwrap_or_default();
                Ok(Self { place, values })
            }
            Err(error) => Err(ConfigError::Value { key: key.to_owned(), place, problem: error.to_string() }),
        }
    }
}

impl figment::Provider for Layer {
    fn metadata(&self) -> figment::Metadata {
        figment::Metadata::named(self.place.clone())
    }

    fn data(&self) -> figment::Result<figment::value::Map<figment::Profile, Dict>> {
        Ok(figment::Profile::Default.collect(self.values.clone()))
    }
}
