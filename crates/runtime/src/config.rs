//! Configuration: one TOML file, then the environment (`PORTRAIT__SECTION__KEY`), then flags, each winning over the one
//! before. In come the sources, out goes a typed configuration, or an error that names the key, who set it and what to do.
//! A key that nobody knows is refused: the structs that are read say `deny_unknown_fields`.
//!
//! The value of a variable is read as TOML if it can be (`8`, `true`, `["a"]`, `{EUR = 1.1}`) and is plain text otherwise; a
//! text that looks like a number is written with its quotes. A variable's name is lowered, so a map with keys in capitals is
//! given whole, as a table.

mod error;
mod layer;
mod refusal;
mod units;

pub use error::ConfigError;
pub use units::{BadUnit, ByteSize, Interval};

use figment::Figment;
use figment::providers::Serialized;
use layer::Layer;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;

/// What every variable of ours begins with.
const PREFIX: &str = "PORTRAIT__";

/// Where a configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// Variables of the environment; those that do not begin with `PORTRAIT__` are passed over.
    pub environment: Vec<(String, String)>,
    /// Keys, as `server.listen`, and values of the command line.
    pub flags: Vec<(String, toml::Value)>,
}

/// A value of the right type that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} {problem}: {remedy}")]
pub struct Invalid {
    /// Which, as `feature.lease_ttl`.
    pub key: &'static str,
    /// What is wrong with it.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl Invalid {
    /// What is wrong with `key`, and what to do.
    pub fn new(key: &'static str, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { key, problem: problem.into(), remedy: remedy.into() }
    }
}

impl Sources {
    /// The environment of this process, with a file and flags.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<(String, toml::Value)>) -> Self {
        // A variable that is not UTF-8 cannot be one of ours.
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { file, environment: environment.collect(), flags }
    }

    /// What each source sets, the strongest last.
    fn layers(&self) -> Result<Vec<Layer>, ConfigError> {
        let mut layers = Vec::new();
        if let Some(path) = &self.file {
            layers.push(Layer::of_file(path)?);
        }
        for (name, text) in &self.environment {
            if let Some(rest) = name.strip_prefix(PREFIX) {
                let place = format!("the environment variable {name}");
                layers.push(Layer::of_key(
                    &rest.to_ascii_lowercase().replace("__", "."),
                    value_of(text),
                    place,
                )?);
            }
        }
        for (key, value) in &self.flags {
            layers.push(Layer::of_key(key, value.clone(), "the command line".to_owned())?);
        }
        Ok(layers)
    }
}

/// Reads a configuration. What no source names has its default.
///
/// # Errors
/// If the file cannot be read, a key is not known, or a value is not of its key's type.
pub fn load<T: Serialize + DeserializeOwned + Default>(sources: &Sources) -> Result<T, ConfigError> {
    let layers = sources.layers()?;
    let mut figment = Figment::from(Serialized::defaults(T::default()));
    for layer in &layers {
        figment = figment.merge(layer.clone());
    }
    figment.extract().map_err(|error| refusal::refused(&error, &layers, &T::default()))
}

/// The whole configuration as TOML that [`load`] reads back.
///
/// # Errors
/// If a value has no form in TOML, such as a number above 2^63.
pub fn dump<T: Serialize>(value: &T) -> Result<String, ConfigError> {
    toml::to_string_pretty(value).map_err(ConfigError::Dump)
}

/// A value as people write it in a variable or behind `--set`: TOML if the text is such, as `8`, `true` or `["a"]`; plain text
/// otherwise.
pub fn value_of(text: &str) -> toml::Value {
    let table = toml::from_str::<toml::Table>(&format!("value = {text}")).ok();
    // A text of several lines could be read as several keys: then it is text.
    let value = table.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| toml::Value::String(text.to_owned()))
}
