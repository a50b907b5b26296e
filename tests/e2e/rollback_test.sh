#!/usr/bin/env bash
# The way back to overlayfs: `sluicectl rollback` makes every image usable there, or says why not, whatever goes wrong on
# the way; running containers go on.
#   rollback_test.sh DAEMON SLUICECTL LIST_TREE PLAIN_PULL
set -euo pipefail
. tests/e2e/lib.sh
node_isolate "$0" "$@"
. tests/e2e/snapshotter_lib.sh
. tests/e2e/content_lib.sh
node_programs "$1" "$2"
list_tree=$(readlink -f "$3")
plain_pull=$(readlink -f "$4")

readonly SECOND=$CONTAINERD_NAMESPACE-2
readonly DEPENDENT_REF=$REGISTRY/dependent:1

pull() { "$plain_pull" "$node/containerd.sock" "${2:-$CONTAINERD_NAMESPACE}" sluice "$1" >/dev/null; } # REF [NAMESPACE]
# An empty cache of the test's own: the machine's may have anything.
mkdir "$storage/cache"
rollback() { "$SLUICECTL" rollback --config "$node/sluice.toml" --cache "$storage/cache" "$@"; }

# expect_exit CODE COMMAND...: its output is in $node/out and $node/err.
expect_exit() {
  local code=$1 status=0
  shift
  "$@" >"$node/out" 2>"$node/err" || status=$?
  [ "$status" = "$code" ] || fail "exit code $status, not $code: $(cat "$node/out" "$node/err")"
}
# expect_refused CODE CAUSE COMMAND...: nothing on stdout, one line on stderr.
expect_refused() {
  expect_exit "$1" "${@:3}"
  [ ! -s "$node/out" ] || fail "on stdout: $(cat "$node/out")"
  [ "$(wc -l <"$node/err")" = 1 ] || fail "not one line: $(cat "$node/err")"
  grep -qF -- "$2" "$node/err" || fail "not '$2': $(cat "$node/err")"
  note "$(cut -c1-160 "$node/err")"
}
# expect_said TEXT: a line of the output has it.
expect_said() { grep -qF -- "$1" "$node/out" || fail "not '$1': $(cat "$node/out" "$node/err")"; }

# everything: what containerd has in all namespaces, to compare.
everything() {
  local name
  for name in $(ctr -a "$node/containerd.sock" namespaces ls -q); do
    ctr -a "$node/containerd.sock" -n "$name" images ls
    ctr -a "$node/containerd.sock" -n "$name" content ls | sed 1d | awk '{ print $1 }' | sort
    ctr -a "$node/containerd.sock" -n "$name" snapshots --snapshotter sluice ls | sort
    ctr -a "$node/containerd.sock" -n "$name" leases ls
  done
}
expect_unchanged() { # COMMAND...
  everything >"$node/before"
  "$@"
  everything | diff "$node/before" - >&2 || fail "something was changed"
}

run_forever() { in_containerd run -d --snapshotter sluice "$REF" "$1" sleep infinity >/dev/null; } # ID
expect_running() { # ID
  [ "$(in_containerd tasks exec --exec-id "exec-$RANDOM" "$1" cat /proc/1/comm)" = sleep ] || fail "$1 does not run"
  in_containerd tasks exec --exec-id "exec-$RANDOM" "$1" sh -c 'ls /usr/bin | wc -l' | grep -qE '^[0-9]{2,}' ||
    fail "$1 does not see its files"
}
stop_container() { # ID
  in_containerd tasks kill -s KILL "$1"
  wait_until 10 "the task $1 does not end" eval "in_containerd tasks ls | grep -qE '^$1 .*STOPPED'"
  in_containerd tasks rm "$1" >/dev/null
}

# fresh [STORE...]: nothing in containerd, a daemon that has nothing, both images pulled.
fresh() {
  forget_images
  sluice_stop
  rm -rf "${root_directory:?}"
  sluice_start "$@"
  await_daemon
  pull "$REF"
}

