"""Driver of scripts/bench_social: splits the listeners' artists, and measures the gain from the friends' vectors.

    social_bench.py PROGRAM DATA

A fifth of each listener's artists is held out; the weight of the friends is tuned on a fifth of the rest, weight 0 included. Control:
the same with shuffled friends, as many for each listener. Also for listeners with only three known artists.
Prints a Markdown table, means of five splits, and a line of JSON.
"""

import gzip
import json
import subprocess
import sys
import tempfile

import numpy
import scipy.sparse

SPLITS = 5
WEIGHTS = [0, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 4]
KNOWN = 3


def read(folder, name):
    with gzip.open(f"{folder}/lastfm2k_{name}.tsv.gz") as file:
        return numpy.loadtxt(file, skiprows=1, dtype=numpy.int64)


def matrix(pairs, shape):
    ones = numpy.ones(len(pairs), numpy.float32)
    found = scipy.sparse.csr_matrix((ones, (pairs[:, 0], pairs[:, 1])), shape)
    found.sort_indices()
    return found


def split(pairs, rng, few=()):
    """Holds out a fifth of each listener's artists; of the few, all but KNOWN."""
    order = rng.permutation(len(pairs))
    order = order[numpy.argsort(pairs[order, 0], kind="stable")]
    taken = numpy.zeros(len(pairs), bool)
    users, starts, counts = numpy.unique(pairs[order, 0], return_index=True, return_counts=True)
    for user, start, count in zip(users, starts, counts):
        if count >= 5:
            many = count - KNOWN if user in few else max(1, round(0.2 * count))
            taken[order[start : start + many]] = True
    return pairs[~taken], pairs[taken]


def scores(program, train, ties):
    with tempfile.TemporaryDirectory() as folder:
        train.indptr.astype("<u8").tofile(f"{folder}/starts")
        train.indices.astype("<u4").tofile(f"{folder}/places")
        train.data.astype("<f4").tofile(f"{folder}/weights")
        ties.astype("<u4").tofile(f"{folder}/ties")
        subprocess.run([program, folder, str(train.shape[1])], check=True)
        return [numpy.fromfile(f"{folder}/{name}", "<f4").reshape(train.shape) for name in ("scores", "around")]


def recall(own, around, weight, train, test, users):
    found = []
    for user in users:
        wanted = test[user].indices
        if len(wanted):
            values = own[user] + weight * around[user]
            values[train[user].indices] = -numpy.inf
            top = numpy.argpartition(-values, 20)[:20]
            found.append(numpy.isin(top, wanted).sum() / min(20, len(wanted)))
    return numpy.array(found)


def gains(program, pairs, shape, ties, seed, some):
    """Recall without and with friends, with the weight tuned on a split of the known artists."""
    rng = numpy.random.default_rng(seed)
    users = numpy.arange(shape[0])
    few = set(rng.choice(users, shape[0] // 10, replace=False)) if some else set()
    tested = numpy.array(sorted(few)) if some else users
    known, wanted = split(pairs, rng, few)
    # The weight is tuned on other listeners than the tested ones, with as few known artists.
    others = set(rng.choice(numpy.setdiff1d(users, tested), shape[0] // 10, replace=False)) if some else set()
    older, tuning = split(known, rng, others)
    own, around = scores(program, matrix(older, shape), ties)
    tried = numpy.array(sorted(others)) if some else users
    of_weight = lambda weight: recall(own, around, weight, matrix(older, shape), matrix(tuning, shape), tried).mean()
    weight = max(WEIGHTS, key=of_weight)
    own, around = scores(program, matrix(known, shape), ties)
    without, friends = (recall(own, around, of, matrix(known, shape), matrix(wanted, shape), tested) for of in (0, weight))
    return without, friends, weight


def main():
    program, folder = sys.argv[1:]
    pairs, ties = read(folder, "user_artists")[:, :2], read(folder, "user_friends")
    users, pairs[:, 0] = numpy.unique(pairs[:, 0], return_inverse=True)
    artists, pairs[:, 1] = numpy.unique(pairs[:, 1], return_inverse=True)
    ties = numpy.searchsorted(users, ties[numpy.isin(ties, users).all(axis=1)])
    shape = len(users), len(artists)
    print("| listeners | friends | weights | Recall@20 without | with | gain % (95%, over listeners) |\n|---|---|---|---|---|---|")
    results = {}
    for some, listeners in ((False, "all"), (True, f"{KNOWN} artists known")):
        for shuffled in (False, True):
            runs = []
            for seed in range(SPLITS):
                friends = ties.copy()
                if shuffled:
                    friends[:, 1] = numpy.random.default_rng(seed).permutation(friends[:, 1])
                runs.append(gains(program, pairs, shape, friends, seed, some))
            without, friends = (numpy.concatenate([run[side] for run in runs]) for side in (0, 1))
            rng, bootstrap = numpy.random.default_rng(9), []
            for _ in range(500):
                rows = rng.integers(0, len(without), len(without))
                bootstrap.append(100 * (friends[rows].mean() / without[rows].mean() - 1))
            gain = [100 * (friends.mean() / without.mean() - 1), *numpy.percentile(bootstrap, [2.5, 97.5])]
            weights = [run[2] for run in runs]
            name = "shuffled" if shuffled else "theirs"
            results[f"{listeners}, {name}"] = {"weights": weights, "without": without.mean(), "with": friends.mean(), "gain": gain}
            print(f"| {listeners} | {name} | {weights} | {without.mean():.4f} | {friends.mean():.4f} | {gain[0]:.2f} ({gain[1]:.2f} to {gain[2]:.2f}) |", flush=True)
    print()
    print(json.dumps(results))


main()
