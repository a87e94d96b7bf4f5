"""Generated files are up to date, and the files that build and run images are valid."""

import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from chart import CHART, ROOT, VALUES, binary, tool

COMPOSE = ROOT / "deploy" / "compose"


def test_readme_and_schema_of_the_chart_are_up_to_date():
    check = [sys.executable, str(ROOT / "scripts" / "chart_files"), "--check"]
    run = subprocess.run(check, capture_output=True, text=True, env={"PORTRAIT_BINARY": binary()})
    assert run.returncode == 0, run.stderr


def paths(values, above=()):
    """Paths of all leaf values; an empty map is a leaf."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from paths(value, (*above, key))
        else:
            yield ".".join((*above, key))


def test_every_value_is_documented_exactly_once():
    text = (CHART / "values.yaml").read_text()
    documented = re.findall(r"^ *## @param (\S+) \S", text, re.MULTILINE)
    assert len(documented) == len(set(documented))
    uncovered = [
        path for path in paths(yaml.safe_load(text)) if not any(path == known or path.startswith(f"{known}.") for known in documented)
    ]
    # Overrides of a role are documented by the entry of the role as a whole.
    assert uncovered == []


def test_every_preset_and_every_example_is_tested():
    assert {"dev", "production", "redis-cluster"} <= set(VALUES)
    presets = {path.name for path in CHART.glob("values-*.yaml")}
    assert presets == {"values-dev.yaml", "values-production.yaml", "values-redis-cluster.yaml"}
    assert len(list(CHART.glob("ci/*-values.yaml"))) >= 4


def test_the_dockerfile_passes_the_linter_and_runs_as_a_non_root_user():
    dockerfile = ROOT / "deploy" / "Dockerfile"
    run = subprocess.run([tool("hadolint"), str(dockerfile)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.findall(r"^USER (.*)$", dockerfile.read_text(), re.MULTILINE) == ["65532:65532"]


def test_the_image_is_built_without_the_lab_feature():
    builds = re.findall(r"cargo build [^\\\n]*", (ROOT / "deploy" / "Dockerfile").read_text())
    assert len(builds) == 1
    assert "--package portrait " in builds[0]
    assert "--no-default-features" in builds[0]
    assert "--features" not in builds[0]
    manifest = tomllib.loads((ROOT / "crates" / "portrait" / "Cargo.toml").read_text())
    assert manifest["features"] == {"default": ["lab"], "lab": ["dep:portrait-lab"]}
    assert manifest["dependencies"]["portrait-lab"]["optional"]


def test_dockerignore_keeps_every_file_that_the_build_reads():
    """Cargo refuses a workspace that lacks a member, so the build context needs every manifest."""
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {"Cargo.toml", "Cargo.lock", "crates", "proto", "tests/Cargo.toml"} <= kept
    assert all((ROOT / path).exists() for path in kept)


@pytest.mark.parametrize("name", ["single", "cluster"])
def test_compose_refers_only_to_existing_files_and_services(name):
    path = COMPOSE / f"{name}.yaml"
    whole = yaml.safe_load(path.read_text())
    for service in whole["services"].values():
        for mounted in service.get("volumes", []):
            source = mounted.split(":")[0]
            assert source in whole["volumes"] or (COMPOSE / source).resolve().is_file(), mounted
        assert set(service.get("depends_on", {})) <= set(whole["services"])
        if built := service.get("build"):
            assert (COMPOSE / built["context"] / built["dockerfile"]).resolve() == ROOT / "deploy" / "Dockerfile"


def test_prometheus_of_compose_scrapes_every_process_and_loads_the_charts_rules():
    whole = yaml.safe_load((COMPOSE / "cluster.yaml").read_text())
    ours = {name for name, service in whole["services"].items() if service["image"] == "portrait"}
    config = COMPOSE / "prometheus.yaml"
    run = subprocess.run([tool("promtool"), "check", "config", "--syntax-only", str(config)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    scraped = yaml.safe_load(config.read_text())["scrape_configs"][0]["static_configs"]
    assert {target.removesuffix(":8080") for static in scraped for target in static["targets"]} == ours
    assert all(static["labels"]["role"] == target.split(":")[0].split("-")[0] for static in scraped for target in static["targets"])
    assert "../../helm/portrait/files/rules.yaml:/etc/prometheus/rules.yaml:ro" in whole["services"]["prometheus"]["volumes"]
