"""Runs an image as the chart says, in containers of podman on this machine: first alone on a disk of its own, then every role over a
Redis, from the objects that the chart renders. In come the names of the images of Portrait and Redis; it ends with what went wrong, or
with the line of the chart's own probe. It is a program of `make image-test`, not of the tests that pytest runs."""

import base64
import json
import subprocess
import sys
import time

import yaml
from chart import ROLES, merged, render, values_of

NETWORK = "portrait-image-test"
# Every pod has an address that the others are told: podman's own names need a server that not every machine can run.
SUBNET = "10.213.77.0/24"
ADDRESSES = {f"shop-portrait-{name}": f"10.213.77.{10 + place}" for place, name in enumerate(["redis", *ROLES, "probe"])}
ALONE = "portrait-image-test-alone"
PATIENCE_SECONDS = 90
# As Kubernetes runs it by the chart.
CONFINED = ["--read-only", "--read-only-tmpfs=false", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "65532:65532"]


def podman(*arguments, check=True, **options):
    said = subprocess.run(["podman", *arguments], capture_output=True, text=True, **options)
    if check and said.returncode != 0:
        raise SystemExit(f"podman {' '.join(arguments)} failed: {said.stdout}{said.stderr}")
    return said


def until(what, ask):
    """Asks until the answer is not nothing."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not (answer := ask()):
        if time.monotonic() > end:
            raise SystemExit(f"waited {PATIENCE_SECONDS} s in vain: {what}\n{podman('ps', '--all').stdout}")
        time.sleep(0.2)
    return answer


def alone(image):
    """One process with everything, as deploy/compose/single.yaml runs it."""
    podman("run", "--detach", "--name", ALONE, *CONFINED, "--volume", f"{ALONE}:/data", image)
    probed = until(
        "the server alone takes an event",
        lambda: (said := podman("exec", ALONE, "/usr/local/bin/portrait", "probe", check=False)).returncode == 0 and said.stdout,
    )
    print(f"alone: {probed.strip()}")
    user = podman("top", ALONE, "huser").stdout.split()[-1]
    assert user == "65532", f"it runs as {user}"
    podman("stop", "--time", "60", ALONE)
    ended = podman("inspect", "--format", "{{.State.ExitCode}}", ALONE).stdout.strip()
    assert ended == "0", f"it ended with {ended}: {podman('logs', ALONE).stderr}"


def play(objects, name):
    """Plays objects with podman, reachable by the name of the chart's Service."""
    names = [{"ip": address, "hostnames": [other, f"{other}-headless"]} for other, address in ADDRESSES.items()]
    # podman has no probes of gRPC and no spread over nodes, and would give each port of a pod to the machine; none of it has anything
    # to do with the image.
    for found in objects:
        pod = found.get("spec", {})
        pod = pod.get("template", {}).get("spec", {}) if found["kind"] == "Deployment" else pod
        if "containers" in pod:
            pod["hostAliases"] = names
        pod.pop("topologySpreadConstraints", None)
        for container in pod.get("containers", []):
            for part in ("readinessProbe", "livenessProbe", "startupProbe", "ports"):
                container.pop(part, None)
    where = ["--network", NETWORK, "--ip", ADDRESSES[name]]
    podman("kube", "play", *where, "--replace", "-", input=yaml.safe_dump_all(objects))


def together(image, redis):
    """Every role over a Redis, from what the chart renders for development."""
    repository, tag = image.rsplit(":", 1)
    values = merged(
        values_of("dev"),
        {"image": {"repository": repository, "tag": tag, "pullPolicy": "Never"}, "redis": {"development": {"image": redis}}},
    )
    objects = render(values)
    given = [objects["ConfigMap", "shop-portrait-config"], objects["Secret", "shop-portrait-redis"]]
    release = podman("version", "--format", "{{.Client.Version}}").stdout.split(".")
    secret = given[1]
    # podman knows Secrets with base64 alone.
    content = secret.pop("stringData")
    secret["data"] = {key: as_base64(value) for key, value in content.items()}
    if (int(release[0]), int(release[1])) < (4, 4):
        # It mounts them without decoding: what is in them comes as a ConfigMap, in the same place.
        name = f"{secret['metadata']['name']}-decoded"
        given.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": content})
        for role in ROLES:
            for volume in objects["Deployment", f"shop-portrait-{role}"]["spec"]["template"]["spec"]["volumes"]:
                if volume.get("secret", {}).get("secretName") == secret["metadata"]["name"]:
                    items = volume.pop("secret").get("items")
                    volume["configMap"] = {"name": name, **({"items": items} if items else {})}
    # The image of Redis lets others in, Debian's does not.
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

    state = until("the probe has ended", ended)
    logs = podman("logs", container)
    if state["ExitCode"] != 0:
        for role in ROLES:
            print(f"--- {role}", podman("logs", container_of(role), check=False).stderr[-2000:], sep="\n")
        raise SystemExit(f"the probe failed: {logs.stdout}{logs.stderr}")
    print(f"together: {logs.stdout.strip()}")
    for role in ROLES:
        inspected = json.loads(podman("inspect", container_of(role)).stdout)[0]
        assert inspected["HostConfig"]["ReadonlyRootfs"] and inspected["Config"]["User"].startswith("65532"), role
        assert inspected["EffectiveCaps"] in (None, []), inspected["EffectiveCaps"]


def container_of(role):
    """The container of a role; releases of podman number the pods of a Deployment or do not."""
    names = podman("ps", "--all", "--format", "{{.Names}}").stdout.split()
    return next(name for name in names if name.startswith(f"shop-portrait-{role}-pod") and name.endswith("-portrait"))


def as_base64(text):
    return base64.b64encode(text.encode()).decode()


def clear():
    """Removes what this program made, and nothing else."""
    named = podman("pod", "ps", "--format", "{{.Name}}", check=False).stdout.split()
    pods = [name for name in named if name.startswith("shop-portrait-")]
    podman("pod", "rm", "--force", "--ignore", "--time", "5", *pods, check=False)
    podman("rm", "--force", "--ignore", "--time", "5", ALONE, check=False)
    podman("volume", "rm", "--force", ALONE, "shop-portrait-config", "shop-portrait-redis", "shop-portrait-redis-decoded", check=False)
    podman("secret", "rm", "shop-portrait-redis", check=False)
    podman("network", "rm", "--force", NETWORK, check=False)


def main():
    image, redis = sys.argv[1:]
    clear()
    podman("network", "create", "--subnet", SUBNET, NETWORK)
    try:
        alone(image)
        together(image, redis)
    finally:
        clear()


if __name__ == "__main__":
    main()
