#!/usr/bin/env bash
# Sends an event, then reads the profile that includes it. The server has reflection, so `buf curl` needs no .proto files.
#   examples/curl/first-event.sh [http://HOST:PORT]
# buf is taken from PATH, or from .venv/bin, where scripts/setup installs it.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PATH:$PWD/.venv/bin"
server=${1:-http://127.0.0.1:50051}

call() { buf curl --protocol grpc --http2-prior-knowledge "$server/portrait.v1.$1" --data "$2"; }

answer=$(call IngestService/Track '{"events": [{"event_id": "e1", "user_id": "lena", "action": "ACTION_VIEW",
  "occurred_at": "2026-01-01T12:00:00Z", "item_id": "boots-42", "category": "shoes", "price": 89.9}]}')
echo "$answer"

# The token of the answer makes the read wait until the event is part of the profile.
token=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["consistencyToken"])' <<<"$answer")
call QueryService/GetProfile "{\"user_id\": \"lena\", \"read_after\": \"$token\"}"
