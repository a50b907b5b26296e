#!/usr/bin/env bash
# Pulls from registries that are not on this host, each by two clients: a local one's layers are streamed, a remote one's
# go through the blob cache, and what is on this host is not asked for. The witnesses are the registries' own access logs.
#   registry_strategies_test.sh DAEMON SLUICECTL LIST_TREE PLAIN_PULL
set -euo pipefail
. tests/e2e/lib.sh
node_isolate "$0" "$@"
node_programs "$1" "$2"
list_tree=$(readlink -f "$3")
plain_pull=$(readlink -f "$4")
decided=$(readlink -f tests/e2e/decided)

readonly STREAM_PHRASE='using streaming unpack for local registry image'
readonly CACHED_PHRASE='using cached unpack'
readonly DEFER_PHRASE='deferring to containerd'
readonly OTHER_REGISTRY=10.1.2.3:5000
readonly REMOTE_REGISTRY=registry.example

# second_registry ADDRESS NAME: another docker-registry over the same storage, with a log of its own.
second_registry() {
  sed -e "s/$REGISTRY/$1/" "$node/registry.yml" >"$node/$2.yml"
  nsenter -t "$remote_pid" -n docker-registry serve "$node/$2.yml" >>"$node/$2.log" 2>>"$node/$2.err" &
  wait_until 10 "docker-registry does not answer at $1" curl -fsS "http://$1/v2/"
}

blob_requests() { # LOG
  layer_digests "$LAYOUT" | grep -F -f - "$node/$1.log" | grep '"GET ' || true
}
# expect_each_blob_asked LOG TIMES
expect_each_blob_asked() {
  local digest count
  for digest in "${layers[@]}"; do
    count=$(blob_requests "$1" | grep -cF "$digest" || true)
    [ "$count" = "$2" ] || fail "$1 was asked $count times for $digest, not $2 times"
  done
}

# Once for each layer, beside the layer's digest.
expect_phrase() { # PHRASE [FURTHER TEXT]
  local digest
  for digest in "${layers[@]}"; do
    [ "$(sluice_log | grep -F "$1 store=" | grep -F "${2-}" | grep -cF "$digest")" = 1 ] ||
      fail "'$1' with '${2-}' is not there once for $digest"
  done
  [ "$(count_phrase "$DEFER_PHRASE")" = 0 ] || fail "$(sluice_log | grep -F "$DEFER_PHRASE" | head -n 1)"
}

expect_tree_right() {
  mount_view sluice "$top" "$node/view"
  expect_equal "$node/view" "$storage/umoci/rootfs" "$node/decided-overlay-umoci"
  unmount_view sluice "$top" "$node/view"
}

# fresh [LAYOUT...]: nothing is left of what was pulled, but for the blob cache if `keep_cache` is set.
fresh() {
  forget_images
  sluice_stop
  [ -z "${keep_cache-}" ] || mv "$storage/sluice/cache" "$storage/kept"
  rm -rf "$storage/sluice"
  if [ -n "${keep_cache-}" ]; then
    mkdir -m 0700 "$storage/sluice"
    mv "$storage/kept" "$storage/sluice/cache"
  fi
  sluice_start "$@"
  await_daemon
  for log in registry other remote; do : >"$node/$log.log"; done
  sluice_log_mark
}

pull_by() { # CLIENT REFERENCE
  case $1 in
    plain_pull) "$plain_pull" "$node/containerd.sock" "$CONTAINERD_NAMESPACE" sluice "$2" "$hosts_dir" ;;
    sluicectl)
      "$SLUICECTL" pull "$2" --address "$node/containerd.sock" --namespace "$CONTAINERD_NAMESPACE" --no-cache \
        --hosts-dir "$hosts_dir"
      ;;
  esac
}

node_up "$(node_image small-gzip)"
ip addr add 10.1.2.1/24 dev to-registry
nsenter -t "$remote_pid" -n ip addr add 10.1.2.3/24 dev eth0
second_registry "$OTHER_REGISTRY" other
second_registry 172.30.0.1:5001 remote
hosts_dir=$node/certs.d
mkdir -p "$hosts_dir/$REMOTE_REGISTRY"
printf 'server = "https://%s"\n[host."http://172.30.0.1:5001"]\n  capabilities = ["pull", "resolve"]\n' \
  "$REMOTE_REGISTRY" >"$hosts_dir/$REMOTE_REGISTRY/hosts.toml"

