//! Configuration in layers: one TOML file, then the environment (`PORTRAIT__SECTION__KEY`), then flags. A later layer overrides
//! an earlier one. An error names the key, its origin and a remedy. Unknown keys are refused by `deny_unknown_fields` of the
//! target structs; a renamed key is refused with its new name.
//!
//! The value of a variable is parsed as TOML where possible (`8`, `true`, `["a"]`, `{EUR = 1.1}`) and is plain text otherwise;
//! text that looks like a number needs quotes. The name of a variable is lowercased, so a map with keys in capitals is given
//! as one table.

mod diagnosis;
mod error;
mod layer;
mod units;
mod variables;

pub use error::ConfigError;
pub use units::{ByteSize, DurationSetting, InvalidUnit};

use figment::Figment;
use figment::providers::Serialized;
use layer::ConfigLayer;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use variables::{PREFIX, variable_of};

/// Sources of a configuration, weakest first.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Path of a TOML file.
    pub file: Option<PathBuf>,
    /// Environment variables; those without the prefix `PORTRAIT__` are ignored.
    pub environment: Vec<(String, String)>,
    /// Keys, such as `server.listen`, and values from the command line.
    pub flags: Vec<(String, toml::Value)>,
}

/// Invalid value of a key, of the right type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} {problem}: {remedy}")]
pub struct InvalidValue {
    /// Configuration key or flag, such as `feature.lease_ttl`.
    pub key: &'static str,
    /// Problem, as a predicate: "is 0".
    pub problem: String,
    /// Remedy, as an imperative: "give it at least 1".
    pub remedy: String,
}

impl InvalidValue {
    /// Creates an error for `key` with a problem and a remedy.
    pub fn new(key: &'static str, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { key, problem: problem.into(), remedy: remedy.into() }
    }
}

impl Sources {
    /// Combines the environment of this process with a file and flags.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<(String, toml::Value)>) -> Self {
        // Names and values of this program are UTF-8; other variables belong to other programs.
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { file, environment: environment.collect(), flags }
    }

    /// Returns whether no source sets anything.
    pub fn is_empty(&self) -> bool {
        let is_set = |(name, _): &(String, String)| name.starts_with(PREFIX);
        self.file.is_none() && self.flags.is_empty() && !self.environment.iter().any(is_set)
    }

    /// Returns the text of one key without reading the others, for what is needed before the configuration is known to be valid;
    /// `None` if no source sets it or a source cannot be read.
    pub fn peek(&self, key: &str) -> Option<String> {
        let flags = self.flags.iter().rev().find(|(name, _)| name == key);
        let variable = self.environment.iter().find(|(name, _)| *name == variable_of(key));
        let in_file = || {
            let table: toml::Table =
                toml::from_str(&std::fs::read_to_string(self.file.as_ref()?).ok()?).ok()?;
            let (section, name) = key.split_once('.')?;
            table.get(section)?.get(name).cloned()
        };
        let value = flags
            .map(|(_, value)| value.clone())
            .or_else(|| variable.map(|(_, text)| value_of(text)))
            .or_else(in_file);
        value?.as_str().map(str::to_owned)
    }

    /// Returns one layer for each source, the strongest last.
    fn layers(&self) -> Result<Vec<ConfigLayer>, ConfigError> {
        let mut layers = Vec::new();
        if let Some(path) = &self.file {
            layers.push(ConfigLayer::of_file(path)?);
        }
        for (name, text) in &self.environment {
            if let Some(rest) = name.strip_prefix(PREFIX) {
                let origin = format!("the environment variable {name}");
                layers.push(ConfigLayer::of_key(
                    &rest.to_ascii_lowercase().replace("__", "."),
                    value_of(text),
                    origin,
                )?);
            }
        }
        for (key, value) in &self.flags {
            layers.push(ConfigLayer::of_key(key, value.clone(), "the command line".to_owned())?);
        }
        Ok(layers)
    }
}

/// Reads a configuration. Keys that no source sets have their default.
///
/// # Errors
/// [`ConfigError::File`] or [`ConfigError::Syntax`] for an unreadable file, [`ConfigError::UnknownKey`] for an unknown key,
/// [`ConfigError::Value`] for a value of another type, [`ConfigError::Variable`] for an environment variable that would be passed over.
pub fn load<T: Serialize + DeserializeOwned + Default>(sources: &Sources) -> Result<T, ConfigError> {
    let layers = sources.layers()?;
    let known = diagnosis::keys(&T::default());
    for (name, _) in &sources.environment {
        if let Some(known) = variables::meant(name, &known) {
            return Err(ConfigError::Variable { name: name.clone(), known });
        }
    }
    // Defaults are serialised into the lowest layer, so a partial section keeps the other defaults.
    let mut figment = Figment::from(Serialized::defaults(T::default()));
    for layer in &layers {
        figment = figment.merge(layer.clone());
    }
    figment.extract().map_err(|error| diagnosis::describe_error(&error, &layers, &T::default()))
}

/// Renders the whole configuration as TOML that [`load`] reads back.
///
/// # Errors
/// [`ConfigError::Dump`] if a value has no form in TOML, such as a number above 2^63.
pub fn dump<T: Serialize>(value: &T) -> Result<String, ConfigError> {
    toml::to_string_pretty(value).map_err(ConfigError::Dump)
}

/// Parses the value of an environment variable or of `--set`: TOML if the text is valid TOML, such as `8`, `true` or `["a"]`;
/// plain text otherwise.
pub fn value_of(text: &str) -> toml::Value {
    let table = toml::from_str::<toml::Table>(&format!("value = {text}")).ok();
    // Text of several lines can parse as several keys; it is plain text then.
    let value = table.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| toml::Value::String(text.to_owned()))
}
