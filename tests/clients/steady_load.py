"""Steady load of a shop's back end: sends events and reads profiles at a constant rate until its standard input ends, over a channel that
only proto/service_config.json configures. Prints a line when it has started, and at the end one of JSON:

    {"events": {user: acknowledged}, "reads": n, "failed": {text: n}, "seconds": s, "slowest": {"Track": s, "GetProfile": s}}

Usage: steady_load.py INGEST QUERY EVENTS_PER_SECOND READS_PER_SECOND, where INGEST and QUERY are HOST:PORT,HOST:PORT...

Every tenth read includes the newest acknowledged events (read_after).
"""

import asyncio
import collections
import itertools
import json
import sys
import time

import grpc
from google.protobuf import timestamp_pb2

from stubs import PROTOS, event_pb2, ingest_grpc, ingest_pb2, query_grpc, query_pb2

USERS = 500
BATCH = 20


class Load:
    def __init__(self, ingest, query):
        self.ingest, self.query = ingest, query
        self.events, self.reads = collections.Counter(), 0
        self.failed, self.slowest = collections.Counter(), collections.defaultdict(float)
        self.token = {}

    async def call(self, method, stub, request):
        started = time.monotonic()
        try:
            return await stub(request)
        except grpc.aio.AioRpcError as error:
            self.failed[f"{method} {error.code().name}: {error.details()}"] += 1
        finally:
            self.slowest[method] = max(self.slowest[method], time.monotonic() - started)

    async def track(self, number):
        users = [f"user-{(number * BATCH + index) % USERS}" for index in range(BATCH)]
        now = timestamp_pb2.Timestamp(seconds=int(time.time()))
        events = [
            event_pb2.Event(
                event_id=f"e-{number}-{index}", user_id=user, action=event_pb2.ACTION_VIEW, occurred_at=now
            )
            for index, user in enumerate(users)
        ]
        response = await self.call("Track", self.ingest.Track, ingest_pb2.TrackRequest(events=events))
        if response is None:
            return
        self.failed.update(f"event: {rejection.message}" for rejection in response.rejected)
        if not response.rejected:
            self.events.update(users)
            self.token = {"user_id": users[-1], "read_after": response.consistency_token}

    async def read(self, number):
        token = self.token if number % 10 == 0 else {}
        request = query_pb2.GetProfileRequest(**(token or {"user_id": f"user-{number % USERS}"}))
        if await self.call("GetProfile", self.query.GetProfile, request) is not None:
            self.reads += 1


async def paced(work, per_second, ended):
    """Calls WORK with 0, 1, 2... at a constant rate, independent of the calls in flight, until ENDED; then waits for all."""
    started = time.monotonic()
    tasks = set()
    for number in itertools.count():
        due = started + number / per_second
        wait = due - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        if ended.is_set():
            break
        task = asyncio.create_task(work(number))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)


async def main(ingest, query, events_per_second, reads_per_second):
    config = (PROTOS / "service_config.json").read_text()
    # A list of addresses has no host name for the authority header.
    options = [("grpc.service_config", config), ("grpc.default_authority", "portrait")]
    channel = lambda addresses: grpc.aio.insecure_channel(f"ipv4:{addresses}", options=options)
    async with channel(ingest) as to_ingest, channel(query) as to_query:
        load = Load(ingest_grpc.IngestServiceStub(to_ingest), query_grpc.QueryServiceStub(to_query))
        # All users exist before the first read.
        for number in range(USERS // BATCH):
            await load.track(number)
        ended = asyncio.Event()
        started = time.monotonic()
        print("started", flush=True)
        asyncio.get_running_loop().run_in_executor(None, sys.stdin.read).add_done_callback(lambda _: ended.set())
        offset = USERS // BATCH
        await asyncio.gather(
            paced(lambda number: load.track(offset + number), float(events_per_second) / BATCH, ended),
            paced(load.read, float(reads_per_second), ended),
        )
        figures = {"events": load.events, "reads": load.reads, "failed": load.failed}
        print(json.dumps({**figures, "seconds": time.monotonic() - started, "slowest": load.slowest}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
