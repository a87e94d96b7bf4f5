"""A shop's back end in a few lines: sends an event, reads the profile that has it, and hears that it changed.

Usage: first_profile.py HOST:PORT
"""

import sys
import time

import grpc
from google.protobuf import timestamp_pb2

from stubs import event_pb2, ingest_grpc, ingest_pb2, query_grpc, query_pb2


def main(address):
    with grpc.insecure_channel(address) as channel:
        ingest = ingest_grpc.IngestServiceStub(channel)
        query = query_grpc.QueryServiceStub(channel)

        start = query_pb2.WatchProfileChangesRequest(start=query_pb2.WATCH_START_EARLIEST, user_ids=["lena"])
        changes = query.WatchProfileChanges(start, timeout=20)

        event = event_pb2.Event(
            event_id=f"first-{time.time_ns()}",
            user_id="lena",
            action=event_pb2.ACTION_VIEW,
            occurred_at=timestamp_pb2.Timestamp(seconds=int(time.time())),
            item_id="boots-42",
            category="shoes",
            price=89.9,
        )
        answer = ingest.Track(ingest_pb2.TrackRequest(events=[event]), timeout=10)
        print("accepted", answer.accepted)

        request = query_pb2.GetProfileRequest(user_id="lena", read_after=answer.consistency_token)
        profile = query.GetProfile(request, timeout=10).profile
        print("profile", profile.user_id, profile.applied_events, profile.preference.categories[0].name)

        change = next(answer.change for answer in changes if answer.HasField("change"))
        print("change", change.user_id, change.version)


if __name__ == "__main__":
    main(*sys.argv[1:])
