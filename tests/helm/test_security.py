"""Certificates and tokens by the chart: what pods get of them, and that four processes which are given that serve who shows them, and
nobody else."""

import contextlib
import hashlib
import pathlib
import subprocess
import tomllib

import pytest
from chart import (
    ROLES, announced, binary, deployment, free_port, merged, portrait, render, running, tool, values_of, wait_for_redis,
)

TLS = {"tls": {"existingSecret": "shop-tls"}}
MUTUAL = merged(TLS, {"tls": {"clientCa": {"existingSecret": "shop-callers"}}})
AUTH = {"auth": {"existingSecret": "shop-tokens"}}
# By what is switched on: volumes with the Secret of each, and what is set of the ports.
ROWS = {
    "nothing": ({}, {}, {}, {}),
    "tls": (
        TLS, {"tls": "shop-tls", "tls-ca": "shop-tls"},
        {"tls_certificate": "/etc/portrait/tls/tls.crt", "tls_key": "/etc/portrait/tls/tls.key"},
        {"ca": "/etc/portrait/tls-ca/ca.crt"},
    ),
    "mutual": (
        MUTUAL, {"tls": "shop-tls", "tls-ca": "shop-tls", "client-ca": "shop-callers"},
        {"tls_client_ca": "/etc/portrait/client-ca/ca.crt"}, {},
    ),
    "auth": (
        AUTH, {"tokens": "shop-tokens", "cluster-token": "shop-tokens"},
        {"tokens_file": "/etc/portrait/tokens/tokens.toml"}, {"token_file": "/etc/portrait/cluster-token/token"},
    ),
}


def configuration(objects):
    return objects["ConfigMap", "shop-portrait-config"]["data"]["portrait.toml"]


@pytest.mark.parametrize("name", ROWS)
def test_what_is_named_is_mounted_whole_and_told_to_every_role(name):
    secured, volumes, server, cluster = ROWS[name]
    values = merged({"redis": {"existingSecret": "shop-redis"}}, secured)
    told = tomllib.loads(configuration(render(values)))
    assert server.items() <= told["server"].items() and cluster.items() <= told["cluster"].items()
    scheme = "https" if "tls" in secured else "http"
    assert told["profiles"]["models"] == f"{scheme}://shop-portrait-model:50051"
    for role in ROLES:
        pod = deployment(values, role)["spec"]["template"]["spec"]
        mounted = {mount["name"]: mount for mount in pod["containers"][0]["volumeMounts"]}
        found = {volume["name"]: volume["secret"] for volume in pod["volumes"] if "secret" in volume and volume["name"] != "redis"}
        assert {volume: secret["secretName"] for volume, secret in found.items()} == volumes
        for volume in volumes:
            # A file that is mounted by subPath is never changed.
            assert mounted[volume] == {"name": volume, "mountPath": f"/etc/portrait/{volume}", "readOnly": True}
        readiness = pod["containers"][0]["readinessProbe"]
        assert ("httpGet" in readiness) == (scheme == "https"), "Kubernetes asks gRPC without TLS"
        assert "env" not in pod["containers"][0]


class Files:
    """What Secrets hold, as a node puts it into folders."""

    def __init__(self, folder):
        self.folder, self.secrets = folder, {}
        self.openssl("req", "-x509", "-subj", "/CN=signer", "-keyout", "signer.key", "-out", "signer.pem")
        names = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "extendedKeyUsage=serverAuth,clientAuth"]
        signed = ["-CA", "signer.pem", "-CAkey", "signer.key", "-addext", "basicConstraints=critical,CA:FALSE"]
        self.openssl("req", "-x509", "-subj", "/CN=portrait", "-keyout", "tls.key", "-out", "tls.crt", *signed, *names)
        read = lambda name: (folder / name).read_text()
        tls = {"tls.crt": read("tls.crt"), "tls.key": read("tls.key"), "ca.crt": read("signer.pem")}
        entry = lambda name, roles: f'[[token]]\nname = "{name}"\nsha256 = "{hashlib.sha256(name.encode()).hexdigest()}"\nroles = {roles}\n'
        tokens = entry("cluster", '["read", "admin"]') + entry("probe", '["write", "read"]')
        self.secrets = {
            "shop-tls": tls, "shop-callers": {"ca.crt": tls["ca.crt"]},
            "shop-tokens": {"tokens.toml": tokens, "cluster-token": "cluster\n", "probe-token": "probe\n"},
        }

    def openssl(self, *arguments):
        new = ["-newkey", "rsa:2048", "-nodes", "-days", "2"]
        subprocess.run([tool("openssl"), *arguments, *new], check=True, capture_output=True, cwd=self.folder)

    def mount(self, pod):
        for volume in pod["volumes"]:
            if (secret := volume.get("secret")) and secret["secretName"] in self.secrets:
                at = self.folder / volume["name"]
                at.mkdir(exist_ok=True)
                for item in secret["items"]:
                    (at / item["path"]).write_text(self.secrets[secret["secretName"]][item["key"]])

    def here(self, text):
        return text.replace("/etc/portrait", str(self.folder))


def test_four_processes_secured_by_the_chart_serve_the_probe_and_nobody_without_its_files(tmp_path):
    objects = render(merged(values_of("dev"), merged(MUTUAL, AUTH)))
    files, port = Files(pathlib.Path(tmp_path)), free_port()
    config = tmp_path / "portrait.toml"
    config.write_text(files.here(configuration(objects)))
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "url").write_text(f"redis://127.0.0.1:{port}\n")
    with contextlib.ExitStack() as stack:
        stack.enter_context(running(tool("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path),
                                    "--appendonly", "yes", "--appendfsync", "always"))
        wait_for_redis(port)
        addresses = {}
        for role in ["feature", "model", "ingest", "query"]:
            files.mount(objects["Deployment", f"shop-portrait-{role}"]["spec"]["template"]["spec"])
            here = ["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]
            for key, other in [("model.features", "feature"), ("profiles.models", "model")]:
                here += ["--set", f"{key}={addresses.get(other, '')}"]
            serve = running(binary(), "serve", role, "--config", str(config), *here, stderr=subprocess.DEVNULL)
            addresses[role] = announced(stack.enter_context(serve))[0]
        probe = objects["Pod", "shop-portrait-probe"]["spec"]
        files.mount(probe)
        to = ",".join(f"{role}={addresses[role]}" for role in ("ingest", "query"))
        arguments = [to if argument.startswith("ingest=") else files.here(argument) for argument in probe["containers"][0]["args"]]
        said = portrait(*arguments)
        assert said.returncode == 0, said.stderr
        assert 'is in the profile of "portrait-probe", event 1 of it' in said.stdout
        arguments[arguments.index("--timeout") + 1] = "1"
        for flags, part in [(["--token-file"], "Unauthenticated"), (["--cert", "--key"], "the probe has tried")]:
            fewer = list(arguments)
            for flag in flags:
                at = fewer.index(flag)
                del fewer[at:at + 2]
            said = portrait(*fewer)
            assert said.returncode != 0 and part in said.stderr, said.stderr
