#!/usr/bin/env bash
# A plugin that has lost its root: containerd still has records of what is gone, and every pull of those images fails,
# until `sluicectl repair`.
#   repair_test.sh DAEMON SLUICECTL LIST_TREE PLAIN_PULL
set -euo pipefail
. tests/e2e/lib.sh
node_isolate "$0" "$@"
. tests/e2e/snapshotter_lib.sh
node_programs "$1" "$2"
list_tree=$(readlink -f "$3")
plain_pull=$(readlink -f "$4")

readonly DEPENDENT_REF=$REGISTRY/dependent:1

pull() { "$plain_pull" "$node/containerd.sock" "$CONTAINERD_NAMESPACE" sluice "$1"; } # REF
repair() { "$SLUICECTL" repair --config "$node/sluice.toml" "$@"; }

expect_exit() { # CODE COMMAND...
  local code=$1 status=0
  shift
  "$@" >"$node/out" 2>"$node/err" || status=$?
  [ "$status" = "$code" ] || fail "exit code $status, not $code: $(cat "$node/out" "$node/err")"
}
expect_said() { grep -qF -- "$1" "$node/out" || fail "not '$1': $(cat "$node/out" "$node/err")"; }
expect_error() { grep -qF -- "$1" "$node/err" || fail "not '$1': $(cat "$node/out" "$node/err")"; }

wipe() {
  sluice_stop
  rm -rf "${root_directory:?}"
  sluice_start "$LAYOUT" "$dependent"
  await_daemon
  sluice_log_mark
}

expect_pull_fails() { # REF
  local answer
  answer=$(pull "$1" 2>&1) && fail "the pull of $1 works"
  grep -qF "already exists" <<<"$answer" || fail "$answer"
  note "$(tail -n 1 <<<"$answer" | cut -c1-160)"
}
expect_pull_works() { # REF LAYOUT TREE
  pull "$1" >/dev/null || fail "the pull of $1 fails"
  [ "$(count_phrase "$LAYOUT_PHRASE")" -ge "$(layer_count "$2")" ] || fail "$(count_phrase "$LAYOUT_PHRASE") layers from the layout"
  expect_tree sluice "$(chain_ids "$2" | tail -n 1)" "$3"
  expect_no_strays
}

node_up "$(node_image small-gzip)"
dependent=$storage/dependent-gzip
dependent_layout "$dependent" 5
push "$dependent" "$DEPENDENT_REF"
"$SLUICECTL" unpack "$REF" "$LAYOUT-tree" --layout "$LAYOUT"
"$SLUICECTL" unpack "$DEPENDENT_REF" "$dependent-tree" --layout "$dependent"
sluice_start "$LAYOUT" "$dependent"

node_case "containerd is not there, the snapshotter is not in its configuration, the daemon does not run"
expect_exit 7 repair
expect_error "$node/containerd.sock"
containerd_start
pull "$REF" >/dev/null
pull "$DEPENDENT_REF" >/dev/null
expect_exit 1 repair --snapshotter another
expect_error "another"
sluice_stop
expect_exit 7 repair
[ ! -s "$node/out" ] || fail "$(cat "$node/out")"
sluice_start "$LAYOUT" "$dependent"
await_daemon

node_case "nothing is lost: nothing is done"
expect_exit 0 repair
expect_error "nothing to repair"
expect_tree sluice "$(chain_ids "$LAYOUT" | tail -n 1)" "$LAYOUT-tree"

node_case "a wiped root: pulls fail, --dry-run says what to do and does nothing"
wipe
expect_pull_fails "$REF"
expect_exit 0 repair --dry-run
expect_said "$CONTAINERD_NAMESPACE image $REF: $(layer_count "$LAYOUT") snapshots lost, would forget them"
expect_said "$CONTAINERD_NAMESPACE image $DEPENDENT_REF: 5 snapshots lost, would forget them"
cat "$node/out"
expect_pull_fails "$REF"
expect_exit 0 repair --dry-run --json
[ "$(jq -c '[.dryRun, (.owners | map(.kind) | unique), (.owners | map(.removed) | all)]' "$node/out")" = '[true,["image"],true]' ] ||
  fail "$(cat "$node/out")"

node_case "repair, and the next pulls work"
expect_exit 0 repair
expect_said "$REF: $(layer_count "$LAYOUT") snapshots lost, forgot them: the next pull brings the layers again"
expect_exit 0 repair
expect_error "nothing to repair"
sluice_log_mark
expect_pull_works "$REF" "$LAYOUT" "$LAYOUT-tree"
sluice_log_mark
expect_pull_works "$DEPENDENT_REF" "$dependent" "$dependent-tree"
said=$(in_containerd run --rm --snapshotter sluice "$REF" after) || fail "the container does not run"
[[ $said == "hello from "* ]] || fail "the container said '$said'"

node_case "a container keeps what it uses, by name, until it is removed"
in_containerd containers create --snapshotter sluice "$REF" "user"
wipe
expect_exit 1 repair --dry-run
cp "$node/out" "$node/dry"
expect_exit 1 repair
expect_said "image $REF: $(layer_count "$LAYOUT") snapshots lost, kept: container user uses it"
expect_said "container user: 1 snapshot lost, its file system: stop and remove the container (ctr -n $CONTAINERD_NAMESPACE containers rm user"
expect_said "image $DEPENDENT_REF: 5 snapshots lost, forgot them"
cat "$node/out"
[ "$(sed 's/would forget/forgot/' "$node/dry")" = "$(cat "$node/out")" ] || fail "--dry-run said something else: $(cat "$node/dry")"
expect_pull_works "$DEPENDENT_REF" "$dependent" "$dependent-tree"
in_containerd containers rm user
expect_exit 0 repair
sluice_log_mark
expect_pull_works "$REF" "$LAYOUT" "$LAYOUT-tree"

node_case "what an unfinished pull holds is forgotten, too"
forget_images
mapfile -t chain < <(chain_ids "$dependent")
top_blob=$dependent/blobs/$(layer_digests "$dependent" | tail -n 1 | tr : /)
mv "$top_blob" "$node/blob"
kill -STOP "$sluice_pid" # the first Prepare waits: the manifest is there, no layer is
"$plain_pull" "$node/containerd.sock" "$CONTAINERD_NAMESPACE" sluice "$DEPENDENT_REF" >/dev/null 2>&1 &
puller=$!
config_is_stored() { in_containerd content ls -q | grep -qF "$(config_digest "$dependent")"; }
wait_until 20 "the client does not fetch the config" config_is_stored
kill -STOP "$registry_pid" # the top layer never comes
kill -CONT "$sluice_pid"
wait_until 20 "the layers below the top don't come" in_containerd snapshots --snapshotter sluice info "${chain[3]}"
kill -KILL "$puller"
wait "$puller" 2>/dev/null || true
kill -CONT "$registry_pid"
mv "$node/blob" "$top_blob"
lease=$(in_containerd leases ls -q)
wipe
expect_pull_fails "$DEPENDENT_REF"
expect_exit 0 repair
expect_said "$CONTAINERD_NAMESPACE pull $lease: 4 snapshots lost, forgot them"
expect_pull_works "$DEPENDENT_REF" "$dependent" "$dependent-tree"
