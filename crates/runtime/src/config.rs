//! Configuration: one TOML file, then the environment (`PORTRAIT__SECTION__KEY`), then flags, each winning over the one
//! before. In come the sources, out goes a typed configuration, or an error that names the key, where it was set and what to
//! do. A key that nobody knows is refused.

mod units;

pub use units::{ByteSize, Interval};

use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Value};
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

/// Why a configuration was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A key is not known, or its value is not of its type.
    #[error("{0}: see every key with `portrait serve --dump-config`")]
    Value(Box<figment::Error>),
    /// A configuration cannot be written as TOML.
    #[error("cannot write the configuration as TOML")]
    Dump(#[source] toml::ser::Error),
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
}

/// Reads a configuration. What no source names has its default.
pub fn load<T: Serialize + DeserializeOwned + Default>(sources: &Sources) -> Result<T, ConfigError> {
    let mut figment = Figment::from(Serialized::defaults(T::default()));
    if let Some(path) = &sources.file {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| ConfigError::File { path: path.clone(), source })?;
        figment = figment.merge(Toml::string(&text));
    }
    for (name, text) in &sources.environment {
        if let Some(rest) = name.strip_prefix(PREFIX) {
            let key = rest.to_ascii_lowercase().replace("__", ".");
            figment = figment.merge(named(&key, parsed(text), &format!("environment variable {name}")));
        }
    }
    for (key, value) in &sources.flags {
        figment = figment.merge(named(key, value.clone(), &format!("flag for {key}")));
    }
    figment.extract().map_err(|error| ConfigError::Value(Box::new(error)))
}

/// The whole configuration as TOML that [`load`] reads back.
pub fn dump<T: Serialize>(value: &T) -> Result<String, ConfigError> {
    toml::to_string_pretty(value).map_err(ConfigError::Dump)
}

/// TOML if the text is such, as `8`, `true` or `["a"]`; plain text otherwise.
fn parsed(text: &str) -> toml::Value {
    let table = toml::from_str::<toml::Table>(&format!("value = {text}")).ok();
    table.and_then(|mut table| table.remove("value")).unwrap_or_else(|| toml::Value::String(text.to_owned()))
}

/// One key from one named place.
fn named(key: &str, value: toml::Value, place: &str) -> impl figment::Provider {
    struct Named(String, Dict);
    impl figment::Provider for Named {
        fn metadata(&self) -> figment::Metadata {
            figment::Metadata::named(self.0.clone())
        }
        fn data(&self) -> figment::Result<figment::value::Map<figment::Profile, Dict>> {
            Ok(figment::Profile::Default.collect(self.1.clone()))
        }
    }
    let value = Value::serialize(value).unwrap_or_else(|_| Value::from(String::new()));
    let nested = figment::util::nest(key, value);
    Named(place.to_owned(), nested.into_dict().unwrap_or_default())
}
