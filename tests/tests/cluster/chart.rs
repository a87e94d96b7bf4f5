//! What operators get besides the binary: chart, rules, dashboard and images' recipes. The tests are in Python (`tests/helm`), since
//! Helm's own engine, the schemas of Kubernetes and the linters are there; each of their files is one test here. A tool that is
//! missing is a failure, never a test that is left out.

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
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_chart_renders_what_every_supported_kubernetes_accepts() {
    check("test_manifests.py");
}

#[test]
fn the_chart_refuses_values_that_make_no_sense_with_their_path_and_the_remedy() {
    check("test_refusals.py");
}

#[test]
fn the_chart_is_installed_upgraded_rolled_back_tested_and_removed() {
    check("test_release.py");
}

#[test]
fn the_chart_and_the_binary_agree_on_configuration_and_drain() {
    check("test_config.py");
}

#[test]
fn what_the_chart_secures_serves_who_shows_its_files_and_nobody_else() {
    check("test_security.py");
}

#[test]
fn rules_and_dashboard_ask_for_what_is_measured_and_alerts_have_a_runbook() {
    check("test_monitoring.py");
}

#[test]
fn what_is_generated_is_up_to_date_and_what_builds_images_is_in_order() {
    check("test_files.py");
}

#[test]
fn documents_are_linked_listed_and_generated_from_what_there_is() {
    check("../docs/test_docs.py");
}
