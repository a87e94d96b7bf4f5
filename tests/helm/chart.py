"""What the tests of the chart share: where things are, the binary under test, and the chart as Helm itself renders it."""

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
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "portrait"
RULES = CHART / "files" / "rules.yaml"
DASHBOARD = CHART / "files" / "dashboard.json"
RUNBOOKS = ROOT / "deploy" / "runbooks"

ROLES = ["ingest", "feature", "model", "query"]
# The oldest release of Kubernetes that is supported, the newest, and some between.
KUBERNETES = ["1.27", "1.31", "1.34", "1.37"]

# Values to install with, by name: those of ci/, and the presets.
VALUES = {path.name.removesuffix("-values.yaml"): [path] for path in sorted(CHART.glob("ci/*-values.yaml"))} | {
    "dev": [CHART / "values-dev.yaml"],
    "production": [CHART / "values-production.yaml"],
    "redis-cluster": [CHART / "values-production.yaml", CHART / "values-redis-cluster.yaml"],
}


def merged(below, above):
    """Values over others, as Helm puts them over each other."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return below | {key: merged(below.get(key), value) for key, value in above.items()}


def values_of(name):
    """The values of a name of VALUES."""
    return functools.reduce(merged, (yaml.safe_load(path.read_text()) for path in VALUES[name]), {})


def render(values, name="shop", namespace="shops"):
    """The objects that an installation with these values makes, by kind and name."""
    with helm_python.Chart.load(str(CHART)) as chart:
        texts = chart.render(values, name=name, namespace=namespace)
    documents = [document for path, text in texts.items() if not path.endswith(".txt") for document in yaml.safe_load_all(text)]
    objects = {}
    for found in filter(None, documents):
        key = (found["kind"], found["metadata"]["name"])
        assert key not in objects, f"{key} is made twice"
        objects[key] = found
    return objects


def deployment(values, role):
    """The Deployment of a role, in a release that is called shop."""
    return render(values)["Deployment", f"shop-portrait-{role}"]


@functools.cache
def binary():
    """The binary under test: PORTRAIT_BINARY, or a new one."""
    if named := os.environ.get("PORTRAIT_BINARY"):
        return named
    build = ["cargo", "build", "--quiet", "--package", "portrait-tests", "--bin", "portrait-under-test"]
    subprocess.run(build, check=True, cwd=ROOT)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    return str(ROOT / target / "debug" / "portrait-under-test")


def portrait(*arguments, variables=None):
    """Runs the binary to its end, configured by these variables and nothing that the environment of the tests has."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PORTRAIT__")}
    return subprocess.run([binary(), *arguments], capture_output=True, text=True, env=environment | (variables or {}))


@contextlib.contextmanager
def running(*command, **options):
    """A process that is told to end with the block."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=60)


def announced(process):
    """The addresses that a server tells when it is ready: gRPC and HTTP."""
    for line in process.stdout:
        if found := re.match(r"ready: grpc (\S+), http (\S+)", line):
            return found.groups()
    raise AssertionError(f"the server did not start: {process.wait()}")


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def wait_for_redis(port):
    """Returns when something listens there."""
    end = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            assert time.monotonic() < end, "Redis does not start"
            time.sleep(0.02)


def tool(name):
    """A program that scripts/setup brings. One that is missing fails the test: nothing is left out in silence."""
    beside = pathlib.Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    assert found, f"{name} is missing: run scripts/setup"
    return found


def http_get(url, enough=bool, patience_seconds=30):
    """What an address answers, as soon as it is enough."""
    end, said = time.monotonic() + patience_seconds, None
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                said = answer.read().decode()
                if enough(said):
                    return said
        except OSError as error:
            said = error
        time.sleep(0.05)
    raise AssertionError(f"{url} did not answer as it should within {patience_seconds} s: {said}")
