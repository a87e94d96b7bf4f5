"""Procedures of the operators' pages, run as they are written: the upgrade drill, and backups of both stores."""

import contextlib
import re
import shutil
import subprocess
import sys
import time

from chart import ROOT, announced, binary, free_port, portrait, running, tool, wait_for_redis

SERVE = ["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]


def probe(address):
    """Writes an event, and returns the number of events in its profile."""
    run = portrait("probe", "--to", address)
    assert run.returncode == 0, run.stdout + run.stderr
    return int(re.search(r"event (\d+) of it", run.stdout)[1])


@contextlib.contextmanager
def server(store):
    """Server of all roles on a store; yields its gRPC address."""
    with running(binary(), "serve", *SERVE, "--store", store, stderr=subprocess.DEVNULL) as process:
        yield announced(process)[0]


@contextlib.contextmanager
def redis(port, folder, *settings):
    command = [tool("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "", *settings]
    with running(*command):
        wait_for_redis(port)
        yield


def redis_cli(port, *arguments):
    run = subprocess.run([tool("redis-cli"), "-p", str(port), *arguments], capture_output=True, text=True, check=True)
    return run.stdout


def persisted(port, field):
    """Waits until a background task of Redis has ended."""
    end = time.monotonic() + 30
    while f"{field}:0" not in redis_cli(port, "INFO", "persistence"):
        assert time.monotonic() < end, f"{field} does not end"
        time.sleep(0.02)


def test_a_deployment_is_upgraded_and_goes_back_without_a_loss():
    run = subprocess.run([sys.executable, str(ROOT / "scripts" / "upgrade_drill"), binary(), binary()], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    steps = re.findall(r"^(\w+) runs (\w+)", run.stdout, re.MULTILINE)
    order = ["query", "feature", "model", "ingest"]
    assert steps == [(role, "NEW") for role in order] + [(role, "OLD") for role in reversed(order)]
    assert run.stdout.endswith("upgraded and gone back without a loss\n")


def test_the_copy_of_a_stopped_disk_store_has_everything_up_to_then(tmp_path):
    folder, copy = tmp_path / "store", tmp_path / "copy"
    with server(f"embedded:{folder}") as address:
        assert probe(address) == 1
    subprocess.run(["cp", "-a", str(folder), str(copy)], check=True)
    with server(f"embedded:{folder}") as address:
        assert probe(address) == 2
    folder.rename(tmp_path / "aside")
    subprocess.run(["cp", "-a", str(copy), str(folder)], check=True)
    with server(f"embedded:{folder}") as address:
        assert probe(address) == 2, "the second event was sent after the copy"


def test_an_rdb_file_of_a_running_redis_is_restored_into_an_empty_server(tmp_path):
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir(), after.mkdir()
    port = free_port()
    append_only = ["--appendonly", "yes", "--appendfsync", "always"]
    with redis(port, before, *append_only), server(f"redis://127.0.0.1:{port}") as address:
        assert probe(address) == 1
        redis_cli(port, "BGSAVE")
        persisted(port, "rdb_bgsave_in_progress")
        shutil.copy(before / "dump.rdb", after / "dump.rdb")
    with redis(port, after, "--appendonly", "no", "--appendfsync", "always"):
        redis_cli(port, "CONFIG", "SET", "appendonly", "yes")
        persisted(port, "aof_rewrite_in_progress")
        with server(f"redis://127.0.0.1:{port}") as address:
            assert probe(address) == 2
    # The append-only file was written from the restored data.
    with redis(port, after, *append_only), server(f"redis://127.0.0.1:{port}") as address:
        assert probe(address) == 3
