"""Rules and dashboard: alerts fire when they must, and no expression refers to a metric that does not exist."""

import json
import pathlib
import re
import subprocess
import tomllib

import pytest
import yaml
from chart import DASHBOARD, ROOT, RULES, RUNBOOKS, announced, binary, http_get, portrait, render, running, tool, values_of

GROUPS = yaml.safe_load(RULES.read_text())["groups"]
EVERY_RULE = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in EVERY_RULE if "alert" in rule}
RECORDED = {rule["record"] for rule in EVERY_RULE if "record" in rule}
EXPRESSIONS = [target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel.get("targets", [])]


def promtool(*arguments, **options):
    run = subprocess.run([tool("promtool"), *map(str, arguments)], capture_output=True, text=True, **options)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    """Metrics of a real server that has accepted, applied, read, rejected and trained."""
    data = tmp_path_factory.mktemp("data")
    command = [binary(), "serve", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--store", f"embedded:{data}"]
    with running(*command, "--set", "model.rows_min=10", "--set", "model.drift_interval=100ms", stderr=subprocess.DEVNULL) as server:
        grpc, http = announced(server)
        events = ROOT / "tests" / "fixtures" / "events.jsonl"
        wrong = data / "wrong.jsonl"
        wrong.write_text('{"event_id": "w", "user_id": "w", "action": "ACTION_VIEW", "occurred_at": "2999-01-01T00:00:00Z"}\n')
        for path in (events, wrong):
            portrait("import", str(path), "--format", "jsonl", "--to", grpc)
        probed = portrait("probe", "--to", grpc)
        assert probed.returncode == 0, probed.stderr
        portrait("train", "--to", grpc)
        with running(binary(), "watch", "--to", grpc, "--from", "snapshot") as watch:
            watch.stdout.readline()
            portrait("probe", "--to", grpc)
            last = ["portrait_query_delivery_latency", "portrait_model_drift_consecutive_checks", "portrait_feature_swept_profiles"]
            yield http_get(f"{http}/metrics", lambda text: all(name in text for name in last))


def test_rules_are_valid_and_fire_when_they_must():
    promtool("check", "rules", RULES)
    promtool("test", "rules", pathlib.Path(__file__).with_name("rules_test.yaml"))


def test_every_alert_has_a_unit_test():
    tested = "".join(pathlib.Path(__file__).with_name(name).read_text() for name in ("rules_test.yaml", "failures.yaml"))
    assert [name for name in ALERTS if name not in tested] == []


def test_dashboard_expressions_are_valid_promql(tmp_path):
    queries = [re.sub(r"\$__rate_interval", "5m", expression).replace("$job", ".*") for expression in EXPRESSIONS]
    assert len(queries) > 20
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    path = tmp_path / "dashboard.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", path)


def test_exported_metrics_follow_the_prometheus_conventions(metrics):
    assert promtool("check", "metrics", input=metrics) == ""


def test_rules_and_dashboard_refer_only_to_existing_metrics(metrics):
    scaling = render(values_of("keda"))["ScaledObject", "shop-portrait-feature"]["spec"]["triggers"][0]["metadata"]["query"]
    expressions = " ".join([*(rule["expr"] for rule in EVERY_RULE), *EXPRESSIONS, scaling])
    assert set(re.findall(r"portrait:[a-z0-9_:]+", expressions)) <= RECORDED
    names = set(re.findall(r"\bportrait_[a-z_]+", expressions))
    exported = set(re.findall(r"^(portrait_[a-z_]+)", metrics, re.MULTILINE))
    # Counters that a healthy server never increments, and gauges of what this server does not have, are looked up in the binary.
    instruments = pathlib.Path(binary()).read_bytes()
    lacking = {"portrait_certificate_expiry_timestamp_seconds"}
    absent = [name for name in names - exported if not name.endswith("_total") and name not in lacking]
    unknown = [name for name in names - exported if re.sub("_(total|seconds)$", "", name).encode() not in instruments]
    assert (absent, unknown) == ([], [])
    assert len(names & exported) >= 20, f"only {sorted(names & exported)} were seen on a server"


def test_a_real_server_fires_no_alert_for_an_hour(metrics, tmp_path):
    """The rules see what the server exports, with the labels that the scraper adds."""
    samples = re.findall(r"^(\w+)(?:{(.*)})? (\S+)$", metrics, re.MULTILINE)
    series = [{"series": f'{name}{{{labels and labels + ","}job="shop",instance="s"}}', "values": f"{value}+0x60"} for name, labels, value in samples]
    series.append({"series": 'up{job="shop",instance="s"}', "values": "1x60"})
    silent = [{"expr": 'ALERTS{alertstate="firing"}', "eval_time": f"{minute}m", "exp_samples": []} for minute in range(61)]
    tests = [{"interval": "1m", "input_series": series, "promql_expr_test": silent}]
    path = tmp_path / "tests.yaml"
    path.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    assert len(series) > 100
    promtool("test", "rules", path)


def test_labels_used_in_expressions_exist(metrics):
    for label, metric in [
        ("kind", "portrait_ingest_accepted_total"),
        ("reason", "portrait_ingest_rejected_total"),
        ("outcome", "portrait_feature_records_total"),
        ("code", "portrait_grpc_calls_total"),
        ("method", "portrait_grpc_call_duration_seconds_bucket"),
        ("found", "portrait_query_reads_total"),
        ("reason", "portrait_query_resyncs_total"),
        ("outcome", "portrait_model_trainings_total"),
    ]:
        assert re.search(rf'^{metric}{{[^}}]*\b{label}="', metrics, re.MULTILINE), f"{metric} has no {label}"
    assert 'code="Ok",method="/portrait.v1.QueryService/GetProfile"' in metrics
    assert 'reason="TIME_IN_FUTURE"' in metrics and 'reason="snapshot"' in metrics


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_has_a_severity_a_description_and_a_runbook(name):
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"] and rule["annotations"]["description"]
    page = ROOT / rule["annotations"]["runbook_url"]
    assert page.parent == RUNBOOKS
    assert page.read_text().startswith(f"# {name}\n")


def test_every_runbook_belongs_to_an_alert_and_names_existing_keys():
    known = tomllib.loads(portrait("serve", "--dump-config").stdout)
    pages = {pathlib.Path(rule["annotations"]["runbook_url"]).name for rule in ALERTS.values()}
    assert {page.name for page in RUNBOOKS.glob("*.md")} == pages
    for page in RUNBOOKS.glob("*.md"):
        for section, key in re.findall(r"`([a-z]+)\.([a-z_]+)", page.read_text()):
            assert section not in known or key in known[section], f"{page.name}: {section}.{key} does not exist"
        for link in re.findall(r"\]\(([a-z-]+\.md)\)", page.read_text()):
            assert (RUNBOOKS / link).exists(), f"{page.name}: {link}"


def test_the_chart_ships_the_rules_and_the_dashboard_unchanged():
    objects = render(values_of("everything"))
    shipped = objects["PrometheusRule", "shop-profiles"]["spec"]["groups"]
    assert shipped == yaml.safe_load(RULES.read_text().replace("deploy/runbooks/", "https://runbooks.example/portrait/"))["groups"]
    assert json.loads(objects["ConfigMap", "shop-profiles-dashboard"]["data"]["portrait.json"]) == json.loads(DASHBOARD.read_text())
