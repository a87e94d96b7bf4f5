"""Rendered objects: valid for Helm's linter and the schemas of every supported Kubernetes, with the properties that operators rely on."""

import json
import re

import helm_python
import pytest
from chart import CHART, KUBERNETES, ROLES, VALUES, deployment, merged, pod_of, render, validate, values_of

MINIMAL = {"redis": {"existingSecret": "shop-redis"}}


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("name", VALUES)
def test_objects_pass_the_linter_and_the_schemas_of_each_kubernetes(name, version):
    values = values_of(name)
    report = helm_python.lint(str(CHART), values, strict=True, kube_version=f"v{version}.0")
    assert not report["errors"], report
    # The chart has no icon on purpose; every other remark of the linter is an error.
    assert all("icon" in message["error"] for message in report["messages"]), report
    for found in render(values).values():
        validate(found, version)


@pytest.mark.parametrize("name", VALUES)
def test_every_object_has_the_labels_of_the_release_and_selects_pods(name):
    values = values_of(name)
    objects = render(values)
    pods = [found["spec"]["template"]["metadata"]["labels"] for (kind, _), found in objects.items() if kind == "Deployment"]
    for (kind, called), found in objects.items():
        if called in ("shop-logging", "shop-profiles-more"):
            continue
        assert called.startswith(("shop-profiles" if name == "everything" else "shop-portrait")), called
        assert found["metadata"]["namespace"] == "shops"
        labels = found["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "shop" and labels["app.kubernetes.io/managed-by"] == "Helm"
        if kind == "Service":
            wanted = found["spec"]["selector"]
        elif kind in ("PodDisruptionBudget", "PodMonitor", "Deployment"):
            wanted = found["spec"]["selector"]["matchLabels"]
        else:
            continue
        assert any(wanted.items() <= pod.items() for pod in pods), f"{kind} {called} selects no pod"


def test_four_workloads_share_one_image_and_one_configuration():
    objects = render(MINIMAL)
    workloads = {name: found for (kind, name), found in objects.items() if kind == "Deployment"}
    assert sorted(workloads) == sorted(f"shop-portrait-{role}" for role in ROLES)
    containers = [found["spec"]["template"]["spec"]["containers"][0] for found in workloads.values()]
    assert {container["image"] for container in containers} == {"portrait:0.2.0"}
    assert sorted(container["args"][1] for container in containers) == sorted(ROLES)
    checksums = {found["spec"]["template"]["metadata"]["annotations"]["checksum/config"] for found in workloads.values()}
    assert len(checksums) == 1


def test_the_image_reference_uses_the_digest_or_the_tag():
    digest = "sha256:" + "0" * 64
    rows = [
        ({"tag": "1.2.3"}, "portrait:1.2.3"),
        ({"registry": "r.example", "repository": "a/b"}, "r.example/a/b:0.2.0"),
        ({"tag": "1.2.3", "digest": digest}, f"portrait@{digest}"),
    ]
    for image, expected in rows:
        found = deployment(MINIMAL | {"image": image}, "query")
        assert found["spec"]["template"]["spec"]["containers"][0]["image"] == expected


def test_a_role_can_run_another_release_than_the_others():
    old = {"image": {"digest": "sha256:" + "0" * 64}, "roles": {"feature": {"imageTag": "0.0.9"}}}
    image = lambda role: deployment(merged(MINIMAL, old), role)["spec"]["template"]["spec"]["containers"][0]["image"]
    assert (image("feature"), image("query")) == ("portrait:0.0.9", "portrait@" + old["image"]["digest"])


@pytest.mark.parametrize("name", VALUES)
def test_every_pod_runs_with_least_privileges(name):
    # OpenShift assigns users and groups; one of the examples chooses its own.
    user = {"openshift": None, "everything": 1000}.get(name, 65532)
    for (_, called), found in render(values_of(name)).items():
        _, pod = pod_of(found) or (None, None)
        if pod is None:
            continue
        security = pod["securityContext"]
        assert (security["runAsNonRoot"], security.get("runAsUser")) == (True, user), called
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        container = pod["containers"][0]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"].get("limits", {}) or name in ("dual-stack", "everything")


def test_the_redis_url_is_a_mounted_file_and_in_no_variable_or_configmap():
    secret = {"redis": {"existingSecret": "mine", "existingSecretKey": "address"}}
    objects = render(secret)
    assert not [name for kind, name in objects if kind == "Secret"], "the chart creates no Secret beside the existing one"
    pod = deployment(secret, "ingest")["spec"]["template"]["spec"]
    volume = next(volume for volume in pod["volumes"] if volume["name"] == "redis")
    assert volume["secret"]["secretName"] == "mine" and volume["secret"]["items"] == [{"key": "address", "path": "url"}]
    assert "env" not in pod["containers"][0]
    objects = render({"redis": {"url": "redis://redis.example:6379"}})
    assert objects["Secret", "shop-portrait-redis"]["stringData"] == {"url": "redis://redis.example:6379"}
    assert "redis.example" not in json.dumps(objects["ConfigMap", "shop-portrait-config"])


def test_pods_are_replaced_when_the_configuration_or_the_redis_url_changes():
    def checksums(values):
        return deployment(values, "query")["spec"]["template"]["metadata"]["annotations"]

    before = checksums({"redis": {"url": "redis://a:6379"}})
    assert checksums({"redis": {"url": "redis://a:6379"}}) == before
    other_key = checksums({"redis": {"url": "redis://a:6379"}, "config": {"query": {"export_users_min": 50}}})
    assert other_key["checksum/config"] != before["checksum/config"]
    other_address = checksums({"redis": {"url": "redis://b:6379"}})
    assert other_address["checksum/redis"] != before["checksum/redis"]


def test_each_role_has_a_cluster_ip_service_and_a_headless_service():
    objects = render(MINIMAL)
    for role in ROLES:
        plain, headless = (objects["Service", f"shop-portrait-{role}{end}"]["spec"] for end in ("", "-headless"))
        assert plain["type"] == "ClusterIP" and headless["clusterIP"] == "None"
        for service in (plain, headless):
            assert service["ports"] == [
                {"name": "grpc", "port": 50051, "targetPort": "grpc", "appProtocol": "kubernetes.io/h2c"}
            ]
            assert service["selector"]["app.kubernetes.io/component"] == role


def test_liveness_depends_on_the_process_only_and_readiness_on_the_health_service():
    for kind, expected in [("grpc", {"grpc": {"port": 50051}}), ("http", {"httpGet": {"path": "/readyz", "port": "http"}})]:
        values = MINIMAL | {"defaults": {"probes": {"readiness": {"kind": kind}}}}
        for role in ROLES:
            container = deployment(values, role)["spec"]["template"]["spec"]["containers"][0]
            assert container["readinessProbe"].items() >= expected.items()
            for probe in ("livenessProbe", "startupProbe"):
                assert container[probe]["httpGet"] == {"path": "/livez", "port": "http"}


def test_a_role_overrides_the_defaults_also_with_empty_values():
    values = merged(MINIMAL, {
        "defaults": {"replicas": 3, "maxSurge": 2, "podDisruptionBudget": {"enabled": True}, "priorityClassName": "high"},
        "roles": {"model": {"replicas": 1, "maxSurge": 0, "maxUnavailable": 1, "priorityClassName": ""},
                  "query": {"podDisruptionBudget": {"enabled": False}}},
    })
    objects = render(values)
    model = objects["Deployment", "shop-portrait-model"]["spec"]
    assert model["replicas"] == 1 and "priorityClassName" not in model["template"]["spec"]
    assert model["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert objects["Deployment", "shop-portrait-ingest"]["spec"]["replicas"] == 3
    budgets = {name for kind, name in objects if kind == "PodDisruptionBudget"}
    assert budgets == {"shop-portrait-ingest", "shop-portrait-feature"}


def test_an_autoscaled_role_has_no_replicas_and_one_autoscaler():
    for kind, scaler in [("hpa", "HorizontalPodAutoscaler"), ("keda", "ScaledObject")]:
        keda = {"serverAddress": "http://prometheus:9090"}
        values = merged(MINIMAL, {"roles": {"feature": {"autoscaling": {"kind": kind, "keda": keda}}}})
        objects = render(values)
        assert "replicas" not in objects["Deployment", "shop-portrait-feature"]["spec"]
        assert objects["Deployment", "shop-portrait-query"]["spec"]["replicas"] == 1
        scalers = [found for found, _ in objects if found in ("HorizontalPodAutoscaler", "ScaledObject")]
        assert scalers == [scaler]
        assert objects[scaler, "shop-portrait-feature"]["spec"]["scaleTargetRef"]["name"] == "shop-portrait-feature"
        assert ("PodDisruptionBudget", "shop-portrait-feature") in objects


def test_the_network_policy_admits_callers_and_metrics_and_allows_redis_and_dns():
    policy = render(values_of("everything"))["NetworkPolicy", "shop-profiles"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    ports = lambda rules: sorted(port["port"] for rule in rules for port in rule["ports"])
    assert ports(policy["ingress"]) == [4143, 8080, 50051]
    assert ports(policy["egress"]) == [53, 53, 4317, 4318, 6379, 6380, 16379, 50051]
    assert {"ipBlock": {"cidr": "10.0.0.0/24"}} in policy["egress"][2]["to"]
    assert not [kind for kind, _ in render(MINIMAL) if kind == "NetworkPolicy"]


def test_extra_objects_are_templated_as_text_and_as_yaml():
    objects = render(values_of("everything"))
    assert ("ConfigMap", "shop-logging") in objects and ("ConfigMap", "shop-profiles-more") in objects


def test_the_probe_uses_the_image_of_the_chart_and_is_the_only_hook():
    objects = render(MINIMAL)
    hooks = [found for found in objects.values() if "helm.sh/hook" in (found["metadata"].get("annotations") or {})]
    assert [found["metadata"]["name"] for found in hooks] == ["shop-portrait-probe"]
    assert hooks[0]["metadata"]["annotations"]["helm.sh/hook"] == "test"
    container = hooks[0]["spec"]["containers"][0]
    assert container["image"] == "portrait:0.2.0"
    assert container["args"] == [
        "probe", "--timeout", "60",
        "--to", "ingest=http://shop-portrait-ingest:50051,query=http://shop-portrait-query:50051",
    ]


def test_long_names_are_truncated_to_valid_kubernetes_names():
    objects = render(MINIMAL, name="a-release-with-a-name-of-fifty-three-letters-exactly--"[:53].rstrip("-"))
    for _, name in objects:
        assert len(name) <= 63 and re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name), name
