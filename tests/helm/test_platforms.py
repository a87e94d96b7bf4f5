"""What differs between clusters: users that the platform assigns, IP families, names, schedulers, load balancers, meshes, and Secrets
and ports of Redis."""

import pathlib
import re
import subprocess
import tomllib

import helm_python
import pytest
import yaml
from chart import (
    CHART, KUBERNETES, ROLES, VALUES, announced, binary, deployment, free_port, http_get, merged, pod_of, portrait, render, running, tool,
    validate, values_of, wait_for_redis,
)
from kube import KINDS, cluster

MINIMAL = {"redis": {"existingSecret": "shop-redis"}}
WITH_PASSWORD = {"redis": {"existingSecret": "shop-redis", "existingSecretPasswordKey": "redis-password", "url": "redis://a:6380"}}
ASSIGNED = ("runAsUser", "runAsGroup", "fsGroup")
NONE = dict.fromkeys(ASSIGNED)


def pods(objects):
    """Spec of each pod, by name of its object."""
    return {name: pod_of(found)[1] for (_, name), found in objects.items() if pod_of(found)}


def pod(values, role="ingest"):
    return deployment(values, role)["spec"]["template"]["spec"]


def configuration(values):
    return tomllib.loads(render(values)["ConfigMap", "shop-portrait-config"]["data"]["portrait.toml"])


@pytest.mark.parametrize("values", [
    {"platform": "openshift"},
    {"defaults": {"podSecurityContext": NONE}},
    {"defaults": {"podSecurityContext": None}},
    merged({"platform": "openshift"}, {"redis": {"existingSecret": "", "development": {"enabled": True}}}),
], ids=["platform", "fields", "context", "redis"])
def test_no_pod_has_a_fixed_user_where_the_platform_assigns_one(values):
    found = pods(render(merged(MINIMAL, values)))
    assert len(found) >= len(ROLES) + 1
    for name, spec in found.items():
        assert not set(ASSIGNED) & set(spec.get("securityContext", {})), name


def test_openshift_is_recognised_by_its_api(monkeypatch):
    monkeypatch.setitem(KINDS, "security.openshift.io/v1", {"securitycontextconstraints": "SecurityContextConstraints"})
    with cluster(KUBERNETES[-1]) as (state, kubeconfig):
        with helm_python.Config(kubeconfig_content=kubeconfig, namespace="shops") as helm:
            helm.install(str(CHART), "shop", values_of("dev"), wait="watcher", timeout=30)
        for name, found in state.find("Deployment").items():
            context = found["spec"]["template"]["spec"]["securityContext"]
            assert not set(ASSIGNED) & set(context) and context["runAsNonRoot"], name


def test_a_role_can_have_a_security_context_of_its_own():
    values = merged(MINIMAL, {"roles": {"query": {
        "podSecurityContext": {"fsGroup": None, "runAsUser": 1001}, "containerSecurityContext": {"seLinuxOptions": {"level": "s0:c1"}}}}})
    context = pod(values, "query")["securityContext"]
    assert context["runAsUser"] == 1001 and "fsGroup" not in context and context["runAsGroup"] == 65532
    own = pod(values, "query")["containers"][0]["securityContext"]
    assert own["seLinuxOptions"] == {"level": "s0:c1"} and own["readOnlyRootFilesystem"] is True
    assert pod(values, "ingest")["securityContext"]["runAsUser"] == 65532


@pytest.mark.parametrize("name", [name for name in VALUES if name != "everything"])
def test_every_pod_keeps_to_the_restricted_pod_security_standard(name):
    for called, spec in pods(render(values_of(name))).items():
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), called
        assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        assert all(set(volume) - {"name"} <= {"configMap", "secret", "emptyDir", "projected"} for volume in spec.get("volumes", []))
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False and own["capabilities"] == {"drop": ["ALL"]}, called
            assert not [port for port in container.get("ports", []) if "hostPort" in port]


@pytest.mark.parametrize(("values", "address"), [({}, "[::]"), ({"listenAddress": "0.0.0.0"}, "0.0.0.0")])
def test_pods_listen_on_both_families_unless_the_kernel_has_one(values, address):
    server = configuration(merged(MINIMAL, values))["server"]
    assert (server["listen"], server["http_listen"]) == (f"{address}:50051", f"{address}:8080")


