#!/usr/bin/env bash
# /metrics and gRPC health of a real daemon: exact counts after real pulls, one for each way; the manual beside the page;
# the address in use, silent clients, load.
#   metrics_test.sh DAEMON SLUICECTL LIST_TREE PLAIN_PULL HEALTH_CHECK
set -euo pipefail
. tests/e2e/lib.sh
node_isolate "$0" "$@"
. tests/e2e/snapshotter_lib.sh
node_programs "$1" "$2"
plain_pull=$(readlink -f "$4")
health_check=$(readlink -f "$5")
manual=$(readlink -f docs/metrics.md)
page_tool=$(readlink -f tests/e2e/metrics_page.py)

readonly METRICS=127.0.0.1:9464
readonly REMOTE_REGISTRY=registry.example
readonly SLOW_REGISTRY=slow.example # the same at 4 KiB a second
# containerd says no ports: it needs an address of its own.
readonly FORBIDDEN_REGISTRY=10.1.2.3:5000
readonly SNAPSHOTS=containerd.services.snapshots.v1.Snapshots

# Debian's, which has the parser, whatever comes first in PATH.
page() { /usr/bin/python3 "$page_tool" "$@"; }
scrape() { curl -fsS --max-time 5 "http://$METRICS/metrics"; }
samples() { scrape | page samples "$@"; }
is_sample() { samples "${1%%\{*}" | grep -qxF "$1"; } # SAMPLE
has_metrics() { scrape >"$node/page"; }

# expect_samples FAMILY... <EXPECTED: these and no other are not 0.
expect_samples() {
  samples "$@" >"$node/samples"
  diff - "$node/samples" >&2 || fail "the counts differ (< expected, > scraped)"
}

# image NAME LAYERS: a layout of layers that no other image has.
image() {
  local k layout=$storage/$1-gzip
  mkdir "$storage/tars"
  layout_begin "$layout"
  for k in $(seq "$2"); do
    mkdir -p "$storage/tars/tree/$1"
    head -c 20000 /dev/urandom >"$storage/tars/tree/$1/$k"
    tar -C "$storage/tars/tree" -cf "$storage/tars/$k.tar" "$1/$k"
    layout_add_layer "$storage/tars/$k.tar" "$k" "$layout"
  done
  layout_finish "$layout" 1 '{}'
  rm -r "$storage/tars"
}
blob_bytes() { jq '[.layers[].size] | add' "$(layout_manifest "$storage/$1-gzip")"; } # NAME
pull() { # REF [NAMESPACE]
  "$plain_pull" "$node/containerd.sock" "${2:-$CONTAINERD_NAMESPACE}" sluice "$1" "$hosts_dir" >/dev/null
}
health() { "$health_check" "$node/sluice.sock" "$@" | paste -sd' '; }

