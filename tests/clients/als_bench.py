"""Reference of scripts/bench_als: implicit (speed) and irspack (quality) on the same interactions, alternating with the program.

    als_bench.py PROGRAM DATA

DATA is a folder with completejourney_transactions_A.csv.gz and lastfm2k_user_artists.tsv.gz; absent files are skipped. The time
excludes reading and writing on all sides; all get two threads. Prints a Markdown table and a line of JSON.

Splits: groceries, the last 28 days, items that 20 households bought before; music, a fifth of each listener's artists. Recall@20 is
hits / min(20, held-out items), NDCG@100 is binary, and items known in training are not counted.
"""

import contextlib
import gzip
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import pandas
import scipy.sparse
from implicit.cpu.als import AlternatingLeastSquares
from irspack import IALSRecommender
from threadpoolctl import threadpool_limits

WIDTH = 64
EPOCHS = 15
TURNS = 10
# Number of draws of two new users among a hundred.
FOLDS = 25
# Results of a search on the windows before the test: unobserved, regularisation, frequency; and the two of implicit.
TUNED = {
    "completejourney": {"ours": (0.4, 0.01, 1.0), "implicit": (50.0, 5.0)},
    "lastfm2k": {"ours": (0.02, 0.03, 1.0), "implicit": (150.0, 60.0)},
}


def groceries(folder):
    columns = ["household_id", "product_id", "transaction_timestamp"]
    lines = pandas.read_csv(
        f"{folder}/completejourney_transactions_A.csv.gz", usecols=columns, parse_dates=[columns[2]]
    )
    end = lines.transaction_timestamp.max().normalize() + pandas.Timedelta(days=1 - 28)
    before = lines.transaction_timestamp < end
    buyers = lines[before].groupby("product_id").household_id.nunique()
    products = buyers.index[buyers >= 20]
    households = numpy.sort(lines[before & lines.product_id.isin(products)].household_id.unique())

    def matrix(of):
        of = of[of.product_id.isin(products) & of.household_id.isin(households)]
        pairs = of[["household_id", "product_id"]].drop_duplicates()
        positions = households.searchsorted(pairs.household_id), products.get_indexer(pairs.product_id)
        ones = numpy.ones(len(pairs), numpy.float32)
        return scipy.sparse.csr_matrix((ones, positions), (len(households), len(products)))

    return matrix(lines[before]), matrix(lines[~before])


def music(folder):
    with gzip.open(f"{folder}/lastfm2k_user_artists.tsv.gz") as file:
        pairs = numpy.loadtxt(file, skiprows=1, dtype=numpy.int64)
    users, artists = (numpy.unique(pairs[:, column], return_inverse=True)[1] for column in (0, 1))
    order = numpy.random.default_rng(7).permutation(len(pairs))
    order = order[numpy.argsort(users[order], kind="stable")]
    _, starts, counts = numpy.unique(users[order], return_index=True, return_counts=True)
    test = numpy.zeros(len(pairs), bool)
    for start, count in zip(starts, counts):
        if count >= 5:
            test[order[start : start + max(1, round(0.2 * count))]] = True

    def matrix(rows):
        ones = numpy.ones(rows.sum(), numpy.float32)
        return scipy.sparse.csr_matrix((ones, (users[rows], artists[rows])), (users.max() + 1, artists.max() + 1))

    return matrix(~test), matrix(test)


def qualities(users, items, train, test):
    """Recall@20 and NDCG@100 of each user with held-out items."""
    discount = 1 / numpy.log2(numpy.arange(2, 102))
    found = []
    for user in numpy.flatnonzero(numpy.diff(test.indptr)):
        known, wanted = train[user].indices, numpy.setdiff1d(test[user].indices, train[user].indices)
        if len(wanted) == 0:
            continue
        scores = (items @ users[user]).astype(numpy.float64)
        scores[known] = -numpy.inf
        top = numpy.argpartition(-scores, 100)[:100]
        hits = numpy.isin(top[numpy.argsort(-scores[top], kind="stable")], wanted)
        recall = hits[:20].sum() / min(20, len(wanted))
        found.append((recall, (hits * discount).sum() / discount[: len(wanted)].sum()))
    return found


def write(folder, prefix, matrix):
    matrix.indptr.astype("<u8").tofile(f"{folder}/{prefix}starts")
    matrix.indices.astype("<u4").tofile(f"{folder}/{prefix}places")
    matrix.data.astype("<f4").tofile(f"{folder}/{prefix}weights")


