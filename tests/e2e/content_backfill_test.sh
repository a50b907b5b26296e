#!/usr/bin/env bash
# content = "backfill": after a pull that left containerd without blobs they come, stay as long as the image, and come
# back after whatever happened to the daemon, the registry or the source.
#   content_backfill_test.sh DAEMON SLUICECTL LIST_TREE PLAIN_PULL
set -euo pipefail
. tests/e2e/lib.sh
node_isolate "$0" "$@"
. tests/e2e/snapshotter_lib.sh
. tests/e2e/content_lib.sh
node_programs "$1" "$2"
plain_pull=$(readlink -f "$4")

readonly BACKFILL=$'content = "backfill"'

pull() { "$plain_pull" "$node/containerd.sock" "$CONTAINERD_NAMESPACE" sluice "$REF" >/dev/null; }

# restart [STORE...]: with $containerd_keys as further lines of [containerd], and $sluice_config.
restart() {
  sluice_stop
  # sluice_start ends the table [containerd] with this.
  sluice_config=$(printf '%s\n%s' "$containerd_keys" "$more_config")
  sluice_log_mark
  sluice_start "$@"
  await_daemon
}
containerd_keys='' more_config=''

# All is there, and nothing works on it any more.
is_settled() { is_whole && no_leases; }

backfilled() { sluice_log | grep -c ' backfilled ' || true; }
layer_gets() { registry_layer_requests | wc -l; }

node_up "$(node_image small-gzip)"
mapfile -t layers < <(layer_digests "$LAYOUT")
blob_bytes=$(jq '[.layers[].size] | add' "$(layout_manifest "$LAYOUT")")
sluice_start "$LAYOUT"
containerd_start

node_case "control: without it the image lacks its layers"
sluice_log_mark
pull
expect_incomplete "$REF"
[ "$(stored_layers)" = 0 ] || fail "containerd has layers"

node_case "a daemon that starts finds what is missing, and gets it from the layout"
containerd_keys=$BACKFILL
restart "$LAYOUT"
wait_until 60 "the blobs don't come: $(sluice_log)" is_settled
wait_until 10 "a lease is left" no_leases
expect_whole "$REF" "$LAYOUT"
wait_until 10 "no line in the log" test "$(backfilled)" = 1
sluice_log | grep ' backfilled ' | grep -qF \
  "image=$REF namespace=$CONTAINERD_NAMESPACE blobs=${#layers[@]} bytes=$blob_bytes seconds=" || fail "$(sluice_log)"
[ "$(layer_gets)" = 0 ] || fail "the registry was asked: $(registry_layer_requests)"
[ "$(ingests)" = 0 ] || fail "half a blob is left"

node_case "after a pull, without being asked"
forget_images
[ -z "$(in_containerd content ls -q)" ] || fail "blobs outlive the image"
sluice_log_mark
pull
wait_until 60 "the blobs don't come: $(sluice_log)" is_settled
expect_whole "$REF" "$LAYOUT"
source=$(in_containerd content ls | awk -v digest="${layers[0]}" '$1 == digest' | grep -oE 'containerd.io/distribution.source.172.30.0.1=[^,[:space:]]+')
[ "$source" = containerd.io/distribution.source.172.30.0.1=app ] || fail "its source is '$source'"
[ "$(layer_gets)" = 0 ] || fail "the registry was asked"

node_case "garbage collection keeps them for the image, and takes them with it"
in_containerd images tag "$REF" localhost/other:1 >/dev/null
in_containerd images rm --sync localhost/other:1 >/dev/null
collect_garbage
expect_whole "$REF" "$LAYOUT"
# They hang on the labels that containerd's own tool knows: it takes layers away, and nothing else.
in_containerd content prune references 2>/dev/null
[ "$(stored_layers)" = 0 ] || fail "$(stored_layers) layers hang on something else"
forget_images
[ -z "$(in_containerd content ls -q)" ] || fail "blobs outlive the image"

