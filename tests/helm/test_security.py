"""TLS and authentication by the chart: mounted Secrets and configuration of the pods, and four secured processes that serve clients with
credentials only."""

import contextlib
import hashlib
import pathlib
import re
import subprocess
import tomllib

import pytest
from chart import (
    ROLES, announced, binary, deployment, free_port, merged, portrait, render, running, tool, values_of, wait_for_redis,
)

TLS = {"tls": {"existingSecret": "shop-tls"}}
MUTUAL = merged(TLS, {"tls": {"clientCa": {"existingSecret": "shop-callers"}}})
AUTH = {"auth": {"existingSecret": "shop-tokens"}}
# By enabled feature: values, volumes with their Secrets, and expected keys of the sections server and cluster.
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
def test_each_named_secret_is_mounted_whole_and_configured_for_every_role(name):
    secured, volumes, server, cluster = ROWS[name]
    values = merged({"redis": {"existingSecret": "shop-redis"}}, secured)
    config = tomllib.loads(configuration(render(values)))
    assert server.items() <= config["server"].items() and cluster.items() <= config["cluster"].items()
    scheme = "https" if "tls" in secured else "http"
    assert config["profiles"]["models"] == f"{scheme}://shop-portrait-model:50051"
    for role in ROLES:
        pod = deployment(values, role)["spec"]["template"]["spec"]
        mounted = {mount["name"]: mount for mount in pod["containers"][0]["volumeMounts"]}
        found = {volume["name"]: volume["secret"] for volume in pod["volumes"] if "secret" in volume and volume["name"] != "redis"}
        assert {volume: secret["secretName"] for volume, secret in found.items()} == volumes
        for volume in volumes:
            # Kubernetes never updates a subPath mount.
            assert mounted[volume] == {"name": volume, "mountPath": f"/etc/portrait/{volume}", "readOnly": True}
        readiness = pod["containers"][0]["readinessProbe"]
        assert ("httpGet" in readiness) == (scheme == "https"), "gRPC probes of Kubernetes do not support TLS"
        assert "env" not in pod["containers"][0]


class MountedSecrets:
    """Contents of the Secrets, mounted into folders as a node does."""

    def __init__(self, folder):
        self.folder = folder
        self.openssl("req", "-x509", "-subj", "/CN=signer", "-keyout", "signer.key", "-out", "signer.pem")
        names = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "extendedKeyUsage=serverAuth,clientAuth"]
        signed = ["-CA", "signer.pem", "-CAkey", "signer.key", "-addext", "basicConstraints=critical,CA:FALSE"]
        self.openssl("req", "-x509", "-subj", "/CN=portrait", "-keyout", "tls.key", "-out", "tls.crt", *signed, *names)
        read = lambda name: (folder / name).read_text()
        tls = {"tls.crt": read("tls.crt"), "tls.key": read("tls.key"), "ca.crt": read("signer.pem")}
        entry = lambda name, roles: f'[[token]]\nname = "{name}"\nsha256 = "{hashlib.sha256(name.encode()).hexdigest()}"\nroles = {roles}\n'
        tokens = entry("cluster", '["read", "admin"]') + entry("probe", '["write", "read"]')
        self.secrets = {
            "shop-tls": tls, "shop-callers": {"ca.crt": tls["ca.crt"]}, "shop-redis-ca": {"ca.crt": tls["ca.crt"]},
            "shop-redis-client": {"tls.crt": tls["tls.crt"], "tls.key": tls["tls.key"]},
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

    def localize(self, text):
        """Replaces the mount path by the local folder."""
        return text.replace("/etc/portrait", str(self.folder))


def test_four_secured_processes_serve_the_probe_and_refuse_clients_without_credentials(tmp_path):
    objects = render(merged(values_of("dev"), merged(MUTUAL, AUTH)))
    secrets = MountedSecrets(pathlib.Path(tmp_path))
    port = free_port()
    config = tmp_path / "portrait.toml"
    config.write_text(secrets.localize(configuration(objects)))
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "url").write_text(f"redis://127.0.0.1:{port}\n")
    with contextlib.ExitStack() as stack:
        stack.enter_context(running(tool("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path),
                                    "--appendonly", "yes", "--appendfsync", "always"))
        wait_for_redis(port)
        addresses = {}
        for role in ["feature", "model", "ingest", "query"]:
            secrets.mount(objects["Deployment", f"shop-portrait-{role}"]["spec"]["template"]["spec"])
            overrides = ["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]
            for key, other in [("model.features", "feature"), ("profiles.models", "model")]:
                overrides += ["--set", f"{key}={addresses.get(other, '')}"]
            serve = running(binary(), "serve", role, "--config", str(config), *overrides, stderr=subprocess.DEVNULL)
            addresses[role] = announced(stack.enter_context(serve))[0]
        probe = objects["Pod", "shop-portrait-probe"]["spec"]
        secrets.mount(probe)
        to = ",".join(f"{role}={addresses[role]}" for role in ("ingest", "query"))
        arguments = [to if argument.startswith("ingest=") else secrets.localize(argument) for argument in probe["containers"][0]["args"]]
        run = portrait(*arguments)
        assert run.returncode == 0, run.stderr
        assert 'is in the profile of "portrait-probe", event 1 of it' in run.stdout
        arguments[arguments.index("--timeout") + 1] = "1"
        for flags, part in [(["--token-file"], "the call has no token"), (["--cert", "--key"], "the probe has tried")]:
            fewer = list(arguments)
            for flag in flags:
                at = fewer.index(flag)
                del fewer[at:at + 2]
            run = portrait(*fewer)
            assert run.returncode != 0 and part in run.stderr, run.stderr


def test_a_redis_that_requires_client_certificates_is_reached_with_the_mounted_ones(tmp_path):
    secrets = MountedSecrets(pathlib.Path(tmp_path))
    port = free_port()
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "url").write_text(f"rediss://127.0.0.1:{port}\n")
    encrypted = ["--port", "0", "--tls-port", str(port), "--tls-cert-file", "tls.crt", "--tls-key-file", "tls.key",
                 "--tls-ca-cert-file", "signer.pem", "--tls-auth-clients", "yes"]
    durable = ["--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always"]
    redis = {"existingSecret": "shop-redis", "certificateAuthority": {"existingSecret": "shop-redis-ca"}}
    with running(tool("redis-server"), *encrypted, *durable, cwd=tmp_path):
        wait_for_redis(port)
        # An empty Redis that is reached is a warning: the doctor creates no store.
        for client, verdict in [({"clientCertificate": {"existingSecret": "shop-redis-client"}}, "warning"), ({}, "failed")]:
            objects = render({"redis": redis | client})
            secrets.mount(objects["Deployment", "shop-portrait-feature"]["spec"]["template"]["spec"])
            config = tmp_path / "portrait.toml"
            config.write_text(secrets.localize(configuration(objects)))
            run = portrait("doctor", "--config", str(config))
            [row] = re.findall(r"^\| store +\| (\w+) +\|(.*)$", run.stdout, re.MULTILINE)
            assert row[0] == verdict, run.stdout + run.stderr
        assert "store.certificate" in row[1], "the error names the key"
