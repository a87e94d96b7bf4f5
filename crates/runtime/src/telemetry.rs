//! What a process says of itself: log lines, for people or as JSON, metrics in Prometheus's text form, and the way of single calls.
//! Metrics and traces are passed in, never global; the log's subscriber is the one thing a process has once.

pub mod trace;

use opentelemetry::metrics::noop::NoopMeterProvider;
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Registry, TextEncoder};
use serde::{Deserialize, Serialize};
use std::io::IsTerminal;
use trace::{Tracer, Tracing};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What is logged, and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `human`: a line for a person. `json`: an object a line, for a collector.
    pub format: LogFormat,
    /// Which lines, as `info` or `info,portrait_store=debug`. More lines cost time and room.
    pub filter: String,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for a person.
    #[default]
    Human,
    /// An object a line.
    Json,
}

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("log.filter {filter:?} is not a filter: write it as `info` or `info,portrait_store=debug`")]
    Filter {
        /// As it was given.
        filter: String,
        /// Why.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Somebody else logs already.
    #[error("logging began already")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
    /// The metrics cannot be exported.
    #[error("the metrics cannot be exported")]
    Metrics(#[source] opentelemetry_sdk::error::OTelSdkError),
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::default(), filter: "info".to_owned() }
    }
}

/// Begins to log, to standard error: standard output belongs to the command.
///
/// # Errors
/// If the filter cannot be read, or logging began already.
pub fn init_logging(config: &LogConfig) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&config.filter)
        .map_err(|source| TelemetryError::Filter { filter: config.filter.clone(), source })?;
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        // Colours are for people; a file or a collector gets plain text.
        .with_ansi(std::io::stderr().is_terminal());
    let begun = match config.format {
        LogFormat::Human => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json()).try_init(),
    };
    begun.map_err(TelemetryError::Twice)
}

/// What a process measures and follows; cheap to clone.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// What is counted.
    pub metrics: Metrics,
    /// What is followed.
    pub tracing: Tracing,
}

/// What one component measures and follows with.
#[derive(Clone, Debug)]
pub struct Instruments {
    /// What it counts with.
    pub meter: Meter,
    /// What it follows with.
    pub tracer: Tracer,
}

/// The metrics of one process; cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    provider: SdkMeterProvider,
    registry: Registry,
}

impl Telemetry {
    /// What the component of this name measures and follows with.
    pub fn of(&self, component: &'static str) -> Instruments {
        Instruments { meter: self.metrics.meter(component), tracer: self.tracing.tracer(component) }
    }
}

impl Instruments {
    /// Those of which nobody hears.
    pub fn unheard() -> Self {
        Self { meter: NoopMeterProvider::new().meter("portrait"), tracer: Tracer::default() }
    }
}

impl Metrics {
    /// Nothing measured yet.
    ///
    /// # Errors
    /// If the exporter cannot be built.
    pub fn new() -> Result<Self, TelemetryError> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter().with_registry(registry.clone()).build();
        let exporter = exporter.map_err(TelemetryError::Metrics)?;
        let process = Resource::builder_empty().with_service_name("portrait").build();
        let provider = SdkMeterProvider::builder().with_resource(process).with_reader(exporter).build();
        Ok(Self { provider, registry })
    }

    /// The meter of one component.
    pub fn meter(&self, component: &'static str) -> Meter {
        self.provider.meter(component)
    }

    /// Everything measured, as Prometheus reads it.
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_else(|error| {
            tracing::error!(%error, "metrics cannot be written");
            String::new()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_rendered_with_their_unit_and_description() {
        let metrics = Metrics::new().expect("nothing to clash with");
        let other = Metrics::new().expect("no global state");
        let meter = metrics.meter("portrait-test");
        let counter = meter.u64_counter("portrait_test_events").with_description("events of a test").build();
        counter.add(3, &[]);
        let text = metrics.render();
        assert!(text.contains("# HELP portrait_test_events_total events of a test\n"), "{text}");
        assert!(text.contains("portrait_test_events_total{otel_scope_name=\"portrait-test\"} 3\n"), "{text}");
        assert!(!other.render().contains("portrait_test_events"), "two processes' metrics are apart");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_refused_with_its_key_and_its_form() {
        let config = LogConfig { filter: "info,=x=".to_owned(), ..LogConfig::default() };
        let error = init_logging(&config).expect_err("no filter").to_string();
        assert!(error.contains("log.filter \"info,=x=\""), "{error}");
        assert!(error.contains("portrait_store=debug"), "{error}");
    }
}