def test_the_address_of_the_pods_accepts_ipv4_and_ipv6(tmp_path):
    host = configuration(MINIMAL)["server"]["listen"].removesuffix(":50051")
    listen = ["--listen", f"{host}:0", "--http-listen", f"{host}:0", "--store", f"embedded:{tmp_path}"]
    with running(binary(), "serve", *listen, stderr=subprocess.DEVNULL) as server:
        grpc, http = (url.rsplit(":", 1)[1] for url in announced(server))
        # A machine without an IPv6 address still accepts IPv4 here.
        for local in ["127.0.0.1", *["[::1]"] * ("0" * 31 + "1 " in pathlib.Path("/proc/net/if_inet6").read_text())]:
            assert http_get(f"http://{local}:{http}/livez") == "alive\n"
            assert portrait("probe", "--to", f"http://{local}:{grpc}").returncode == 0


@pytest.mark.parametrize(("policy", "families"), [
    ("SingleStack", ["IPv6"]), ("PreferDualStack", ["IPv4", "IPv6"]), ("RequireDualStack", ["IPv6", "IPv4"]), ("PreferDualStack", []),
])
def test_every_service_has_the_ip_families_of_the_values(policy, families):
    development = {"redis": {"development": {"enabled": True}}}
    service = {"ipFamilyPolicy": policy, "ipFamilies": families}
    services = [found["spec"] for (kind, _), found in render(development | {"defaults": {"service": service}}).items() if kind == "Service"]
    assert len(services) == 2 * len(ROLES) + 1
    for spec in services:
        assert (spec["ipFamilyPolicy"], spec.get("ipFamilies", [])) == (policy, families)
    plain = [found["spec"] for (kind, _), found in render(development).items() if kind == "Service"]
    assert not [spec for spec in plain if "ipFamilyPolicy" in spec or "ipFamilies" in spec]


def test_a_service_has_the_load_balancer_of_its_role_and_the_headless_one_has_none():
    objects = render(values_of("everything"))
    plain, headless = (objects["Service", f"shop-profiles-ingest{end}"]["spec"] for end in ("", "-headless"))
    assert plain["loadBalancerSourceRanges"] == ["203.0.113.0/24", "2001:db8::/32"]
    assert plain["loadBalancerClass"] == "example.com/internal" and plain["externalTrafficPolicy"] == "Local"
    assert plain["ports"][0]["nodePort"] == 30051 and plain["ports"][0]["appProtocol"] == "grpc"
    assert "nodePort" not in headless["ports"][0]
    assert not {"type", "loadBalancerSourceRanges", "loadBalancerClass", "externalTrafficPolicy"} & set(headless)
    assert "nodePort" not in objects["Service", "shop-profiles-query"]["spec"]["ports"][0]


# Valid in Kubernetes, and no string in YAML without quotes.
NO_STRINGS = ["true", "null", "on", "1e3", "2024", "0x1f"]


@pytest.mark.parametrize("text", NO_STRINGS)
def test_names_that_yaml_reads_as_another_type_stay_names(text):
    values = {
        "fullnameOverride": "shop", "nameOverride": text,
        "image": {"pullSecrets": [text]}, "serviceAccount": {"name": text},
        "redis": {"existingSecret": text, "existingSecretKey": text, "certificateAuthority": {"existingSecret": text, "key": text}},
        "tls": {"existingSecret": text, "ca": {"existingSecret": text, "key": text}},
        "auth": {"existingSecret": text, "tokensKey": text, "cluster": {"key": text}, "probe": {"key": text}},
        "defaults": {"priorityClassName": text, "schedulerName": text, "runtimeClassName": text, "podLabels": {"tier": text},
                     "nodeSelector": {"pool": text}, "topologySpread": {"keys": [text]}},
        "commonLabels": {"team": text},
    }
    objects = render(values, name=text, namespace=text)
    for found in objects.values():
        validate(found, KUBERNETES[0])
        assert found["metadata"]["namespace"] == text
    with helm_python.Config(storage_driver="memory") as helm:
        helm.install(str(CHART), text, values, namespace=text, dry_run="client")


@pytest.mark.parametrize("name", ["shop.prod", "9shop", "2024", "a.b.c", "0-shop"])
def test_a_release_whose_services_kubernetes_would_refuse_is_refused_with_a_remedy(name):
    with helm_python.Config(storage_driver="memory") as helm:
        with pytest.raises(helm_python.HelmError, match="begin the name of the release with a letter.*set fullnameOverride"):
            helm.install(str(CHART), name, MINIMAL, namespace="shops", dry_run="client")
        helm.install(str(CHART), name, MINIMAL | {"fullnameOverride": "shop"}, namespace="shops", dry_run="client")


