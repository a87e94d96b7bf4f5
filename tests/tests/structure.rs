//! Structure of the workspace: allowed edges between crates, the file map of a service, and what no file may contain.

#[path = "structure/cycles.rs"]
mod cycles;
#[path = "structure/modules.rs"]
mod modules;

use portrait_tests::repository;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Maximum number of lines of a production file.
const LINES_MAX: usize = 450;
/// Files that every service has, so that all services have the same map.
const SERVICE_FILES: [&str; 7] =
    ["lib.rs", "config.rs", "context.rs", "service.rs", "grpc.rs", "error.rs", "metrics.rs"];
const SERVICES: [&str; 4] = ["ingest", "feature", "model", "query"];

/// Allowed dependencies of each workspace crate.
fn allowed() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let services = ["portrait-ingest", "portrait-feature", "portrait-model", "portrait-query"];
    let below = ["portrait-profile", "portrait-proto", "portrait-store", "portrait-runtime"];
    let edge = ["portrait-client", "portrait-connect"];
    let learning = ["portrait-learning"];
    let backends = ["portrait-store-embedded", "portrait-store-redis"];
    let node: BTreeSet<_> =
        below.into_iter().chain(learning).chain(services).chain(edge).chain(backends).collect();
    let lab: BTreeSet<_> = node.iter().copied().chain(["portrait-node"]).collect();
    let all: BTreeSet<_> = lab.iter().copied().chain(["portrait-lab", "portrait"]).collect();
    let mut table = BTreeMap::from([
        ("portrait-profile", BTreeSet::new()),
        ("portrait-runtime", BTreeSet::new()),
        ("portrait-proto", BTreeSet::from(["portrait-profile"])),
        ("portrait-learning", BTreeSet::from(["portrait-profile"])),
        ("portrait-store", BTreeSet::from(["portrait-profile"])),
        ("portrait-store-embedded", BTreeSet::from(["portrait-profile", "portrait-store"])),
        ("portrait-store-redis", BTreeSet::from(["portrait-profile", "portrait-store"])),
        // `runtime` has the client side of TLS and tokens; the rendering of profiles uses domain types.
        ("portrait-client", BTreeSet::from(["portrait-profile", "portrait-proto", "portrait-runtime"])),
        (
            "portrait-connect",
            BTreeSet::from(["portrait-client", "portrait-profile", "portrait-proto", "portrait-runtime"]),
        ),
        ("portrait-node", node),
        ("portrait-lab", lab),
        ("portrait", all.clone()),
        ("portrait-tests", all.clone()),
        ("portrait-fuzz", all),
    ]);
    table.insert("portrait-ingest", BTreeSet::from(below));
    for service in ["portrait-feature", "portrait-model", "portrait-query"] {
        table.insert(service, below.into_iter().chain(learning).collect());
    }
    table
}

#[test]
fn no_crate_depends_on_another_outside_the_table() {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(repository())
        .output()
        .expect("cargo runs");
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("JSON");
    let table = allowed();
    let packages = metadata["packages"].as_array().expect("packages");
    assert_eq!(packages.len(), table.len(), "the table and the workspace have different crates");
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let allowed = table.get(name).unwrap_or_else(|| panic!("{name} is not in the table"));
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let other = dependency["name"].as_str().expect("a name");
            let ours = other.starts_with("portrait") && dependency["kind"].is_null();
            assert!(!ours || allowed.contains(other), "{name} may not depend on {other}");
        }
    }
}

#[test]
fn no_service_is_compiled_with_a_store_backend() {
    for service in SERVICES {
        let package = format!("portrait-{service}");
        let tree = Command::new(env!("CARGO"))
            .args(["tree", "--package", &package, "--edges", "normal", "--prefix", "none", "--format", "{p}"])
            .current_dir(repository())
            .output()
            .expect("cargo runs");
        assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        let tree = String::from_utf8(tree.stdout).expect("a text");
        let packages: BTreeSet<&str> =
            tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert!(packages.contains("portrait-store"), "{packages:?}");
        for backend in ["portrait-store-embedded", "portrait-store-redis", "fjall", "redis"] {
            assert!(!packages.contains(backend), "{package} is compiled with {backend}");
        }
    }
}

#[test]
fn every_service_has_the_same_file_map() {
    for service in SERVICES {
        for file in SERVICE_FILES {
            let path = repository().join("crates").join(service).join("src").join(file);
            assert!(path.exists(), "{} is missing", path.display());
        }
    }
}

#[test]
fn every_file_has_a_header_a_limited_length_and_no_placeholders() {
    let mut files = Vec::new();
    rust_files(&repository().join("crates"), &mut files);
    rust_files(&repository().join("tests"), &mut files);
    assert!(files.len() > 100, "only {} files were found", files.len());
    // Assembled from parts, so that this file does not contain the words.
    let forbidden = ["#[ign", "tod", "unimpl"].map(String::from);
    let forbidden = [
        format!("{}ore", forbidden[0]),
        format!("{}o!(", forbidden[1]),
        format!("{}emented!(", forbidden[2]),
    ];
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a text");
        let name = file.display();
        assert!(text.starts_with("//!"), "{name} does not begin with a //! comment");
        let production = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().lines().count();
        assert!(production <= LINES_MAX, "{name} has {production} lines, {LINES_MAX} are allowed");
        for word in &forbidden {
            assert!(!text.contains(word), "{name} has {word}");
        }
    }
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
