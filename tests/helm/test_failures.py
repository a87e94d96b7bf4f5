"""Every kind of failure in failures.yaml fires its alert at its minute, and normal operation fires none."""

import pathlib
import re
import subprocess

import pytest
import yaml
from chart import ROOT, RULES, tool

FAILURES = yaml.safe_load(pathlib.Path(__file__).with_name("failures.yaml").read_text())
# Minute at which a failure begins; before it the deployment is healthy.
BEGIN = 30
HOUR = 60


def series(row):
    """Input series of a row: those of the healthy deployment, with the row's own in their place."""
    merged = (FAILURES["healthy"] if row.get("healthy", True) else {}) | row["series"]
    return [{"series": name, "values": values} for name, values in merged.items() if values]


def firing(minute, names, labels=None):
    """Expects exactly the alerts `names` at a minute, or of alerts with `labels` any."""
    matchers = "".join(f', {label}="{value}"' for label, value in (labels or {}).items())
    return {
        "expr": f'group by (alertname) (ALERTS{{alertstate="firing"{matchers}}})',
        "eval_time": f"{minute}m",
        "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in names],
    }


def failed(row):
    """Unit test of a failure."""
    # Without a deployment nothing is healthy before the failure.
    begin = BEGIN if row.get("healthy", True) else 0
    end = begin + row["within"]
    name, also = row["alert"], row.get("also", [])
    before = {"expr": f'ALERTS{{alertstate="firing", alertname="{name}"}}', "eval_time": f"{max(end - 1, 0)}m", "exp_samples": []}
    expected = [firing(begin - 1, [])] * bool(begin) + [before, firing(end, [name, *also]), firing(end, [name], row["labels"] | {"alertname": name})]
    return {"name": row["failure"], "interval": "1m", "input_series": series(row), "promql_expr_test": expected}


def quiet(row):
    """Unit test of an event of normal operation."""
    expected = [firing(minute, []) for minute in range(5, BEGIN + HOUR + 1, 1)]
    return {"name": row["event"], "interval": "1m", "input_series": series(row), "promql_expr_test": expected}


def check(tests, folder):
    """Runs unit tests of rules."""
    path = folder / "tests.yaml"
    path.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}, sort_keys=False))
    run = subprocess.run([tool("promtool"), "test", "rules", str(path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("row", FAILURES["failures"], ids=lambda row: row["failure"])
def test_a_failure_fires_its_alert_in_time_and_no_other(row, tmp_path):
    check([failed(row)], tmp_path)


@pytest.mark.parametrize("row", FAILURES["quiet"], ids=lambda row: row["event"])
def test_normal_operation_fires_nothing_for_an_hour(row, tmp_path):
    check([quiet(row)], tmp_path)


def test_there_are_thirty_kinds_of_failure_and_each_alert_has_one():
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    kinds = [row["failure"] for row in FAILURES["failures"]]
    assert len(kinds) == len(set(kinds)) >= 30
    assert {row["alert"] for row in FAILURES["failures"]} == {rule["alert"] for rule in rules if "alert" in rule}


def test_every_metric_of_an_alert_is_in_the_healthy_deployment_or_in_a_failure():
    rules = RULES.read_text()
    rows = [FAILURES["healthy"], *(row["series"] for row in FAILURES["failures"])]
    given = {name.split("{")[0] for row in rows for name in row}
    assert set(re.findall(r"\bportrait_[a-z_]+", rules)) <= given


def test_the_page_lists_every_failure_with_its_alert_its_time_and_its_runbook():
    page = (ROOT / "docs" / "operate" / "monitoring.md").read_text()
    for row in FAILURES["failures"]:
        line = next(line for line in page.splitlines() if line.startswith(f"| {row['failure']}"))
        assert f"[{row['alert']}](../../deploy/runbooks/" in line and f"| {row['within']} min" in line
