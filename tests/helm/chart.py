"""Shared helpers of the chart tests: paths, the binary under test, and the chart as Helm itself renders it."""

import contextlib
import functools
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import helm_python
import kubernetes_validate
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "portrait"
RULES = CHART / "files" / "rules.yaml"
DASHBOARD = CHART / "files" / "dashboard.json"
RUNBOOKS = ROOT / "deploy" / "runbooks"

ROLES = ["ingest", "feature", "model", "query"]
# Supported releases of Kubernetes, oldest first.
KUBERNETES = [f"1.{minor}" for minor in range(27, 38)]

# Values files by name: those of ci/ and the presets.
VALUES = {path.name.removesuffix("-values.yaml"): [path] for path in sorted(CHART.glob("ci/*-values.yaml"))} | {
    "dev": [CHART / "values-dev.yaml"],
    "production": [CHART / "values-production.yaml"],
    "redis-cluster": [CHART / "values-production.yaml", CHART / "values-redis-cluster.yaml"],
}


def merged(below, above):
    """Values merged as Helm merges them; `above` overrides `below`."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return below | {key: merged(below.get(key), value) for key, value in above.items()}


def values_of(name):
    """Merged values of an entry of VALUES."""
    return functools.reduce(merged, (yaml.safe_load(path.read_text()) for path in VALUES[name]), {})


def render(values, name="shop", namespace="shops"):
    """Objects that an installation with these values renders, by kind and name."""
    with helm_python.Chart.load(str(CHART)) as chart:
        texts = chart.render(values, name=name, namespace=namespace)
    documents = [document for path, text in texts.items() if not path.endswith(".txt") for document in yaml.safe_load_all(text)]
    objects = {}
    for found in filter(None, documents):
        key = (found["kind"], found["metadata"]["name"])
        assert key not in objects, f"{key} is rendered twice"
        objects[key] = found
    return objects


def deployment(values, role):
    """Deployment of a role in a release named shop."""
    return render(values)["Deployment", f"shop-portrait-{role}"]


def pod_of(found):
    """Metadata and spec of the pod that an object makes or is; None for other objects."""
    made = found["spec"]["template"] if found["kind"] == "Deployment" else found if found["kind"] == "Pod" else None
    return made and (made["metadata"], made["spec"])


# The package reads a file of a megabyte for every object otherwise.
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)


def validate(found, version):
    """Validates an object strictly against the schema of a release of Kubernetes; custom resources have none."""
    try:
        kubernetes_validate.validate(found, version, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        assert "." in found["apiVersion"] and not found["apiVersion"].endswith("k8s.io/v1"), f"{version} has no {found['kind']}"


@functools.cache
def binary():
    """Path of the binary under test: PORTRAIT_BINARY, or a debug build."""
    if named := os.environ.get("PORTRAIT_BINARY"):
        return named
    build = ["cargo", "build", "--quiet", "--package", "portrait-tests", "--bin", "portrait-under-test"]
    subprocess.run(build, check=True, cwd=ROOT)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    return str(ROOT / target / "debug" / "portrait-under-test")


def portrait(*arguments, variables=None):
    """Runs the binary to completion with these variables; PORTRAIT__ variables of the environment are removed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PORTRAIT__")}
    return subprocess.run([binary(), *arguments], capture_output=True, text=True, env=environment | (variables or {}))


@contextlib.contextmanager
def running(*command, **options):
    """Process that is terminated at the end of the block."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=60)


def announced(process):
    """gRPC and HTTP addresses that a server prints when it is ready."""
    for line in process.stdout:
        if found := re.match(r"ready: grpc (\S+), http (\S+)", line):
            return found.groups()
    raise AssertionError(f"the server did not start: {process.wait()}")


def free_port():
    """Free TCP port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def wait_for_redis(port):
    """Waits until the port accepts connections."""
    end = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            assert time.monotonic() < end, "Redis does not start"
            time.sleep(0.02)


def tool(name):
    """Path of a program that scripts/setup installs. A missing program fails the test, because a skip would go unnoticed."""
    beside = pathlib.Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    assert found, f"{name} is missing: run scripts/setup"
    return found


def http_get(url, accept=bool, timeout_seconds=30):
    """Polls the URL and returns the first body that `accept` accepts."""
    end = time.monotonic() + timeout_seconds
    body = None
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                body = response.read().decode()
                if accept(body):
                    return body
        except OSError as error:
            body = error
        time.sleep(0.05)
    raise AssertionError(f"{url} did not return the expected body within {timeout_seconds} s: {body}")
