"""Runs an image with podman as the chart configures it: first as a single process with an embedded store, then every role with a
Redis, from the objects that the chart renders. Arguments: the image of Portrait and the image of Redis. Exits with the first failure or
prints the result of the chart's probe. Part of `make image-test`, not of the pytest suite."""

import base64
import json
import subprocess
import sys
import time

import yaml
from chart import ROLES, merged, render, values_of

NETWORK = "portrait-image-test"
# Fixed addresses, listed in every pod's hosts file: the DNS server of podman does not run on every machine.
SUBNET = "10.213.77.0/24"
ADDRESSES = {f"shop-portrait-{name}": f"10.213.77.{10 + index}" for index, name in enumerate(["redis", *ROLES, "probe"])}
SINGLE = "portrait-image-test-single"
TIMEOUT_SECONDS = 90
# Same restrictions as the security contexts of the chart.
CONFINED = ["--read-only", "--read-only-tmpfs=false", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "65532:65532"]


def podman(*arguments, check=True, **options):
    result = subprocess.run(["podman", *arguments], capture_output=True, text=True, **options)
    if check and result.returncode != 0:
        raise SystemExit(f"podman {' '.join(arguments)} failed: {result.stdout}{result.stderr}")
    return result


def wait_until(description, poll):
    """Polls until the result is truthy, and returns it."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while not (result := poll()):
        if time.monotonic() > end:
            raise SystemExit(f"timed out after {TIMEOUT_SECONDS} s: {description}\n{podman('ps', '--all').stdout}")
        time.sleep(0.2)
    return result


def test_single_process(image):
    """Runs all roles in one process, as deploy/compose/single.yaml does."""
    podman("run", "--detach", "--name", SINGLE, *CONFINED, "--volume", f"{SINGLE}:/data", image)
    probed = wait_until(
        "the single process accepts an event",
        lambda: (run := podman("exec", SINGLE, "/usr/local/bin/portrait", "probe", check=False)).returncode == 0 and run.stdout,
    )
    print(f"single process: {probed.strip()}")
    user = podman("top", SINGLE, "huser").stdout.split()[-1]
    assert user == "65532", f"it runs as {user}"
    podman("stop", "--time", "60", SINGLE)
    ended = podman("inspect", "--format", "{{.State.ExitCode}}", SINGLE).stdout.strip()
    assert ended == "0", f"it exited with {ended}: {podman('logs', SINGLE).stderr}"


def play(objects, name):
    """Starts objects with `podman kube play`, reachable by the name of the chart's Service."""
    names = [{"ip": address, "hostnames": [other, f"{other}-headless"]} for other, address in ADDRESSES.items()]
    # podman supports neither gRPC probes nor topology spread and would publish every port on the host; none of that concerns the image.
    for found in objects:
        pod = found.get("spec", {})
        pod = pod.get("template", {}).get("spec", {}) if found["kind"] == "Deployment" else pod
        if "containers" in pod:
            pod["hostAliases"] = names
        pod.pop("topologySpreadConstraints", None)
        for container in pod.get("containers", []):
            for part in ("readinessProbe", "livenessProbe", "startupProbe", "ports"):
                container.pop(part, None)
    network = ["--network", NETWORK, "--ip", ADDRESSES[name]]
    podman("kube", "play", *network, "--replace", "-", input=yaml.safe_dump_all(objects))


def test_all_roles(image, redis):
    """Runs every role with a Redis, from the objects that the chart renders for development."""
    repository, tag = image.rsplit(":", 1)
    values = merged(
        values_of("dev"),
        {"image": {"repository": repository, "tag": tag, "pullPolicy": "Never"}, "redis": {"development": {"image": redis}}},
    )
    objects = render(values)
    given = [objects["ConfigMap", "shop-portrait-config"], objects["Secret", "shop-portrait-redis"]]
    release = podman("version", "--format", "{{.Client.Version}}").stdout.split(".")
    secret = given[1]
    # podman does not support stringData.
    content = secret.pop("stringData")
    secret["data"] = {key: as_base64(value) for key, value in content.items()}
    if (int(release[0]), int(release[1])) < (4, 4):
        # Older podman mounts Secrets without decoding them: a ConfigMap with the plain content takes the place.
        name = f"{secret['metadata']['name']}-decoded"
        given.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": content})
        for role in ROLES:
            for volume in objects["Deployment", f"shop-portrait-{role}"]["spec"]["template"]["spec"]["volumes"]:
                if volume.get("secret", {}).get("secretName") == secret["metadata"]["name"]:
                    items = volume.pop("secret").get("items")
                    volume["configMap"] = {"name": name, **({"items": items} if items else {})}
    # The official image of Redis disables protected mode, the one of Debian does not.
    [server] = objects["Deployment", "shop-portrait-redis"]["spec"]["template"]["spec"]["containers"]
    server["args"] = [*server["args"], "--protected-mode", "no"]
    for name in ["redis", *ROLES]:
        play([*given, objects["Deployment", f"shop-portrait-{name}"]], f"shop-portrait-{name}")
    probe = objects["Pod", "shop-portrait-probe"]
    play([probe], "shop-portrait-probe")
    container = "shop-portrait-probe-probe"

    def ended():
        state = json.loads(podman("inspect", container).stdout)[0]["State"]
        return state if state["Status"] in ("exited", "stopped") else None

    state = wait_until("the probe terminates", ended)
    logs = podman("logs", container)
    if state["ExitCode"] != 0:
        for role in ROLES:
            print(f"--- {role}", podman("logs", container_of(role), check=False).stderr[-2000:], sep="\n")
        raise SystemExit(f"the probe failed: {logs.stdout}{logs.stderr}")
    print(f"all roles: {logs.stdout.strip()}")
    for role in ROLES:
        inspected = json.loads(podman("inspect", container_of(role)).stdout)[0]
        assert inspected["HostConfig"]["ReadonlyRootfs"] and inspected["Config"]["User"].startswith("65532"), role
        assert inspected["EffectiveCaps"] in (None, []), inspected["EffectiveCaps"]


def container_of(role):
    """Container of a role. Some releases of podman number the pods of a Deployment, others do not."""
    names = podman("ps", "--all", "--format", "{{.Names}}").stdout.split()
    return next(name for name in names if name.startswith(f"shop-portrait-{role}-pod") and name.endswith("-portrait"))


def as_base64(text):
    return base64.b64encode(text.encode()).decode()


def clean_up():
    """Removes the objects that this program created, and no others."""
    named = podman("pod", "ps", "--format", "{{.Name}}", check=False).stdout.split()
    pods = [name for name in named if name.startswith("shop-portrait-")]
    podman("pod", "rm", "--force", "--ignore", "--time", "5", *pods, check=False)
    podman("rm", "--force", "--ignore", "--time", "5", SINGLE, check=False)
    podman("volume", "rm", "--force", SINGLE, "shop-portrait-config", "shop-portrait-redis", "shop-portrait-redis-decoded", check=False)
    podman("secret", "rm", "shop-portrait-redis", check=False)
    podman("network", "rm", "--force", NETWORK, check=False)


def main():
    image, redis = sys.argv[1:]
    clean_up()
    podman("network", "create", "--subnet", SUBNET, NETWORK)
    try:
        test_single_process(image)
        test_all_roles(image, redis)
    finally:
        clean_up()


if __name__ == "__main__":
    main()
