#!/bin/sh
# Stream an answer with curl, then show how a client goes on where its connection broke.
#
# Run it from the repository while `make run` is up:
#
#     sh examples/stream.sh "Why do we sleep?"
#
# It needs curl and a POSIX shell. ROUTER_URL, API_KEY and SESSION_ID name another router, key and
# session. docs/live.md says what the events mean.
set -eu

VAR_DIR=${VAR_DIR:-var}
ROUTER_URL=${ROUTER_URL:-http://127.0.0.1:5010}
API_KEY=${API_KEY:-$(cat "$VAR_DIR/api_key")}
SESSION_ID=${SESSION_ID:-1}
PROMPT=${1:-Why do we sleep?}

# -N: pieces are shown as they come. --fail-with-body: a refusal is an error that says why.
follow() { curl -sSN --fail-with-body --max-time 150 -H "Authorization: Bearer $API_KEY" "$@"; }

echo "── the answer, a line a piece"
events=$(mktemp)
trap 'rm -f "$events"' EXIT
follow "$ROUTER_URL/api/v1/completions" -H "Content-Type: application/json" \
  -d "{\"session_id\": $SESSION_ID, \"prompt\": \"$PROMPT\", \"stream\": true}" | tee "$events"

# Each piece has an id: the client's position in the answer. Any router process goes on from it.
id=$(sed -n 's/^id: //p' "$events" | head -n 1)
task=$(sed -n 's/.*"task_id": *\([0-9]*\).*/\1/p' "$events" | head -n 1)
echo "── the same answer, from behind $id on"
follow "$ROUTER_URL/api/v1/tasks/$SESSION_ID/$task/stream" -H "Last-Event-ID: $id"
