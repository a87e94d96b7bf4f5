//! Telemetry: log lines for people or as JSON, metrics in the text format of Prometheus, and traces. Metrics and traces are passed
//! in, never global; only the subscriber of the log is global.

pub mod console;
mod identity;
mod repeats;
mod span_queue;
pub mod trace;

pub use console::LogFormat;
pub use identity::{COMMIT, VERSION};

use opentelemetry::metrics::noop::NoopMeterProvider;
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Registry, TextEncoder};
use repeats::RepeatFilter;
use serde::{Deserialize, Serialize};
use std::io::IsTerminal;
use trace::{Tracer, Tracing};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Component of the metrics of this crate.
const COMPONENT: &str = "portrait-runtime";

/// Section `[log]` of the configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `human`: lines for people. `json`: one object a line, for a collector.
    pub format: LogFormat,
    /// Filter in the syntax of `tracing`, such as `info` or `info,portrait_store=debug`. More lines cost time and disk space.
    pub filter: String,
}

/// Failure to start logging or metrics.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A part of the filter is neither a level nor a directive.
    #[error(
        "log.filter {filter:?}: {part:?} is no level: write error, warn, info, debug, trace or off, or MODULE=LEVEL"
    )]
    Level {
        /// Filter as configured.
        filter: String,
        /// Part without a meaning.
        part: String,
    },
    /// The filter cannot be parsed.
    #[error("log.filter {filter:?} is not a filter: write it as `info` or `info,portrait_store=debug`")]
    Filter {
        /// Filter as the configuration has it.
        filter: String,
        /// Parse error of the filter.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// A subscriber is installed already.
    #[error("logging is initialised already")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
    /// The thread that counts repeated lines cannot be started.
    #[error("the thread of the log cannot be started")]
    Thread(#[source] std::io::Error),
    /// The exporter of the metrics cannot be built.
    #[error("the metrics cannot be exported")]
    Metrics(#[source] opentelemetry_sdk::error::OTelSdkError),
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::default(), filter: "info".to_owned() }
    }
}

/// Installs the subscriber of the log, which writes to standard error; standard output belongs to the command. The same warning or
/// error is written once a minute, with the number of the others.
///
/// # Errors
/// [`TelemetryError::Filter`] or [`TelemetryError::Level`] for an invalid filter, [`TelemetryError::Twice`] if a subscriber is
/// installed, [`TelemetryError::Thread`] if the thread that counts repeated lines cannot be started.
pub fn init_logging(config: &LogConfig) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&config.filter)
        .map_err(|source| TelemetryError::Filter { filter: config.filter.clone(), source })?;
    // A misspelt level would be taken for the name of a module, and nothing would be logged.
    if let Some(part) = config.filter.split(',').map(str::trim).find(|part| !is_directive(part)) {
        return Err(TelemetryError::Level { filter: config.filter.clone(), part: part.to_owned() });
    }
    console::set_format(config.format);
    let registry = tracing_subscriber::registry().with(filter);
    let repeats = RepeatFilter::default();
    let format = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        // Colours only for a terminal; files and collectors get plain text.
        .with_ansi(std::io::stderr().is_terminal());
    let installed = match config.format {
        LogFormat::Human => registry.with(format.with_filter(repeats.clone())).try_init(),
        LogFormat::Json => registry.with(format.json().with_filter(repeats.clone())).try_init(),
    };
    installed.map_err(TelemetryError::Twice)?;
    repeats.spawn_reporter().map_err(TelemetryError::Thread)
}

/// Returns whether a part of a filter is a level, or names what it filters and the level.
fn is_directive(part: &str) -> bool {
    part.is_empty() || part.contains('=') || part.parse::<LevelFilter>().is_ok()
}

/// Metrics and traces of a process; cheap to clone.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// Metrics of the process.
    pub metrics: Metrics,
    /// Traces of the process.
    pub tracing: Tracing,
}

/// Meter and tracer of one component.
#[derive(Clone, Debug)]
pub struct Instruments {
    /// Meter of the component.
    pub meter: Meter,
    /// Tracer of the component.
    pub tracer: Tracer,
}

/// Metrics of one process; cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    provider: SdkMeterProvider,
    registry: Registry,
}

impl Telemetry {
    /// Joins the metrics and traces of a process; the metrics count the spans that are dropped.
    pub fn new(metrics: Metrics, tracing: Tracing) -> Self {
        tracing.register(&metrics.meter(COMPONENT));
        Self { metrics, tracing }
    }

    /// Returns the meter and tracer of a component.
    pub fn of(&self, component: &'static str) -> Instruments {
        Instruments { meter: self.metrics.meter(component), tracer: self.tracing.tracer(component) }
    }
}

impl Instruments {
    /// Creates instruments that record nothing.
    pub fn disabled() -> Self {
        Self { meter: NoopMeterProvider::new().meter("portrait"), tracer: Tracer::default() }
    }
}

impl Metrics {
    /// Creates an empty registry of metrics.
    ///
    /// # Errors
    /// If the exporter cannot be built.
    pub fn new() -> Result<Self, TelemetryError> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter().with_registry(registry.clone()).build();
        let exporter = exporter.map_err(TelemetryError::Metrics)?;
        let process = identity::resource("portrait".to_owned(), []);
        let provider = SdkMeterProvider::builder().with_resource(process).with_reader(exporter).build();
        identity::register_build_info(&provider.meter(COMPONENT));
        Ok(Self { provider, registry })
    }

    /// Returns the meter of a component.
    pub fn meter(&self, component: &'static str) -> Meter {
        self.provider.meter(component)
    }

    /// Renders all metrics in the text format of Prometheus.
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
        assert!(!other.render().contains("portrait_test_events"), "registries are independent");
    }

    #[test]
    fn metrics_name_the_version_of_the_build() {
        let text = Metrics::new().expect("an exporter").render();
        let lines = |name: &str| text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
        let build = lines("portrait_build_info{").expect("a gauge");
        assert!(build.contains(&format!("version=\"{VERSION}\"")) && build.ends_with(" 1"), "{build}");
        let target = lines("target_info{").expect("the resource");
        assert!(target.contains(&format!("service_version=\"{VERSION}\"")), "{target}");
    }

    #[test]
    fn an_invalid_filter_is_refused_with_its_key_and_syntax() {
        let config = LogConfig { filter: "info,=x=".to_owned(), ..LogConfig::default() };
        let error = init_logging(&config).expect_err("no filter").to_string();
        assert!(error.contains("log.filter \"info,=x=\""), "{error}");
        assert!(error.contains("portrait_store=debug"), "{error}");
        for (filter, part) in [("debg", "debg"), ("info,portrait_store", "portrait_store")] {
            let config = LogConfig { filter: filter.to_owned(), ..LogConfig::default() };
            let error = init_logging(&config).expect_err("no level").to_string();
            assert!(error.contains(&format!("{part:?} is no level")), "{error}");
        }
    }
}
