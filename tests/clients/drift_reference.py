"""Reference for drift, independent of Portrait: reads a JSON object from standard input and prints one.

In:  {"baseline": [[...]], "rows": [[...]], "delta": x, "streams": [[...]]}
Out: {"psi": [...], "critical": [...], "detections": [[...]], "widths": [...], "means": [...]}

The population stability index is computed by numpy over the baseline's deciles (observed values, without duplicates), with
1/2 added to each count; the critical value is (1/n + 1/m) times the chi-squared quantile at 0.999 divided among the columns.
The windows are those of river's ADWIN with its own defaults.
"""

import json
import sys

import numpy as np
from river.drift import ADWIN
from scipy.stats import chi2

BINS = 10


def edges_of(column):
    ordered = np.sort(column)
    deciles = [ordered[-(-tenths * len(ordered) // BINS) - 1] for tenths in range(1, BINS)]
    if ordered[0] == ordered[-1]:
        deciles.append(np.nextafter(ordered[0], np.float32(-np.inf)))
    return np.unique(deciles)


def shares(column, edges):
    counts = np.bincount(np.searchsorted(edges, column, side="left"), minlength=len(edges) + 1) + 0.5
    return counts / counts.sum()


def psi(before, now):
    edges = edges_of(before)
    p, q = shares(before, edges), shares(now, edges)
    return float(np.sum((q - p) * np.log(q / p))), len(edges)


def windows(stream, delta):
    adwin, detections = ADWIN(delta=delta), []
    for step, value in enumerate(stream):
        adwin.update(value)
        if adwin.drift_detected:
            detections.append(step)
    return detections, int(adwin.width), adwin.estimation


given = json.load(sys.stdin)
baseline = np.array(given["baseline"], dtype=np.float32)
rows = np.array(given["rows"], dtype=np.float32)
indices, critical = [], []
for column in range(baseline.shape[1]):
    index, freedom = psi(baseline[:, column], rows[:, column])
    indices.append(index)
    quantile = chi2.isf(0.001 / baseline.shape[1], freedom)
    critical.append((1 / len(baseline) + 1 / len(rows)) * quantile)
detections, widths, means = zip(*(windows(stream, given["delta"]) for stream in given["streams"]))
json.dump({"psi": indices, "critical": critical, "detections": detections, "widths": widths, "means": means}, sys.stdout)
