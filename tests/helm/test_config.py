"""The chart sets only keys that the binary knows, and processes with the chart's configuration work end to end."""

import contextlib
import json
import re
import signal
import subprocess
import time
import tomllib

import pytest
import yaml
from chart import (
    CHART, ROLES, ROOT, VALUES, announced, binary, free_port, http_get, merged, portrait, render, running, tool, values_of,
    wait_for_redis,
)

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
# Enumerated values of the schema, by configuration key.
CHOICES = {
    f"{section}.{key}": of_key["enum"]
    for section, of_section in SCHEMA["properties"]["config"]["properties"].items()
    for key, of_key in of_section["properties"].items()
    if "enum" in of_key
}
INTERVAL = r"(\d+)(ms|s|m|h|d)"


def configuration(values):
    """Configuration file of the pods."""
    config = next(found for (kind, name), found in render(values).items() if kind == "ConfigMap" and name.endswith("-config"))
    return config["data"]["portrait.toml"]


def millis(interval):
    number, unit = re.fullmatch(INTERVAL, interval).groups()
    return int(number) * {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}[unit]


@pytest.mark.parametrize("name", VALUES)
def test_the_binary_accepts_every_key_of_the_chart_with_its_value(name, tmp_path):
    text = configuration(values_of(name))
    path = tmp_path / "portrait.toml"
    path.write_text(text)
    run = portrait("serve", "ingest", "--config", str(path), "--dump-config")
    assert run.returncode == 0, run.stderr
    used = tomllib.loads(run.stdout)
    for section, keys in tomllib.loads(text).items():
        for key, value in keys.items():
            in_use = used[section][key]
            if isinstance(value, dict):
                alike = value.items() <= in_use.items()
            elif isinstance(value, str) and re.fullmatch(INTERVAL, value):
                alike = millis(value) == millis(in_use)
            else:
                alike = value == in_use
            assert alike, f"{section}.{key} is {value!r} in the file and {in_use!r} in use"


@pytest.mark.parametrize("key", CHOICES)
def test_the_schema_lists_the_choices_of_the_binary(key):
    for choice in CHOICES[key]:
        assert portrait("serve", "--dump-config", "--set", f"{key}={choice}").returncode == 0
    refused = portrait("serve", "--dump-config", "--set", f"{key}=made-up")
    assert refused.returncode != 0
    # The error message lists every choice.
    assert set(re.findall(r"`([a-z]+)`", refused.stderr)) == set(CHOICES[key]), refused.stderr


def test_the_termination_grace_period_covers_draining():
    for name in VALUES:
        objects = render(values_of(name))
        used = tomllib.loads(configuration(values_of(name)))["server"]
        stop_ms = millis(used["drain_delay"]) + millis(used["drain_grace"])
        for (kind, called), found in objects.items():
            if kind == "Deployment" and not called.endswith("-redis"):
                assert found["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] * 1000 >= stop_ms + 10_000
    default = render({"redis": {"existingSecret": "shop-redis"}})["Deployment", "shop-portrait-query"]
    assert default["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 45


@pytest.mark.parametrize("name", ["single", "cluster"])
def test_the_binary_accepts_the_configuration_of_each_compose_service(name):
    services = yaml.safe_load((ROOT / "deploy" / "compose" / f"{name}.yaml").read_text())["services"]
    ours = [service for service in services.values() if service["image"] == "portrait"]
    assert ours
    for service in ours:
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        run = portrait(*service["command"], "--dump-config", variables=service["environment"])
        assert run.returncode == 0, run.stderr
        used = tomllib.loads(run.stdout)["server"]
        stop_ms = sum(millis(used[key]) for key in ("drain_delay", "drain_grace") if used[key] != "0")
        assert int(service["stop_grace_period"].removesuffix("s")) * 1000 >= stop_ms + 10_000


def test_four_processes_with_the_charts_configuration_apply_an_event_to_a_profile(tmp_path):
    objects = render(merged(values_of("dev"), {"config": {"server": {"drain_delay": "1s"}}}))
    config = tmp_path / "portrait.toml"
    config.write_text(objects["ConfigMap", "shop-portrait-config"]["data"]["portrait.toml"])
    redis = objects["Deployment", "shop-portrait-redis"]["spec"]["template"]["spec"]["containers"][0]
    port = free_port()
    (tmp_path / "url").write_text(f"redis://127.0.0.1:{port}\n")
    arguments = [str(tmp_path) if argument == "/data" else argument for argument in redis["args"]]
    with contextlib.ExitStack() as stack:
        stack.enter_context(running(tool("redis-server"), "--port", str(port), "--bind", "127.0.0.1", *arguments))
        wait_for_redis(port)
        addresses, processes = {}, {}
        for role in ROLES:
            container = objects["Deployment", f"shop-portrait-{role}"]["spec"]["template"]["spec"]["containers"][0]
            arguments = [str(config) if argument.startswith("/etc/portrait") else argument for argument in container["args"]]
            overrides = ["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--set", f"store.url_file={tmp_path / 'url'}"]
            processes[role] = stack.enter_context(running(binary(), *arguments, *overrides, stderr=subprocess.DEVNULL))
            addresses[role] = announced(processes[role])
        probe = objects["Pod", "shop-portrait-probe"]["spec"]["containers"][0]["args"]
        to = ",".join(f"{role}={addresses[role][0]}" for role in ("ingest", "query"))
        run = portrait(*[to if argument.startswith("ingest=") else argument for argument in probe])
        assert run.returncode == 0, run.stderr
        assert 'is in the profile of "portrait-probe", event 1 of it' in run.stdout
        for role in ROLES:
            assert http_get(f"{addresses[role][1]}/livez") == "alive\n"
        started = time.monotonic()
        processes["query"].send_signal(signal.SIGTERM)
        assert processes["query"].wait(timeout=30) == 0
        assert time.monotonic() - started >= 1, "it reports NOT_SERVING for drain_delay before it refuses calls"
