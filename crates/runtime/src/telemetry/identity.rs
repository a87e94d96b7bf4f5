//! Identity of the process in metrics and traces: service name, version, and what the environment adds by
//! `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME`.

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, ResourceDetector};

/// Version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Commit of this build; the variable `PORTRAIT_COMMIT` at compile time, or empty.
pub const COMMIT: &str = match option_env!("PORTRAIT_COMMIT") {
    Some(commit) => commit,
    None => "",
};
/// Variable that overrides the service name, by the specification of OpenTelemetry.
const SERVICE_NAME_VARIABLE: &str = "OTEL_SERVICE_NAME";

/// Returns the resource of this process. The environment overrides `service` and `attributes`.
pub(super) fn resource(service: String, attributes: impl IntoIterator<Item = KeyValue>) -> Resource {
    let name = std::env::var(SERVICE_NAME_VARIABLE).ok();
    merged(service, attributes, EnvResourceDetector::new(), name)
}

fn merged(
    service: String,
    attributes: impl IntoIterator<Item = KeyValue>,
    environment: impl ResourceDetector + 'static,
    name: Option<String>,
) -> Resource {
    // An empty builder: the default detectors would name the SDK instead of the service.
    let resource = Resource::builder_empty()
        .with_service_name(service)
        .with_attribute(KeyValue::new("service.version", VERSION))
        .with_attributes(attributes)
        .with_detector(Box::new(environment));
    match name.filter(|name| !name.is_empty()) {
        Some(name) => resource.with_service_name(name).build(),
        None => resource.build(),
    }
}

/// Registers `portrait_build_info`, whose labels name the build.
pub(super) fn register_build_info(meter: &Meter) {
    let gauge = meter
        .u64_gauge("portrait_build_info")
        .with_description("1; the labels name the version and, if it was known at the build, the commit")
        .build();
    let mut labels = vec![KeyValue::new("version", VERSION)];
    if !COMMIT.is_empty() {
        labels.push(KeyValue::new("commit", COMMIT));
    }
    gauge.record(1, &labels);
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::Key;

    struct Fixed(Vec<KeyValue>);

    impl ResourceDetector for Fixed {
        fn detect(&self) -> Resource {
            Resource::builder_empty().with_attributes(self.0.clone()).build()
        }
    }

    #[test]
    fn the_environment_names_the_service_and_adds_attributes() {
        let team = || KeyValue::new("team", "shop");
        let named = || KeyValue::new("service.name", "by-attributes");
        let rows = [
            (vec![], None, "portrait-query"),
            (vec![team()], Some(""), "portrait-query"),
            (vec![named(), team()], None, "by-attributes"),
            (vec![named(), team()], Some("by-name"), "by-name"),
        ];
        for (environment, name, expected) in rows {
            let has_team = environment.contains(&team());
            let node = KeyValue::new("service.instance.id", "node-1");
            let resource =
                merged("portrait-query".to_owned(), [node], Fixed(environment), name.map(str::to_owned));
            let text = |key: &'static str| resource.get(&Key::new(key)).map(|value| value.to_string());
            assert_eq!(text("service.name").as_deref(), Some(expected));
            assert_eq!(text("service.version").as_deref(), Some(VERSION));
            assert_eq!(text("service.instance.id").as_deref(), Some("node-1"));
            assert_eq!(text("team").is_some(), has_team);
        }
    }
}
