"""What is made from something else is up to date, and what builds and runs images is in order."""

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
    said = subprocess.run(check, capture_output=True, text=True, env={"PORTRAIT_BINARY": binary()})
    assert said.returncode == 0, said.stderr


def paths(values, above=()):
    """Every value that is no map, by its path; a map without anything in it is a value."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from paths(value, (*above, key))
        else:
            yield ".".join((*above, key))


def test_every_value_is_explained_and_every_explanation_is_of_a_value():
    text = (CHART / "values.yaml").read_text()
    explained = re.findall(r"^ *## @param (\S+) \S", text, re.MULTILINE)
    assert len(explained) == len(set(explained))
    uncovered = [
        path for path in paths(yaml.safe_load(text)) if not any(path == known or path.startswith(f"{known}.") for known in explained)
    ]
    # What differs for a role by itself is explained where all of the role is.
    assert uncovered == []


def test_every_preset_and_every_example_is_tried_out():
    assert {"dev", "production", "redis-cluster"} <= set(VALUES)
    presets = {path.name for path in CHART.glob("values-*.yaml")}
    assert presets == {"values-dev.yaml", "values-production.yaml", "values-redis-cluster.yaml"}
    assert len(list(CHART.glob("ci/*-values.yaml"))) >= 4


def test_dockerfile_is_linted_and_runs_as_nobody_in_particular():
    dockerfile = ROOT / "deploy" / "Dockerfile"
    said = subprocess.run([tool("hadolint"), str(dockerfile)], capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr
    assert re.findall(r"^USER (.*)$", dockerfile.read_text(), re.MULTILINE) == ["65532:65532"]


def test_image_has_no_laboratory():
    builds = re.findall(r"cargo build [^\\\n]*", (ROOT / "deploy" / "Dockerfile").read_text())
    assert len(builds) == 1
    assert "--package portrait " in builds[0]
    assert "--no-default-features" in builds[0]
    assert "--features" not in builds[0]
    manifest = tomllib.loads((ROOT / "crates" / "portrait" / "Cargo.toml").read_text())
    assert manifest["features"] == {"default": ["lab"], "lab": ["dep:portrait-lab"]}
    assert manifest["dependencies"]["portrait-lab"]["optional"]


def test_image_is_built_from_what_dockerignore_leaves():
    """A workspace that lacks a member is none: whatever cargo reads must be in the context."""
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {"Cargo.toml", "Cargo.lock", "crates", "proto", "tests/Cargo.toml"} <= kept
    assert all((ROOT / path).exists() for path in kept)


@pytest.mark.parametrize("name", ["single", "cluster"])
def test_compose_names_files_and_services_that_there_are(name):
    path = COMPOSE / f"{name}.yaml"
    whole = yaml.safe_load(path.read_text())
    for service in whole["services"].values():
        for mounted in service.get("volumes", []):
            source = mounted.split(":")[0]
            assert source in whole["volumes"] or (COMPOSE / source).resolve().is_file(), mounted
        assert set(service.get("depends_on", {})) <= set(whole["services"])
        if built := service.get("build"):
            assert (COMPOSE / built["context"] / built["dockerfile"]).resolve() == ROOT / "deploy" / "Dockerfile"


def test_prometheus_of_compose_reads_every_process_and_the_charts_rules():
    whole = yaml.safe_load((COMPOSE / "cluster.yaml").read_text())
    ours = {name for name, service in whole["services"].items() if service["image"] == "portrait"}
    config = COMPOSE / "prometheus.yaml"
    said = subprocess.run([tool("promtool"), "check", "config", "--syntax-only", str(config)], capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr
    scraped = yaml.safe_load(config.read_text())["scrape_configs"][0]["static_configs"]
    assert {target.removesuffix(":8080") for static in scraped for target in static["targets"]} == ours
    assert all(static["labels"]["role"] == target.split(":")[0].split("-")[0] for static in scraped for target in static["targets"])
    assert "../../helm/portrait/files/rules.yaml:/etc/prometheus/rules.yaml:ro" in whole["services"]["prometheus"]["volumes"]
