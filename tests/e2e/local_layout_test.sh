#!/usr/bin/env bash
# A pull from a registry on a private address takes its layers from a layout on this host, or from the registry's own
# storage. The witness is docker-registry's own access log; the controls show that it and the log phrase do tell the
# difference.
#   local_layout_test.sh DAEMON SLUICECTL LIST_TREE PLAIN_PULL
set -euo pipefail
. tests/e2e/lib.sh
node_isolate "$0" "$@"
node_programs "$1" "$2"
list_tree=$(readlink -f "$3")
plain_pull=$(readlink -f "$4")

foreign_pull() { "$plain_pull" "$node/containerd.sock" "$CONTAINERD_NAMESPACE" sluice "$REF"; }

# The phrase stands in the log once for each layer, beside the layer's digest.
expect_layout_for() { # DIGEST...
  local digest lines
  lines=$(sluice_log | grep -F "$LAYOUT_PHRASE" || true)
  for digest; do
    [ "$(grep -cF "$digest" <<<"$lines")" = 1 ] || fail "'$LAYOUT_PHRASE' is not there once for $digest"
  done
  [ "$(count_phrase "$LAYOUT_PHRASE")" = $# ] || fail "the phrase is there $(count_phrase "$LAYOUT_PHRASE") times"
}

expect_no_layer_requests() {
  local lines
  lines=$(registry_layer_requests)
  [ -z "$lines" ] || fail "the registry was asked for layers: $lines"
}

expect_container_runs() {
  local said
  said=$(in_containerd run --rm --snapshotter sluice "$REF" "container-$RANDOM") || fail "the container does not run"
  [[ $said == "hello from "* ]] || fail "the container said '$said'"
  note "$said"
}

expect_tree_right() {
  mount_view sluice "$top" "$node/view"
  "$list_tree" "$node/view" --diff "$expected" --ignore .=mtime || fail "the pulled tree differs"
  unmount_view sluice "$top" "$node/view"
}

# What containerd has unpacked is as its own snapshotter has it, but for the time of the making, which it leaves on
# directories.
expect_containerds_tree() {
  in_containerd images pull --plain-http --snapshotter overlayfs "$REF" >/dev/null
  remove_ghosts "$storage" >/dev/null
  mount_view overlayfs "$top" "$node/theirs"
  mount_view sluice "$top" "$node/view"
  "$list_tree" "$node/view" --diff "$node/theirs" --ignore '*=mtime' || fail "the deferred tree differs from containerd's own"
  unmount_view sluice "$top" "$node/view"
  unmount_view overlayfs "$top" "$node/theirs"
}

# fresh_sluice [STORE...]: a daemon that has nothing yet.
fresh_sluice() {
  forget_images
  sluice_stop
  rm -rf "$storage/sluice"
  sluice_start "$@"
  await_daemon
  : >"$node/registry.log"
  sluice_log_mark
}

# Without the database: its size says nothing of layers.
disk_use() { du -sk --exclude='sluice.db*' "$storage/sluice" | cut -f1; }

disk_use_is_back() { [ "$(disk_use)" -le $((empty_use + 64)) ]; }

node_up "$(node_image small-gzip)"
mapfile -t layers < <(layer_digests "$LAYOUT")
top=$(chain_ids "$LAYOUT" | tail -n 1)
expected=$storage/expected
"$SLUICECTL" unpack "$REF" "$expected" --layout "$LAYOUT"
sluice_start "$LAYOUT"
containerd_start
sluice_log_mark
empty_use=$(disk_use)

node_case "every layer from the layout, none from the registry"
sluice_pull
expect_layout_for "${layers[@]}"
expect_no_layer_requests
expect_tree_right
expect_container_runs

node_case "images rm --sync brings the disk use back"
full_use=$(disk_use)
[ "$full_use" -gt $((empty_use + 100000)) ] || fail "the pull took only $((full_use - empty_use)) KiB"
forget_images
wait_until 60 "$(disk_use) KiB are in use, $empty_use KiB were before the pull" disk_use_is_back
note "empty $empty_use KiB, with the image $full_use KiB, after images rm $(disk_use) KiB"

node_case "the same by a plain client.Pull"
: >"$node/registry.log"
sluice_log_mark
foreign_pull
expect_layout_for "${layers[@]}"
expect_no_layer_requests
expect_tree_right
expect_container_runs

node_case "every layer from the registry's own storage"
fresh_sluice "$REGISTRY_STORE"
sluice_pull
expect_layout_for "${layers[@]}"
expect_no_layer_requests
[ "$(count_phrase "store=$storage/registry kind=distribution")" = ${#layers[@]} ] || fail "not from the registry's storage"
expect_tree_right
expect_container_runs

node_case "the same by a plain client.Pull, where a repository must link what it serves"
sluice_config=$(printf '[[store]]\nkind = "distribution"\npath = "%s"\nregistries = ["%s"]\nrequire_link = true' \
  "$storage/registry" "$REGISTRY")
fresh_sluice
foreign_pull
expect_layout_for "${layers[@]}"
expect_no_layer_requests
expect_tree_right

node_case "control: what the registry refuses for want of a link, the store refuses too"
link=$storage/registry/docker/registry/v2/repositories/app/_layers/${layers[1]/://}
fresh_sluice
mv "$link" "$node/link"
foreign_pull && fail "a layer was served that the repository does not link"
sluice_log | grep -F 'deferring to containerd' | grep -qF "${layers[1]}" || fail "the layer was not deferred"
sluice_log | grep -F "$LAYOUT_PHRASE" | grep -qF "${layers[1]}" && fail "the layer was used without a link"
mv "$node/link" "$link"
sluice_config=''

node_case "the registry stopped after the manifest"
fresh_sluice "$LAYOUT"
kill -STOP "$sluice_pid" # the first Prepare waits: the manifest is there, no layer is
foreign_pull &
puller=$!
config_is_stored() { in_containerd content ls -q | grep -qF "$(jq -r .config.digest "$(layout_manifest "$LAYOUT")")"; }
wait_until 20 "the client does not fetch the config" config_is_stored
registry_stop
kill -CONT "$sluice_pid"
wait "$puller" || fail "the pull failed"
expect_layout_for "${layers[@]}"
expect_tree_right
registry_start

node_case "control: without the store the registry is asked"
fresh_sluice
sluice_pull
[ "$(count_phrase "$LAYOUT_PHRASE")" = 0 ] || fail "the phrase is there though there is no store"
for digest in "${layers[@]}"; do
  registry_layer_requests | grep -qF "$digest" || fail "the registry was not asked for $digest"
done
expect_tree_right
expect_container_runs

node_case "control: left to containerd by policy, the tree is as containerd makes it"
sluice_config=$(printf '[[registry.policy]]\nhosts = ["%s"]\nstrategies = ["layout"]' "$REGISTRY")
fresh_sluice
sluice_pull
[ "$(count_phrase 'deferring to containerd')" = ${#layers[@]} ] || fail "not every layer was deferred"
expect_containerds_tree
expect_container_runs
sluice_config=''

node_case "control: one byte of a blob flipped"
damaged=${layers[1]}
blob=$LAYOUT/blobs/${damaged/://}
size=$(stat -c %s "$blob")
byte=$(od -An -tu1 -j $((size / 2)) -N1 "$blob")
printf "\\x$(printf %02x $((byte ^ 1)))" | dd of="$blob" bs=1 seek=$((size / 2)) conv=notrunc status=none
fresh_sluice "$LAYOUT"
sluice_pull
sluice_log | grep -F "$LAYOUT_PHRASE" | grep -qF "$damaged" && fail "the damaged blob was used"
sluice_log | grep -qF "$blob" || fail "the damaged blob is not reported by its path"
registry_layer_requests | grep -qF "$damaged" || fail "the registry was not asked for the damaged layer"
expect_tree_right
expect_container_runs
