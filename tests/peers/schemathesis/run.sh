#!/bin/sh
# Runs schemathesis against the service: run.sh PATH/TO/smart-support [ARGUMENTS OF SCHEMATHESIS]...
set -eu
binary=$(realpath "$1")
shift
schemathesis=${SMART_SUPPORT_SCHEMATHESIS:-schemathesis}
fixtures=$(cd "$(dirname "$0")/../../../fixtures" && pwd)
place=$(mktemp -d)
key=sk-schemathesis-only
serving=
trap 'test -z "$serving" || kill "$serving" 2>/dev/null || true; wait; rm -rf "$place"' EXIT
cd "$place"
export EMBEDDING_PROVIDER=hash SMART_SUPPORT_API_KEY=$key
workbook=$(find "$fixtures" -name '*.xlsx' | sort | head -n 1)
"$binary" migrate --faq-path "$workbook" --quiet
"$binary" serve --listen 127.0.0.1:0 --port-file port 2>log &
serving=$!
until test -s port; do
    kill -0 "$serving" || { cat log; exit 1; }
    sleep 0.1
done
status=0
"$schemathesis" run "http://$(cat port)/openapi.json" --header "X-API-Key: $key" --checks all "$@" || status=$?
if grep -q panicked log; then
    grep -A5 panicked log
    status=1
fi
exit "$status"