node_up "$(node_image small-gzip)"
dependent=$storage/dependent-gzip
dependent_layout "$dependent" 5
push "$dependent" "$DEPENDENT_REF"
mapfile -t layers < <(layer_digests "$LAYOUT")

node_case "containerd is not there, a namespace is not, a snapshotter has no images"
sluice_start "$LAYOUT" "$dependent"
expect_refused 7 "$node/containerd.sock" rollback
expect_refused 7 "$node/absent.sock" rollback --address "$node/absent.sock" --dry-run
containerd_start
pull "$REF"
expect_refused 3 "no namespace nowhere" rollback --namespace nowhere
expect_refused 3 "no such directory" "$SLUICECTL" rollback --config "$node/sluice.toml" --cache "$node/absent"
expect_exit 2 rollback --snapshotter 'a"b'
expect_exit 0 rollback --snapshotter overlayfs
grep -qF "no image was unpacked with overlayfs" "$node/err" || fail "$(cat "$node/err")"

node_case "--dry-run says what is missing and where it would come from, and changes nothing"
pull "$DEPENDENT_REF"
pull "$REF" "$SECOND"
expect_incomplete "$REF"
run_forever before
expect_unchanged expect_exit 0 rollback --dry-run
expect_said "$CONTAINERD_NAMESPACE $REF: would fetch ${#layers[@]} blobs, "
expect_said "from store=$LAYOUT kind=oci-layout"
expect_said "$CONTAINERD_NAMESPACE $DEPENDENT_REF: would fetch 5 blobs, "
expect_said "$SECOND $REF: would fetch"
cat "$node/out"
expect_unchanged expect_exit 0 rollback --dry-run --json --namespace "$SECOND"
[ "$(jq -c '[.dryRun, .schema, (.images | length), .images[0].action, .images[0].missing]' "$node/out")" = \
  "[true,1,1,\"fetch\",${#layers[@]}]" ] || fail "$(cat "$node/out")"
[ "$(jq '.images[0].bytes' "$node/out")" = "$(jq '[.layers[].size] | add' "$(layout_manifest "$LAYOUT")")" ] || fail "$(cat "$node/out")"

node_case "rollback, needing no daemon, and once more"
sluice_stop
expect_exit 0 rollback
expect_said "$CONTAINERD_NAMESPACE $REF: fetched ${#layers[@]} blobs, "
expect_said "$SECOND $REF: fetched ${#layers[@]} blobs, "
grep -F "$SECOND $REF" "$node/out" | grep -qF "from containerd" || fail "one copy is enough: $(cat "$node/out")"
cat "$node/out"
expect_whole "$REF" "$LAYOUT"
expect_whole "$DEPENDENT_REF" "$dependent"
no_leases || fail "a lease is left"
collect_garbage
expect_whole "$REF" "$LAYOUT"
sluice_start "$LAYOUT" "$dependent"
await_daemon
expect_unchanged expect_exit 0 rollback
[ "$(grep -c ': whole$' "$node/out")" = 3 ] || fail "$(cat "$node/out")"

node_case "under overlayfs, with the plugin gone; a container of before goes on"
sluice_stop
containerd_stop
sed -i '/proxy_plugins/,$d' "$node/containerd.toml"
containerd --config "$node/containerd.toml" >>"$node/containerd.log" 2>&1 &
containerd_pid=$!
wait_until 20 "containerd does not serve" in_containerd version
in_containerd plugins ls | grep -qw sluice && fail "the plugin is still there"
registry_stop
said=$(in_containerd run --rm --snapshotter overlayfs "$REF" after) || fail "the image does not run"
[[ $said == "hello from "* ]] || fail "the container said '$said'"
mkdir "$node/theirs"
ctr -a "$node/containerd.sock" -n "$SECOND" images mount --snapshotter overlayfs "$REF" "$node/theirs" >/dev/null ||
  fail "the image of the second namespace can't be mounted"