mapfile -t layers < <(layer_digests "$LAYOUT")
top=$(chain_ids "$LAYOUT" | tail -n 1)
umoci unpack --image "$LAYOUT:1" "$storage/umoci" >"$node/umoci.log" 2>&1 || fail "umoci: $(tail -n 1 "$node/umoci.log")"
cat "$decided/small-umoci" "$decided/small-overlay" >"$node/decided-overlay-umoci"
# The ports: containerd does not say them.
sluice_config=$(printf '[registry]\nhosts_dir = "%s"\nlocal_registries = ["%s", "%s"]' "$hosts_dir" "$REGISTRY" \
  "$OTHER_REGISTRY")
sluice_start
containerd_start

for client in plain_pull sluicectl; do
  node_case "$client: $REGISTRY, no store: every layer is streamed, once"
  fresh
  pull_by $client "$REGISTRY/app:1"
  expect_phrase "$STREAM_PHRASE" "store=$REGISTRY/app kind=registry"
  expect_each_blob_asked registry 1
  expect_tree_right
  [ -z "$(find "$storage/sluice/cache/blobs" -type f 2>/dev/null)" ] || fail "something was written to the cache"

  node_case "$client: $OTHER_REGISTRY: the same from there"
  fresh
  pull_by $client "$OTHER_REGISTRY/app:1"
  expect_phrase "$STREAM_PHRASE" "store=$OTHER_REGISTRY/app kind=registry"
  expect_each_blob_asked other 1
  expect_each_blob_asked registry 0
  expect_tree_right

  node_case "$client: $OTHER_REGISTRY with its layout on this host: no blob is asked for"
  fresh "$LAYOUT"
  pull_by $client "$OTHER_REGISTRY/app:1"
  expect_phrase "$LAYOUT_PHRASE" "store=$LAYOUT kind=oci-layout"
  expect_each_blob_asked other 0
  expect_tree_right

  node_case "$client: $REMOTE_REGISTRY by hosts.toml: every layer through the cache, once"
  fresh
  pull_by $client "$REMOTE_REGISTRY/app:1"
  expect_phrase "$CACHED_PHRASE" "store=$REMOTE_REGISTRY/app kind=registry"
  expect_each_blob_asked remote 1
  expect_tree_right

  node_case "$client: $REMOTE_REGISTRY again, from the cache: no blob is asked for"
  keep_cache=1 fresh
  pull_by $client "$REMOTE_REGISTRY/app:1"
  expect_phrase "$CACHED_PHRASE" "kind=cache"
  expect_each_blob_asked remote 0
  expect_tree_right
done

node_case "a damaged blob in the cache is dropped and fetched again"
damaged=${layers[1]}
blob=$storage/sluice/cache/blobs/${damaged/://}
size=$(stat -c %s "$blob")
byte=$(od -An -tu1 -j $((size / 2)) -N1 "$blob")
chmod u+w "$blob"
printf "\\x$(printf %02x $((byte ^ 1)))" | dd of="$blob" bs=1 seek=$((size / 2)) conv=notrunc status=none
keep_cache=1 fresh
pull_by plain_pull "$REMOTE_REGISTRY/app:1"
sluice_log | grep '^W' | grep -F "not used: " | grep -qF "$damaged" || fail "the damaged blob is not named"
[ "$(blob_requests remote | wc -l)" = 1 ] || fail "asked for: $(blob_requests remote)"
expect_tree_right
[ "sha256:$(sha256sum "$blob" | cut -d' ' -f1)" = "$damaged" ] || fail "the cache still has the damaged blob"

node_case "a port that nobody has named is left to containerd, with the mend"
sluice_config=''
fresh
pull_by plain_pull "$OTHER_REGISTRY/app:1"
sluice_log | grep -F "$DEFER_PHRASE" | grep -qF "registry.local_registries" || fail "no mend: $(sluice_log | tail -n 3)"
expect_each_blob_asked other 1
