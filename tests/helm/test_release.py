"""Life cycle of a release, with Helm's own engine against an in-memory API server that validates every object strictly."""

import helm_python
import pytest
from chart import CHART, KUBERNETES, ROLES, merged, values_of
from kube import NEVER_READY, cluster


@pytest.fixture(params=[KUBERNETES[0], KUBERNETES[-1]])
def kubernetes(request):
    """Cluster state and a Helm client connected to it."""
    with cluster(request.param) as (state, kubeconfig):
        with helm_python.Config(kubeconfig_content=kubeconfig, namespace="shops") as helm:
            yield state, helm


def revisions(helm):
    return [(entry["revision"], entry["status"]) for entry in helm.history("shop")]


def test_a_release_is_installed_upgraded_tested_rolled_back_and_uninstalled(kubernetes):
    state, helm = kubernetes
    values = values_of("dev")

    installed = helm.install(str(CHART), "shop", values, wait="watcher", timeout=30)
    assert installed["status"] == "deployed"
    names = [f"shop-portrait-{role}" for role in [*ROLES, "redis"]]
    assert sorted(state.find("Deployment")) == sorted(names)
    before = state.find("Deployment")["shop-portrait-query"]

    more = merged(values, {"roles": {"query": {"replicas": 3}}, "config": {"query": {"export_users_min": 50}}})
    helm.upgrade(str(CHART), "shop", more, wait="watcher", timeout=30)
    after = state.find("Deployment")["shop-portrait-query"]
    assert after["spec"]["replicas"] == 3
    assert after["spec"]["template"] != before["spec"]["template"], "a changed configuration replaces the pods"
    assert after["spec"]["selector"] == before["spec"]["selector"]
    assert "shop-portrait-query" in state.find("PodDisruptionBudget")
    assert "export_users_min = 50" in state.find("ConfigMap")["shop-portrait-config"]["data"]["portrait.toml"]

    broken = merged(more, {"image": {"repository": NEVER_READY}})
    with pytest.raises(helm_python.HelmError):
        helm.upgrade(str(CHART), "shop", broken, wait="watcher", timeout=2, rollback_on_failure=True)
    assert state.find("Deployment")["shop-portrait-query"]["spec"] == after["spec"], "the previous release is restored"
    assert revisions(helm)[-1][1] == "deployed"

    result = helm.test("shop", timeout=30)
    assert result["release"]["status"] == "deployed"

    helm.rollback("shop", version=1, wait="watcher", timeout=30)
    back = state.find("Deployment")["shop-portrait-query"]
    assert back["spec"] == before["spec"]
    assert "shop-portrait-query" not in state.find("PodDisruptionBudget"), "one pod has no budget"

    helm.uninstall("shop", timeout=30)
    left = [name for kind in ("Deployment", "Service", "ConfigMap", "Secret", "ServiceAccount") for name in state.find(kind)]
    assert left == []


def test_optional_objects_are_installed_and_removed_by_an_upgrade(kubernetes):
    state, helm = kubernetes
    helm.install(str(CHART), "shop", values_of("everything"), wait="watcher", timeout=30)
    for kind, name in [
        ("HorizontalPodAutoscaler", "shop-profiles-query"),
        ("NetworkPolicy", "shop-profiles"),
        ("PodMonitor", "shop-profiles"),
        ("PrometheusRule", "shop-profiles"),
        ("ScaledObject", "shop-profiles-feature"),
    ]:
        assert name in state.find(kind)
    assert "replicas" not in state.find("Deployment")["shop-profiles-query"]["spec"]
    plain = {"fullnameOverride": "shop-profiles", "nameOverride": "profiles", "redis": {"existingSecret": "shop-redis"}}
    helm.upgrade(str(CHART), "shop", plain, reset_values=True, wait="watcher", timeout=30)
    for kind in ("HorizontalPodAutoscaler", "NetworkPolicy", "PodMonitor", "PrometheusRule", "ScaledObject"):
        assert state.find(kind) == {}


def test_an_object_that_kubernetes_rejects_fails_the_installation(kubernetes):
    state, helm = kubernetes
    wrong = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "wrong"}, "data": {"number": 1}}
    with pytest.raises(helm_python.HelmError, match="wrong"):
        helm.install(str(CHART), "shop", merged(values_of("dev"), {"extraObjects": [wrong]}), rollback_on_failure=True)
    assert state.find("Deployment") == {}