def ours(program, train, fold, params, seed):
    train.sort_indices()
    fold.sort_indices()
    with tempfile.TemporaryDirectory() as folder:
        write(folder, "", train)
        write(folder, "fold-", fold)
        words = [program, folder, train.shape[1], EPOCHS, *params, seed]
        seconds, fold_in = subprocess.check_output([str(word) for word in words], text=True).split()
        read = lambda name: numpy.fromfile(f"{folder}/{name}", "<f4").reshape(-1, WIDTH)
        return float(seconds), float(fold_in), read("users"), read("items"), read("folded")


def implicit(train, params, seed):
    regularization, alpha = params
    model = AlternatingLeastSquares(
        WIDTH, regularization, alpha, iterations=EPOCHS, num_threads=2, random_state=seed, use_cg=True
    )
    # Its authors ask for one thread of BLAS beside its own two.
    with threadpool_limits(1, user_api="blas"):
        begun = time.perf_counter()
        model.fit(train, show_progress=False)
        return time.perf_counter() - begun, model.user_factors, model.item_factors


def irspack(train, params, seed, solver):
    unobserved, regularisation, frequency = params
    model = IALSRecommender(
        train,
        n_components=WIDTH,
        alpha0=unobserved,
        reg=regularisation,
        nu=frequency,
        train_epochs=EPOCHS,
        n_threads=2,
        random_seed=seed,
        solver_type=solver,
    )
    begun = time.perf_counter()
    # It shows its progress on standard output.
    with contextlib.redirect_stdout(io.StringIO()):
        model.learn()
    return time.perf_counter() - begun, model.get_user_embedding(), model.get_item_embedding()


def folded(program, train, test, params):
    """Folded-in users compared with the same users in a training: users known to the training, and new ones."""
    _, _, users, items, known = ours(program, train, train, params, 0)
    means = lambda *of: numpy.mean(qualities(*of, train, test), axis=0)
    of_known = means(known, items) / means(users, items)
    found, retrained = [], []
    for fold in range(FOLDS):
        unknown = numpy.arange(train.shape[0]) % 50 == fold
        new = train[unknown], test[unknown]
        retrained += qualities(users[unknown], items, *new)
        _, _, _, others, vectors = ours(program, train[~unknown], train[unknown], params, 0)
        found += qualities(vectors, others, *new)
    return of_known, numpy.mean(found, axis=0) / numpy.mean(retrained, axis=0)


def measure(program, name, train, test):
    params = TUNED[name]
    times = {"ours": [], "implicit": [], "irspack CG": [], "irspack CHOLESKY": []}
    scores, fold_ins = {side: [] for side in times}, []
    for turn in range(TURNS):
        seconds, fold_in, *vectors = ours(program, train, train, params["ours"], turn)
        fold_ins.append(fold_in)
        sides = {
            "ours": (seconds, *vectors[:2]),
            "implicit": implicit(train, params["implicit"], turn),
            "irspack CG": irspack(train, params["ours"], turn, "CG"),
            "irspack CHOLESKY": irspack(train, params["ours"], turn, "CHOLESKY"),
        }
        for side, (seconds, users, items) in sides.items():
            times[side].append(seconds)
            scores[side].append(numpy.mean(qualities(users, items, train, test), axis=0))
    seconds = {side: statistics.median(of) for side, of in times.items()}
    means = {side: numpy.mean(of, axis=0) for side, of in scores.items()}
    for side in times:
        recall, gain = means[side]
        print(f"| {name} | {side} | {seconds[side]:.3f} | {recall:.4f} | {gain:.4f} |", flush=True)
    ratios = {f"time ours / {side}": seconds["ours"] / seconds[side] for side in times if side != "ours"}
    for side in ("irspack CG", "irspack CHOLESKY"):
        for place, metric in enumerate(("recall@20", "ndcg@100")):
            ratios[f"{metric} ours / {side}"] = float(means["ours"][place] / means[side][place])
    of_known, of_new = folded(program, train, test, params["ours"])
    return ratios | {
        "fold-in p50 us, 40 items": statistics.median(fold_ins),
        "recall@20, ndcg@100 folded in / trained, known users": of_known.tolist(),
        "recall@20, ndcg@100 folded in / retrained, new users": of_new.tolist(),
        "entries": int(train.nnz),
        "rows, columns": train.shape,
        "seconds": seconds,
    }


def main():
    program, folder = sys.argv[1:]
    logs = {
        "completejourney": ("completejourney_transactions_A.csv.gz", groceries),
        "lastfm2k": ("lastfm2k_user_artists.tsv.gz", music),
    }
    print("| log | side | training s | Recall@20 | NDCG@100 |\n|---|---|---|---|---|")
    results = {}
    for name, (file, read) in logs.items():
        if not os.path.exists(f"{folder}/{file}"):
            print(f"{file} is not in {folder}", file=sys.stderr)
            continue
        results[name] = measure(program, name, *read(folder))
    print()
    print(json.dumps(results))


main()
