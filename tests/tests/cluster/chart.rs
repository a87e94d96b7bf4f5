//! Chart, alert rules, dashboard, image files and documents. The tests are in Python (`tests/helm`, `tests/docs`), because Helm's engine,
//! the schemas of Kubernetes and the linters are available there; each file is one test here. A missing tool is a failure, never a skip.

use portrait_tests::{portrait_command, python, repository};
use std::process::Command;

/// Runs one file of `tests/helm` with the binary under test.
fn check(file: &str) {
    let output = Command::new(python())
        .args(["-m", "pytest", "--quiet", "-p", "no:cacheprovider"])
        .arg(repository().join("tests/helm").join(file))
        .env("PORTRAIT_BINARY", portrait_command().get_program())
        .output()
        .expect("Python runs");
    let message = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{message}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_chart_renders_valid_objects_for_every_supported_kubernetes() {
    check("test_manifests.py");
}

#[test]
fn the_chart_refuses_invalid_values_with_path_and_remedy() {
    check("test_refusals.py");
}

#[test]
fn the_chart_is_installed_upgraded_tested_rolled_back_and_uninstalled() {
    check("test_release.py");
}

#[test]
fn the_chart_and_the_binary_agree_on_configuration_and_drain() {
    check("test_config.py");
}

#[test]
fn a_deployment_secured_by_the_chart_serves_only_clients_with_credentials() {
    check("test_security.py");
}

#[test]
fn rules_and_dashboard_refer_to_existing_metrics_and_alerts_have_a_runbook() {
    check("test_monitoring.py");
}

#[test]
fn generated_files_are_up_to_date_and_image_files_are_valid() {
    check("test_files.py");
}

#[test]
fn documents_have_valid_links_names_and_generated_pages() {
    check("../docs/test_docs.py");
}
