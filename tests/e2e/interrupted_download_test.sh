#!/usr/bin/env bash
# A download that is killed goes on from where it was, and two that meet are one. Meanwhile the blob cache is an OCI
# layout for anybody's tools. The witness is the log of a front, which says how many bytes it has sent to whom.
#   interrupted_download_test.sh DAEMON SLUICECTL LIST_TREE PLAIN_PULL CONCURRENT_PULL
set -euo pipefail
. tests/e2e/lib.sh
. tests/e2e/registry_front.sh
node_isolate "$0" "$@"
node_programs "$1" "$2"
list_tree=$(readlink -f "$3")
plain_pull=$(readlink -f "$4")
concurrent_pull=$(readlink -f "$5")

readonly RATE=$((8 << 20))
hosts_dir=$node/certs.d
cache=$storage/sluice/cache

pull_large() {
  "$concurrent_pull" "$node/containerd.sock" "$CONTAINERD_NAMESPACE" sluice "$hosts_dir" <<<"$large"
}

# Any tool's view of the cache, in which sluicectl has named an image.
expect_layout() {
  skopeo inspect "oci:$cache:$named" >"$node/inspected" || fail "skopeo does not read the cache: $1"
  umoci stat --image "$cache:$named" >/dev/null || fail "umoci does not read the cache: $1"
}

arrived() { [ "$(stat -c %s "$cache/ingest/${blob#*:}" 2>/dev/null || echo 0)" -ge "$1" ]; }
nothing_arrives() { [ -z "$(find "$cache/ingest" -type f)" ]; }

node_network
registry_start
front_start 5001=up "5003=slow@$RATE"
echo 'miss slow remote miss large' >"$node/cells"
python3 "$repository/tests/e2e/strategy_matrix.py" make "$node/cells" "$node/made" "$REGISTRY" "$hosts_dir"
read -r _ _ large _ blob _ <"$node/made/cells"
size=$(curl -fsSI "http://$REGISTRY/v2/c0/blobs/$blob" | awk -F': |\r' 'tolower($1) == "content-length" { print $2 }')
sluice_config=$(printf '[registry]\nhosts_dir = "%s"' "$hosts_dir")
sluice_start
containerd_start

node_case "the cache is an OCI layout while a blob arrives"
node_push "$(node_image small-gzip)"
mkdir -p "$hosts_dir/named.example"
printf 'server = "http://172.30.0.1:1"\n[host."http://172.30.0.1:5001"]\n' >"$hosts_dir/named.example/hosts.toml"
"$SLUICECTL" unpack named.example/app:1 "$storage/flat" --cache "$cache" --hosts-dir "$hosts_dir"
named=$(jq -r '.manifests[0].annotations["org.opencontainers.image.ref.name"]' "$cache/index.json")
expect_layout "before"
pull_large >"$node/killed" &
puller=$!
wait_until 20 "the blob does not arrive" arrived $((size / 8))
rounds=0
until arrived $((size / 2)); do
  expect_layout "while the blob arrives"
  rounds=$((rounds + 1))
done
[ "$rounds" -gt 0 ] || fail "the blob was faster than one look"
note "$rounds times read by skopeo and umoci while a blob arrived, as $named"

node_case "kill -9 in the middle"
kill -KILL "$sluice_pid"
wait "$sluice_pid" 2>/dev/null || true
wait "$puller" || true
grep -q failed "$node/killed" || fail "the pull did not fail: $(cat "$node/killed")"
arrived $((size / 2)) || fail "what had arrived is gone"
expect_layout "after the kill"

node_case "the next pull goes on from there"
sluice_start
await_daemon
sluice_log_mark
pull_large >"$node/pulled"
grep -q pulled "$node/pulled" || fail "$(cat "$node/pulled")"
[ "$(count_phrase 'using cached unpack')" = 1 ] || fail "not cached: $(sluice_log)"
[ "$(front_asked sluice "$blob")" = 2 ] || fail "asked $(front_asked sluice "$blob") times"
[ "$(front_asked containerd "$blob")" = 0 ] || fail "containerd asked, too"
bytes=$(front_bytes sluice "$blob")
[ "$bytes" -ge "$size" ] || fail "$bytes bytes of $size were sent: the witness does not count"
[ $(((bytes - size) * 100)) -le "$size" ] || fail "$((bytes - size)) of $size bytes were sent twice"
note "$((bytes - size)) of $size bytes were sent twice"
"$list_tree" "$(cut -f3 "$node/pulled")" --diff "$node/made/expected/c0" --ignore .=mtime || fail "the tree differs"
nothing_arrives || fail "left in ingest: $(ls "$cache/ingest")"
[ "sha256:$(sha256sum "$cache/blobs/${blob/://}" | cut -d' ' -f1)" = "$blob" ] || fail "the blob in the cache is wrong"
expect_layout "after the download"

node_case "two clients at once: each blob is asked for once"
mkdir -p "$hosts_dir/two.example"
printf 'server = "http://172.30.0.1:1"\n[host."http://172.30.0.1:5003"]\n' >"$hosts_dir/two.example/hosts.toml"
sluice_stop
rm -rf "$storage/sluice"
forget_images
sluice_start
await_daemon
sluice_log_mark
: >"$front_log"
pullers=()
for _ in 1 2; do
  "$plain_pull" "$node/containerd.sock" "$CONTAINERD_NAMESPACE" sluice two.example/app:1 "$hosts_dir" &
  pullers+=($!)
done
for puller in "${pullers[@]}"; do wait "$puller" || fail "a pull failed"; done
for digest in $(layer_digests "$LAYOUT"); do
  [ "$(front_asked sluice "$digest")" = 1 ] || fail "sluice asked $(front_asked sluice "$digest") times for $digest"
  [ "$(front_asked containerd "$digest")" = 0 ] || fail "containerd asked for $digest"
done
[ "$(count_phrase 'using cached unpack')" = "$(layer_count "$LAYOUT")" ] || fail "$(sluice_log)"
nothing_arrives || fail "left in ingest: $(ls "$cache/ingest")"
top=$(chain_ids "$LAYOUT" | tail -n 1)
mount_view sluice "$top" "$node/view"
"$list_tree" "$node/view" --diff "$storage/flat" --ignore .=mtime || fail "the tree differs"
unmount_view sluice "$top" "$node/view"