ctr -a "$node/containerd.sock" -n "$SECOND" images unmount --snapshotter overlayfs --rm "$node/theirs" >/dev/null
expect_running before
stop_container before
in_containerd containers rm before 2>/dev/null && fail "containerd removed a snapshot of a plugin that is not there"
in_containerd containers rm --keep-snapshot before
rm -rf "${root_directory:?}"
said=$(in_containerd run --rm --snapshotter overlayfs "$REF" again) || fail "the image does not run without our root"
registry_start
containerd_stop
containerd_start
sluice_start "$LAYOUT"
await_daemon
forget_images
ctr -a "$node/containerd.sock" -n "$SECOND" images rm --sync "$REF" >/dev/null

node_case "interrupted by Ctrl-C, it leaves no lease, and the next one goes on"
fresh "$LAYOUT"
mv "$LAYOUT" "$LAYOUT-away"
: >"$node/registry.log"
{ cat "$node/sluice.toml"; limit_downloads 4MiB; } >"$node/slow.toml"
env --default-signal=INT "$SLUICECTL" rollback --config "$node/slow.toml" --cache "$storage/cache" \
  >"$node/out" 2>"$node/err" &
roller=$!
wait_until 60 "nothing is downloaded: $(cat "$node/err")" half_done
wait_until 60 "no byte arrives" bytes_arrive
kill -INT "$roller"
status=0
wait "$roller" || status=$?
[ "$status" = 130 ] || fail "exit code $status: $(cat "$node/err")"
no_leases || fail "a lease is left"
half_done || fail "what was downloaded is gone"
expect_exit 0 rollback
expect_said "from store=172.30.0.1:5000/app kind=registry"
mv "$LAYOUT-away" "$LAYOUT"
registry_layer_requests | grep -q ' 206 ' || fail "it began anew: $(registry_layer_requests)"
expect_whole "$REF" "$LAYOUT"

node_case "a registry that is down is no reason to remove an image"
fresh "$LAYOUT"
mv "$LAYOUT" "$LAYOUT-away"
registry_stop
for flag in --dry-run --json; do
  expect_unchanged expect_exit 7 rollback "$flag"
done
[ "$(jq -r '.images[0].action' "$node/out")" = fail ] || fail "$(cat "$node/out")"
grep -qF "1 of 1 images not ready for another snapshotter: $REF: " "$node/err" || fail "$(cat "$node/err")"
registry_start

node_case "no source has a blob: the image goes, but not under a container"
blob=$(find "$storage/registry" -path "*/${layers[0]#sha256:}/data")
mv "$blob" "$node/blob"
run_forever user
expect_unchanged expect_exit 1 rollback --dry-run
expect_said "kept, remove container user and run this again: "
expect_exit 1 rollback
expect_said "kept, remove container user and run this again: "
[ -n "$(in_containerd images ls -q "name==$REF")" ] || fail "the image of a container was removed"
expect_running user
stop_container user
in_containerd containers rm user
expect_unchanged expect_exit 0 rollback --dry-run
expect_said "would remove the image, the next start pulls it: "
expect_exit 0 rollback
expect_said "removed the image, the next start pulls it: "
cat "$node/out"
[ -z "$(in_containerd images ls -q)" ] || fail "the image is still there"
[ -z "$(in_containerd content ls -q)" ] || fail "blobs outlive the image"
mv "$node/blob" "$blob"
in_containerd images pull --plain-http --snapshotter overlayfs "$REF" >/dev/null || fail "the next pull fails"
mv "$LAYOUT-away" "$LAYOUT"

node_case "containerd's disk is full"
forget_images
sluice_stop
containerd_stop
rm -rf "$storage/containerd"
mkdir "$storage/containerd"
mount -t tmpfs -o size=24m containerd "$storage/containerd"
rm -rf "${root_directory:?}"
sluice_start "$LAYOUT"
containerd_start
await_daemon
pull "$REF"
expect_refused 6 "o space left on device" rollback
no_leases || fail "a lease is left"
mount -o remount,size=1g "$storage/containerd"
expect_exit 0 rollback
expect_whole "$REF" "$LAYOUT"
forget_images
sluice_stop
containerd_stop
umount "$storage/containerd"