def test_a_pod_has_every_addition_of_the_values():
    spec = pod_of(render(values_of("everything"))["Deployment", "shop-profiles-ingest"])[1]
    assert [container["name"] for container in spec["containers"]] == ["portrait", "shipper"]
    assert [container["name"] for container in spec["initContainers"]] == ["wait"]
    assert spec["hostAliases"] == [{"ip": "10.0.0.9", "hostnames": ["redis-1.example"]}]
    assert (spec["schedulerName"], spec["runtimeClassName"], spec["priorityClassName"]) == ("second", "sandboxed", "high")
    assert spec["dnsConfig"] == {"options": [{"name": "ndots", "value": "2"}]}
    container = spec["containers"][0]
    assert container["envFrom"][1] == {"secretRef": {"name": "shop-extra"}}
    assert "preStop" in container["lifecycle"]
    assert spec["securityContext"]["supplementalGroups"] == [2000]


def test_a_pod_has_none_of_the_additions_by_default():
    spec = pod(MINIMAL)
    assert not {"initContainers", "hostAliases", "schedulerName", "runtimeClassName", "dnsConfig", "nodeSelector"} & set(spec)
    assert not {"env", "envFrom", "lifecycle"} & set(spec["containers"][0]) and len(spec["containers"]) == 1


def test_the_test_pod_runs_where_the_roles_run_or_where_its_values_say():
    tolerations = [{"key": "dedicated", "operator": "Exists"}]
    values = merged(MINIMAL, {"defaults": {"tolerations": tolerations, "nodeSelector": {"pool": "shop"}, "runtimeClassName": "sandboxed"}})
    probe = render(values)["Pod", "shop-portrait-probe"]["spec"]
    assert (probe["tolerations"], probe["nodeSelector"], probe["runtimeClassName"]) == (tolerations, {"pool": "shop"}, "sandboxed")
    own = render(merged(values, {"probe": {"tolerations": [{"operator": "Exists"}], "nodeSelector": {"pool": "test"}}}))
    probe = own["Pod", "shop-portrait-probe"]["spec"]
    assert (probe["tolerations"], probe["nodeSelector"]["pool"]) == ([{"operator": "Exists"}], "test")
    everything = render(values_of("everything"))["Pod", "shop-profiles-probe"]
    assert everything["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"
    assert everything["metadata"]["annotations"]["linkerd.io/inject"] == "disabled"
    assert everything["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert "podAffinity" in everything["spec"]["affinity"]


@pytest.mark.parametrize(("values", "limits"), [
    ({}, {"ingest": {"memory": "1Gi"}, "feature": {"memory": "2Gi"}, "model": {"memory": "2Gi"}, "query": {"memory": "1Gi"}}),
    ({"defaults": {"resources": {"limits": None}}}, dict.fromkeys(ROLES)),
    ({"defaults": {"resources": {"limits": {"memory": None}}}}, dict.fromkeys(ROLES)),
    ({"roles": {"feature": {"resources": {"limits": None}}}},
     {"ingest": {"memory": "1Gi"}, "feature": None, "model": {"memory": "2Gi"}, "query": {"memory": "1Gi"}}),
    ({"defaults": {"resources": None}}, dict.fromkeys(ROLES)),
])
def test_null_removes_limits_of_all_roles_or_of_one(values, limits):
    objects = render(merged(MINIMAL, values))
    for role in ROLES:
        found = objects["Deployment", f"shop-portrait-{role}"]["spec"]["template"]["spec"]["containers"][0].get("resources", {})
        assert (found.get("limits") or None) == limits[role], role
    with helm_python.Config(storage_driver="memory") as helm:
        helm.install(str(CHART), "shop", merged(MINIMAL, values), namespace="shops", dry_run="client")


def test_labels_of_a_pod_precede_common_ones_without_a_duplicate():
    values = merged(MINIMAL, {"commonLabels": {"team": "all"}, "roles": {"query": {"podLabels": {"team": "query"}}}})
    with helm_python.Config(storage_driver="memory") as helm:
        helm.install(str(CHART), "shop", values, namespace="shops", dry_run="client")
    assert deployment(values, "query")["spec"]["template"]["metadata"]["labels"]["team"] == "query"
    assert deployment(values, "ingest")["spec"]["template"]["metadata"]["labels"]["team"] == "all"


# URL in the values, and the URL that the pods get.
URLS = [
    ("redis://a:6380", "redis://:$(REDIS_PASSWORD)@a:6380"),
    ("redis://portrait@a:6379/2", "redis://portrait:$(REDIS_PASSWORD)@a:6379/2"),
    ("rediss-cluster://portrait@a:1,b:2", "rediss-cluster://portrait:$(REDIS_PASSWORD)@a:1,b:2"),
    ("redis://portrait:@a", "redis://portrait:$(REDIS_PASSWORD)@a"),
    ("redis://me@corp@[::1]:6379", "redis://me@corp:$(REDIS_PASSWORD)@[::1]:6379"),
]


@pytest.mark.parametrize(("url", "expected"), URLS)
def test_a_secret_with_a_password_alone_completes_the_url(url, expected):
    values = merged(WITH_PASSWORD, {"redis": {"url": url}})
    objects = render(values)
    assert not [name for kind, name in objects if kind == "Secret"]
    assert "url_file" not in configuration(values)["store"]
    for role in ROLES:
        spec = pod(values, role)
        reference = {"secretKeyRef": {"name": "shop-redis", "key": "redis-password"}}
        assert spec["containers"][0]["env"] == [
            {"name": "REDIS_PASSWORD", "valueFrom": reference}, {"name": "PORTRAIT__STORE__URL", "value": expected},
        ]
        assert "redis" not in [volume["name"] for volume in spec["volumes"]]


@pytest.mark.parametrize("password", ["plain", "a/b+c==", "p:w@x,y"])
def test_the_binary_reaches_a_redis_with_the_completed_url(password, tmp_path):
    port = free_port()
    values = merged(WITH_PASSWORD, {"redis": {"url": f"redis://127.0.0.1:{port}"}})
    environment = {entry["name"]: entry.get("value") for entry in pod(values)["containers"][0]["env"]}
    url = environment["PORTRAIT__STORE__URL"].replace("$(REDIS_PASSWORD)", password)
    with running(tool("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--requirepass", password,
                 "--appendonly", "yes", "--appendfsync", "always"):
        wait_for_redis(port)
        run = portrait("doctor", variables={"PORTRAIT__STORE__URL": url})
    assert re.search(r"store +\| ok", run.stdout), run.stdout + run.stderr


def test_a_client_certificate_for_redis_is_mounted_and_configured():
    values = {"redis": {"existingSecret": "shop-redis", "clientCertificate": {"existingSecret": "redis-client"}, "storeId": "0" * 32}}
    store = configuration(values)["store"]
    assert store["certificate"] == "/etc/portrait/redis-client/tls.crt" and store["key"] == "/etc/portrait/redis-client/tls.key"
    assert store["id"] == "0" * 32
    for role in ROLES:
        spec = pod(values, role)
        volume = next(volume for volume in spec["volumes"] if volume["name"] == "redis-client")
        assert volume["secret"]["secretName"] == "redis-client"
        assert {item["path"] for item in volume["secret"]["items"]} == {"tls.crt", "tls.key"}
        assert {"name": "redis-client", "mountPath": "/etc/portrait/redis-client", "readOnly": True} in spec["containers"][0]["volumeMounts"]
    assert not {"certificate", "key", "id"} & set(configuration(MINIMAL)["store"])


# Values beside an enabled policy, and the ports of its egress rules beside 50051 and DNS.
EGRESS = [
    ({}, [6379]),
    ({"redis": {"existingSecret": "", "url": "redis://a:6390"}}, [6390]),
    ({"redis": {"existingSecret": "", "url": "redis-cluster://a:7001,b:7002,c/"}}, [7001, 7002, 6379]),
    ({"redis": {"existingSecret": "", "url": "rediss://[2001:db8::1]:6380"}}, [6380]),
    ({"redis": {"existingSecret": "", "development": {"enabled": True}}}, [6379]),
    ({"redis": {"existingSecretPasswordKey": "p", "url": "redis://user@a:6391/3"}}, [6391]),
    ({"networkPolicy": {"redisPorts": [6400, 6401]}}, [6400, 6401]),
    ({"config": {"trace": {"endpoint": "http://collector:4317"}}}, [6379, 4317]),
    ({"config": {"trace": {"endpoint": "https://collector.example/v1"}}}, [6379, 443]),
    ({"config": {"trace": {"endpoint": "http://[2001:db8::2]"}}}, [6379, 80]),
]


@pytest.mark.parametrize(("values", "expected"), EGRESS)
def test_the_network_policy_follows_redis_and_the_collector(values, expected):
    policy = render(merged(MINIMAL | {"networkPolicy": {"enabled": True}}, values))["NetworkPolicy", "shop-portrait"]["spec"]
    dns, _, *others = policy["egress"]
    assert {port["port"] for port in dns["ports"]} == {53, 5353}
    assert [port["port"] for rule in others for port in rule["ports"]] == expected


def test_production_renews_connections_so_that_new_pods_get_calls():
    for name in ("production", "redis-cluster"):
        config = next(found for (kind, _), found in render(values_of(name)).items() if kind == "ConfigMap" and "portrait.toml" in found["data"])
        assert tomllib.loads(config["data"]["portrait.toml"])["server"]["connection_age"] == "1m"