node_case "two namespaces have one copy"
pull
wait_until 60 "the blobs don't come" is_settled
sluice_log_mark
"$plain_pull" "$node/containerd.sock" "$CONTAINERD_NAMESPACE-2" sluice "$REF" >/dev/null
other() { ctr -a "$node/containerd.sock" -n "$CONTAINERD_NAMESPACE-2" "$@"; }
others_are_whole() { [ "$(other content ls -q | sort -u | comm -12 "$node/wanted-layers" - | wc -l)" = "$(wc -l <"$node/wanted-layers")" ]; }
wait_until 60 "the blobs don't come to the second namespace: $(sluice_log)" others_are_whole
other images rm --sync "$REF" >/dev/null
expect_whole "$REF" "$LAYOUT"

node_case "killed in the middle, it goes on there"
forget_images
containerd_keys=''
restart "$LAYOUT"
pull
: >"$node/registry.log"
containerd_keys=$BACKFILL
more_config=$(limit_downloads 4MiB)
restart
wait_until 60 "nothing is downloaded: $(sluice_log)" half_done
wait_until 60 "no byte arrives" bytes_arrive
kill -9 "$sluice_pid"
wait "$sluice_pid" 2>/dev/null || true
rm -f "$node/sluice.sock"
half_done || fail "containerd forgot what it had"
collect_garbage
half_done || fail "garbage collection took what is half done"
before=$(layer_gets)
more_config=''
restart
wait_until 60 "the blobs don't come: $(sluice_log)" is_settled
expect_whole "$REF" "$LAYOUT"
wait_until 10 "a lease is left: $(in_containerd leases ls)" no_leases
registry_layer_requests | sed "1,${before}d" | grep -q ' 206 ' || fail "it began anew: $(registry_layer_requests)"

node_case "what a killed one has left keeps nothing when the image goes"
forget_images
[ -z "$(in_containerd content ls -q)" ] || fail "blobs outlive the image: $(in_containerd leases ls)"

node_case "stopped in the middle, it ends at once, and leaves no lease"
containerd_keys=''
restart "$LAYOUT"
pull
containerd_keys=$BACKFILL
more_config=$(limit_downloads 4MiB)
restart
wait_until 60 "nothing is downloaded" half_done
kill "$sluice_pid"
wait_until 5 "the daemon does not end" test ! -d "/proc/$sluice_pid"
wait "$sluice_pid" || fail "it ended with $?"
no_leases || fail "a lease is left: $(in_containerd leases ls)"
more_config=''
sluice_start

node_case "no source: it says so, and tries again"
forget_images
containerd_keys=''
restart "$LAYOUT"
pull
registry_stop
mv "$LAYOUT" "$LAYOUT-away"
containerd_keys=$BACKFILL
restart "$LAYOUT"
wait_until 20 "nobody says so" eval "sluice_log | grep -qF 'backfill: $REF: '"
mv "$LAYOUT-away" "$LAYOUT"
wait_until 90 "it does not try again: $(sluice_log)" is_settled
expect_whole "$REF" "$LAYOUT"
registry_start

node_case "a damaged copy is not used, the registry's is"
forget_images
containerd_keys=''
restart "$LAYOUT"
pull
blob=$LAYOUT/blobs/${layers[1]/://}
cp "$blob" "$node/blob"
size=$(stat -c %s "$blob")
byte=$(od -An -tu1 -j $((size / 2)) -N1 "$blob")
printf "\\x$(printf %02x $((byte ^ 1)))" | dd of="$blob" bs=1 seek=$((size / 2)) conv=notrunc status=none
: >"$node/registry.log"
containerd_keys=$BACKFILL
restart "$LAYOUT"
wait_until 60 "the blobs don't come: $(sluice_log)" is_settled
sluice_log | grep '^W' | grep -qF "$blob" || fail "the damaged blob is not reported: $(sluice_log)"
[ "$(layer_gets)" = 1 ] || fail "the registry was asked for $(registry_layer_requests)"
mv "$node/blob" "$blob"
expect_whole "$REF" "$LAYOUT"

node_case "containerd restarted under it"
forget_images
containerd_stop
containerd_start
await_daemon
pull
wait_until 90 "the blobs don't come: $(sluice_log)" is_settled
expect_whole "$REF" "$LAYOUT"
expect_alive
