"""Reference of scripts/bench_kmeans: scikit-learn on the same rows and initial centroids, alternating with the program.

    kmeans_bench.py PROGRAM FOLDER

Prints a Markdown table of medians. The time excludes reading the files; both sides get two threads.
"""

import statistics
import subprocess
import sys
import time
import warnings

import numpy
from sklearn.exceptions import ConvergenceWarning
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

COLUMNS = 64
ITERATIONS = 20
TURNS = 3
SIZES = [(1_000_000, 32), (100_000, 16)]


def reference(rows, start):
    kmeans = KMeans(
        n_clusters=len(start), init=start, n_init=1, max_iter=ITERATIONS, tol=0, algorithm="lloyd"
    )
    begun = time.perf_counter()
    kmeans.fit(rows)
    return time.perf_counter() - begun, kmeans.inertia_, kmeans.n_iter_


def ours(program, folder, rows, k):
    words = [program, "run", folder, str(rows), str(k), str(ITERATIONS)]
    seconds, inertia, iterations = subprocess.check_output(words, text=True).split()
    return float(seconds), float(inertia), int(iterations)


def measure(program, folder, count, k):
    subprocess.run([program, "write", folder, str(count), str(k)], check=True)
    rows = numpy.fromfile(f"{folder}/rows", dtype=numpy.float32).reshape(count, COLUMNS)
    start = numpy.fromfile(f"{folder}/start", dtype=numpy.float32).reshape(k, COLUMNS)
    turns = [(ours(program, folder, count, k), reference(rows, start)) for _ in range(TURNS)]
    our_seconds, their_seconds = (statistics.median(turn[side][0] for turn in turns) for side in (0, 1))
    (_, our_inertia, our_iterations), (_, their_inertia, their_iterations) = turns[-1]
    print(
        f"| {count} x {COLUMNS}, k={k} | {our_seconds:.3f} | {their_seconds:.3f} |"
        f" {our_seconds / their_seconds:.3f} | {our_inertia / their_inertia:.6f} |"
        f" {our_iterations} / {their_iterations} |",
        flush=True,
    )


def main():
    program, folder = sys.argv[1:]
    warnings.simplefilter("ignore", ConvergenceWarning)
    print("| rows | ours s | scikit-learn s | time ratio | inertia ratio | iterations |")
    print("|---|---|---|---|---|---|")
    with threadpool_limits(2):
        for count, k in SIZES:
            measure(program, folder, count, k)


main()
