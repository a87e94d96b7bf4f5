"""Sends an event, reads the profile that includes it, and receives the profile's change from the feed.

Generate the stubs once, from the root of the repository, then run against a server (`portrait serve`):

    python3 -m venv venv && venv/bin/pip install grpcio grpcio-tools
    venv/bin/python -m grpc_tools.protoc -Iproto --python_out=examples/python --grpc_python_out=examples/python \
        proto/portrait/v1/*.proto
    venv/bin/python examples/python/first_profile.py 127.0.0.1:50051
"""

import sys
import time

import grpc
from google.protobuf import timestamp_pb2
from portrait.v1 import event_pb2, ingest_pb2, ingest_pb2_grpc, query_pb2, query_pb2_grpc


def main(address="127.0.0.1:50051", user_id="lena"):
    with grpc.insecure_channel(address) as channel:
        ingest = ingest_pb2_grpc.IngestServiceStub(channel)
        query = query_pb2_grpc.QueryServiceStub(channel)

        # Opened before the event is sent. After a disconnect, pass the `resume_token` of the last handled answer to continue
        # without a gap.
        subscription = query_pb2.WatchProfileChangesRequest(start=query_pb2.WATCH_START_EARLIEST, user_ids=[user_id])
        changes = query.WatchProfileChanges(subscription, timeout=20)

        # The event id makes a retry safe: the server counts each id once.
        event = event_pb2.Event(
            event_id=f"first-{time.time_ns()}",
            user_id=user_id,
            action=event_pb2.ACTION_VIEW,
            occurred_at=timestamp_pb2.Timestamp(seconds=int(time.time())),
            item_id="boots-42",
            category="shoes",
            price=89.9,
        )
        answer = ingest.Track(ingest_pb2.TrackRequest(events=[event]), timeout=10)
        for rejection in answer.rejected:
            print("rejected", rejection.field, rejection.message)
        print("accepted", answer.accepted)

        # Read your own writes: the call returns once the event is part of the profile.
        request = query_pb2.GetProfileRequest(user_id=user_id, read_after=answer.consistency_token)
        profile = query.GetProfile(request, timeout=10).profile
        print("profile", profile.user_id, profile.applied_events, profile.preference.categories[0].name)

        change = next(answer.change for answer in changes if answer.HasField("change"))
        print("change", change.user_id, change.version)


if __name__ == "__main__":
    main(*sys.argv[1:])