sizes=(layout 3 stream 4 cached 2 deferred 2 fallback 1 slow 1)
for ((i = 0; i < ${#sizes[@]}; i += 2)); do image "${sizes[i]}" "${sizes[i + 1]}"; done
node_network
registry_start
# The same registry at another address.
ip addr add 10.1.2.1/24 dev to-registry
nsenter -t "$remote_pid" -n ip addr add 10.1.2.3/24 dev eth0
sed "s/$REGISTRY/$FORBIDDEN_REGISTRY/" "$node/registry.yml" >"$node/second.yml"
nsenter -t "$remote_pid" -n docker-registry serve "$node/second.yml" >"$node/second.log" 2>&1 &
wait_until 10 "docker-registry does not answer at $FORBIDDEN_REGISTRY" curl -fsS "http://$FORBIDDEN_REGISTRY/v2/"
for name in layout stream cached deferred fallback slow; do push "$storage/$name-gzip" "$REGISTRY/$name:1"; done
hosts_dir=$node/certs.d
for name in $REMOTE_REGISTRY $SLOW_REGISTRY; do
  mkdir -p "$hosts_dir/$name"
  printf 'server = "https://%s"\n[host."http://%s"]\n  capabilities = ["pull", "resolve"]\n' \
    "$name" "$FORBIDDEN_REGISTRY" >"$hosts_dir/$name/hosts.toml"
done
# A byte of this store's copy is wrong.
blob=$storage/fallback-gzip/blobs/$(layer_digests "$storage/fallback-gzip" | tr : /)
printf 'x' | dd of="$blob" bs=1 seek=9000 conv=notrunc status=none

sluice_config="[registry]
hosts_dir = \"$hosts_dir\"
local_registries = [\"$FORBIDDEN_REGISTRY\"]
[[registry.policy]]
hosts = [\"${FORBIDDEN_REGISTRY%:*}\"]
strategies = []
[[registry.policy]]
hosts = [\"$SLOW_REGISTRY\"]
max_bytes_per_second = \"4KiB\"
[metrics]
address = \"$METRICS\""

node_case "an address that is in use costs a warning, and is taken when it is free"
python3 -c '
import socket, time
taken = socket.create_server(("127.0.0.1", 9464))
time.sleep(600)' &
holder=$!
wait_until 10 "the port is not taken" bash -c "exec 3<>/dev/tcp/127.0.0.1/9464"
sluice_log_mark
sluice_start "$storage/layout-gzip" "$storage/fallback-gzip"
wait_until 10 "no warning" grep -q "^W.*no metrics until the address is free: bind($METRICS): Address already in use" "$node/sluice.log"
containerd_start
[ "$(health "")" = SERVING ] || fail "health: $(health "")"
stop_process "$holder"
wait_until 20 "no metrics although the port is free" has_metrics
[ "$(grep -c 'no metrics until' "$node/sluice.log")" = 1 ] || fail "warned more than once"
start=$(date +%s%N)
sluice_stop
took=$((($(date +%s%N) - start) / 1000000))
note "the end took $took ms"
[ "$took" -lt 1500 ] || fail "the end took $took ms, though nobody is connected"
sluice_start "$storage/layout-gzip" "$storage/fallback-gzip"
wait_until 10 "no metrics" has_metrics
await_daemon

node_case "health is SERVING, by name"
[ "$(health "" $SNAPSHOTS containerd.services.diff.v1.Diff sluice.v1.Admin no.such.Service)" = \
  "SERVING SERVING SERVING SERVING NOT_FOUND" ] || fail "$(health "" $SNAPSHOTS sluice.v1.Admin)"

node_case "the manual has every metric of the page, and no other; promtool finds no fault"
scrape >"$node/page"
page families <"$node/page" >"$node/families"
page documented <"$manual" | diff - "$node/families" >&2 || fail "docs/metrics.md (<) and the page (>) differ"
[ "$(wc -l <"$node/families")" -ge 35 ] || fail "only $(wc -l <"$node/families") metrics were read"
promtool check metrics <"$node/page" >"$node/promtool" 2>&1 || fail "promtool: $(cat "$node/promtool")"
[ ! -s "$node/promtool" ] || fail "promtool: $(cat "$node/promtool")"

node_case "the manual names every reason and no other"
sed -n '/^### Reasons/,/^The log/p' "$manual" | grep -oP '^\| `\K[a-z_]+(?=` \|)' | grep -vx reason | sort >"$node/documented-reasons"
grep -oP '^sluice_fallbacks_total\{strategy="defer",reason="\K[a-z_]+' "$node/page" | sort |
  diff "$node/documented-reasons" - >&2 || fail "the reasons differ"

node_case "the alerts are rules, and fire when they should"
page rules <"$manual" >"$node/alerts.yml"
promtool check rules "$node/alerts.yml" >"$node/promtool" 2>&1 || fail "promtool: $(cat "$node/promtool")"
grep -q '3 rules found' "$node/promtool" || fail "promtool: $(cat "$node/promtool")"
cp tests/e2e/metrics_alerts_test.yml "$node/"
promtool test rules "$node/metrics_alerts_test.yml" >"$node/promtool" 2>&1 || fail "promtool: $(cat "$node/promtool")"

node_case "each way is counted once for each layer, and nothing else"
readonly COUNTED=(sluice_prepares_total sluice_prepare_hold_seconds sluice_fallbacks_total sluice_fill_seconds
  sluice_fill_bytes_total)
# The two daemons' probes by await_daemon: containerd asks for no layer.
expect_samples "${COUNTED[@]}" <<'EOF'
sluice_prepare_hold_seconds{strategy=none} 1
sluice_prepares_total{outcome=mounts,strategy=none} 1
EOF
pull "$REGISTRY/layout:1"
pull "$REGISTRY/stream:1"
pull "$REMOTE_REGISTRY/cached:1"
pull "$FORBIDDEN_REGISTRY/deferred:1"
pull "$REGISTRY/fallback:1"
# In another namespace, whose containerd knows nothing of it: all is there.
pull "$REGISTRY/stream:1" "$CONTAINERD_NAMESPACE-2"
expected=$(
  cat <<EOF
sluice_fallbacks_total{reason=corrupt,strategy=layout} 1
sluice_fallbacks_total{reason=forbidden,strategy=defer} 2
sluice_fill_bytes_total{source=local_registry,strategy=stream} $(($(blob_bytes stream) + $(blob_bytes fallback)))
sluice_fill_bytes_total{source=remote_registry,strategy=cached} $(blob_bytes cached)
sluice_fill_bytes_total{source=store,strategy=layout} $(blob_bytes layout)
sluice_fill_seconds{strategy=cached} 2
sluice_fill_seconds{strategy=layout} 3
sluice_fill_seconds{strategy=stream} 5
sluice_prepare_hold_seconds{strategy=cached} 2
sluice_prepare_hold_seconds{strategy=defer} 2
sluice_prepare_hold_seconds{strategy=layout} 3
sluice_prepare_hold_seconds{strategy=none} 1
sluice_prepare_hold_seconds{strategy=present} 4
sluice_prepare_hold_seconds{strategy=stream} 5
sluice_prepares_total{outcome=mounts,strategy=defer} 2
sluice_prepares_total{outcome=mounts,strategy=none} 1
sluice_prepares_total{outcome=provided,strategy=cached} 2
sluice_prepares_total{outcome=provided,strategy=layout} 3
sluice_prepares_total{outcome=provided,strategy=present} 4
sluice_prepares_total{outcome=provided,strategy=stream} 5
EOF
)
expect_samples "${COUNTED[@]}" <<<"$expected"

node_case "calls by method and code; the state, counted in the background"
samples sluice_rpc_seconds >"$node/calls"
for call in 'code=ALREADY_EXISTS,method=Snapshots/Prepare} 14' 'code=OK,method=Snapshots/Prepare} 3' \
  'code=OK,method=Snapshots/Commit} 2' 'code=OK,method=Health/Check} 4' 'code=NOT_FOUND,method=Health/Check} 1'; do
  grep -qxF "sluice_rpc_seconds{$call" "$node/calls" || fail "not $call: $(cat "$node/calls")"
done
for sample in 'sluice_snapshots{kind=committed} 12' 'sluice_layers{} 10' "sluice_cache_bytes{} $(blob_bytes cached)"; do
  wait_until 25 "not $sample: $(samples "${sample%%\{*}")" is_sample "$sample"
done

node_case "status shows the same"
"$SLUICECTL" status --json --address "$node/sluice.sock" >"$node/status.json"
jq -r '(.prepares[] | "sluice_prepares_total{outcome=\(.outcome),strategy=\(.strategy)} \(.count)"),
  (.fallbacks[] | "sluice_fallbacks_total{reason=\(.reason),strategy=\(.strategy)} \(.count)"),
  (.strategies[] | "sluice_fill_seconds{strategy=\(.strategy)} \(.layers)")' "$node/status.json" | sort |
  diff - <(samples sluice_prepares_total sluice_fallbacks_total sluice_fill_seconds) >&2 || fail "status (<) and the page (>) differ"
jq -e '[.fallbacks[] | select(.strategy == "defer") | .lastMessage] | length == 1 and (.[0] | contains("registry.policy"))' \
  "$node/status.json" >/dev/null || fail "no words for the reason: $(cat "$node/status.json")"

node_case "while a layer is waited for the page says so"
pull "$SLOW_REGISTRY/slow:1" &
slow=$!
wait_until 10 "no Prepare waits" is_sample "sluice_prepares_in_flight{} 1"
is_sample "sluice_fills_in_flight{stage=reading} 1" || fail "no layer is read: $(samples sluice_fills_in_flight)"
wait "$slow" || fail "the pull failed"
is_sample "sluice_prepares_total{outcome=provided,strategy=cached} 3" || fail "$(samples sluice_prepares_total)"
[ -z "$(samples sluice_prepares_in_flight sluice_fills_in_flight)" ] || fail "something is still in flight"
# It was held for about five seconds; a busy machine may hold the others for more than one, too.
scrape | grep -E '^sluice_prepare_hold_seconds_bucket\{strategy="cached",le="1"\} [0-2]$' >/dev/null ||
  fail "the hold is not seen: $(scrape | grep 'hold_seconds_bucket{strategy="cached"')"

node_case "scrapes and calls do not wait for each other"
for _ in 1 2 3 4; do
  (while [ ! -e "$node/enough" ]; do scrape >/dev/null || echo failed >>"$node/failed"; done) &
done
for k in $(seq 30); do
  start=$(date +%s%N)
  "$SLUICECTL" status --json --address "$node/sluice.sock" >/dev/null || fail "no status under load"
  in_containerd snapshots --snapshotter sluice prepare "load-$k" >/dev/null || fail "no snapshot under load"
  in_containerd snapshots --snapshotter sluice rm "load-$k" || fail "no removal under load"
  [ $((($(date +%s%N) - start) / 1000000)) -lt 5000 ] || fail "a call took more than five seconds"
done
touch "$node/enough"
[ ! -e "$node/failed" ] || fail "$(wc -l <"$node/failed") scrapes failed"
is_sample "sluice_prepares_total{outcome=mounts,strategy=none} 31" || fail "$(samples sluice_prepares_total)"

node_case "who connects and says nothing keeps neither a scrape nor the end waiting"
python3 -c '
import socket, time
silent = [socket.create_connection(("127.0.0.1", 9464)) for _ in range(3)]
half = socket.create_connection(("127.0.0.1", 9464))
half.send(b"GET /metrics HTTP/1.1\r\n")
time.sleep(600)' &
silent=$!
wait_until 10 "nobody is connected" bash -c "[ \$(ss -Htn state established 'sport = :9464' | wc -l) -ge 4 ]"
scrape >/dev/null || fail "no scrape beside silent clients"
"$health_check" -watch "$node/sluice.sock" $SNAPSHOTS >"$node/watched" &
wait_until 10 "nothing is watched" grep -q SERVING "$node/watched"
start=$(date +%s%N)
sluice_stop
took=$((($(date +%s%N) - start) / 1000000))
note "the end took $took ms"
[ "$took" -lt 9000 ] || fail "the end took $took ms"
[ "$(paste -sd' ' "$node/watched")" = "SERVING NOT_SERVING" ] || fail "watched: $(cat "$node/watched")"
stop_process "$silent"
