#!/usr/bin/env bash
# Layers that we brought, as containerd's metadata and its garbage collection see them: shared by namespaces and by images,
# removed in any order, interrupted at any moment, forgotten by one side.
#   remote_flow_test.sh DAEMON SLUICECTL LIST_TREE PLAIN_PULL
# KILL_MOMENTS: at how many moments of a pull containerd is killed; default 8.
set -euo pipefail
. tests/e2e/lib.sh
node_isolate "$0" "$@"
. tests/e2e/snapshotter_lib.sh
node_programs "$1" "$2"
list_tree=$(readlink -f "$3")
plain_pull=$(readlink -f "$4")

readonly OTHER_NAMESPACE=$CONTAINERD_NAMESPACE-other
kill_moments=${KILL_MOMENTS:-8}

in_namespace() { ctr -a "$node/containerd.sock" -n "$@"; }            # NAMESPACE COMMAND...
pull() { "$plain_pull" "$node/containerd.sock" "${2:-$CONTAINERD_NAMESPACE}" sluice "$1" >/dev/null; } # REF [NAMESPACE]

# --- three images with layers in common: "tall" is all ten, "half" the lower five and one of its own, "base" the lowest ---

readonly IMAGES=(tall half base)
reference_of() { echo "$REGISTRY/$1:1"; }
layout_of() { echo "$storage/$1-gzip"; }
tree_of() { echo "$storage/$1-tree"; }
top_of() { chain_ids "$(layout_of "$1")" | tail -n 1; }

make_layout() { # IMAGE TAR...
  local tar layout
  layout=$(layout_of "$1")
  layout_begin "$layout"
  for tar in "${@:2}"; do layout_add_layer "$tar" "$(basename "$tar")" "$layout"; done
  layout_finish "$layout" 1 '{}'
  push "$layout" "$(reference_of "$1")"
  "$SLUICECTL" unpack "$(reference_of "$1")" "$(tree_of "$1")" --layout "$layout"
}

make_images() {
  local tars=$storage/tars
  mkdir "$tars" "$tars/own"
  dependent_tars "$tars" 10
  echo own >"$tars/own/file"
  tar -C "$tars/own" -cf "$tars/own.tar" file
  make_layout tall "$tars"/0?.tar
  make_layout half "$tars"/0[0-4].tar "$tars/own.tar"
  make_layout base "$tars/00.tar"
}

start_daemon() { sluice_start "$LAYOUT" "$(layout_of tall)" "$(layout_of half)" "$(layout_of base)"; }

expect_image() { expect_tree sluice "$(top_of "$1")" "$(tree_of "$1")"; }

# --- what is in use ---

in_use() { echo "$(ls "$root_directory/snapshots" | wc -l) directories, $(disk_use) KiB"; }
# The directory of an unfinished layer, and that of the database's own files, come and go.
is_empty_again() { [ -z "$(ls "$root_directory/snapshots")" ] && no_leftovers; }
expect_empty_again() {
  wait_until 60 "$(in_use) are left" is_empty_again
  expect_no_strays
}

# What a client that was killed holds for a day.
forget_leases() {
  local lease
  for lease in $(in_containerd leases ls -q); do in_containerd leases rm --sync "$lease" >/dev/null || fail "lease $lease stays"; done
}

node_network
registry_start
node_push "$(node_image small-gzip)"
make_images
top=$(chain_ids "$LAYOUT" | tail -n 1)
expected=$storage/expected
"$SLUICECTL" unpack "$REF" "$expected" --layout "$LAYOUT"
start_daemon
containerd_start

node_case "two namespaces share what is on the disk; garbage collection in one does not harm the other"
sluice_log_mark
pull "$REF"
one=$(disk_use) fills=$(count_phrase "$LAYOUT_PHRASE")
pull "$REF" "$OTHER_NAMESPACE"
two=$(disk_use)
[ $((two - one)) -lt 64 ] || fail "the second namespace took $((two - one)) KiB beside $one KiB"
[ "$(count_phrase "$LAYOUT_PHRASE")" = "$fills" ] || fail "layers were filled again for the second namespace"
forget_images
[ -z "$(in_containerd snapshots --snapshotter sluice ls | sed 1d)" ] || fail "the first namespace still has snapshots"
[ "$(disk_use)" -ge "$one" ] || fail "the collection in one namespace took what the other has: $one, now $(disk_use) KiB"
in_namespace "$OTHER_NAMESPACE" run --rm --snapshotter sluice "$REF" container-of-other >/dev/null ||
  fail "the other namespace's image does not run"
sluice_log_mark
pull "$REF"
[ "$(count_phrase "$LAYOUT_PHRASE")" = 0 ] || fail "layers were filled again for the first namespace"
expect_tree sluice "$top" "$expected"
note "one namespace $one KiB, two $two KiB"
in_namespace "$OTHER_NAMESPACE" images rm --sync "$REF" >/dev/null
expect_tree sluice "$top" "$expected"
forget_images
expect_empty_again

node_case "images with layers in common, removed in any order"
for order in "tall half base" "tall base half" "half tall base" "half base tall" "base tall half" "base half tall"; do
  for image in "${IMAGES[@]}"; do pull "$(reference_of "$image")"; done
  left=" ${IMAGES[*]} "
  for image in $order; do
    in_containerd images rm --sync "$(reference_of "$image")" >/dev/null
    left=${left/ $image / }
    for other in $left; do expect_image "$other"; done
  done
  expect_empty_again
done

node_case "containerd killed at $kill_moments moments of a pull"
pull_tall() { pull "$(reference_of tall)"; }
began=$(date +%s%N)
pull_tall
milliseconds=$((($(date +%s%N) - began) / 1000000))
forget_images
for ((moment = 1; moment <= kill_moments; ++moment)); do
  pull_tall 2>"$node/interrupted.log" &
  puller=$!
  # A moment is a share of the time that a whole pull takes.
  sleep "$(awk "BEGIN { print $milliseconds * $moment / $kill_moments / 1000 }")"
  kill -KILL "$containerd_pid"
  wait "$containerd_pid" 2>/dev/null || true
  containerd_start
  # Only now: a client that is connecting waits for a containerd without end.
  outcome=finished
  wait "$puller" 2>/dev/null || outcome=$(tail -n 1 "$node/interrupted.log" | cut -c1-120)
  note "after $((milliseconds * moment / kill_moments)) ms: $outcome; containerd has $(in_containerd snapshots --snapshotter sluice ls | sed 1d | wc -l) snapshots"
  expect_alive
  expect_no_strays
  pull_tall || fail "moment $moment: the pull cannot be repeated"
  expect_image tall
  forget_images
  forget_leases
  expect_empty_again
done

node_case "the plugin is wiped while containerd remembers: what a pull says is the cure"
pull_tall
sluice_stop
rm -rf "${root_directory:?}"
start_daemon
await_daemon
answer=$(pull_tall 2>&1) && fail "a pull works over records of what is gone"
grep -qF "already exists" <<<"$answer" || fail "$answer"
"$SLUICECTL" repair --config "$node/sluice.toml" >/dev/null
pull_tall
expect_image tall

node_case "containerd has lost its metadata: its garbage collection empties ours, and everything works anew"
containerd_stop
rm -rf "$storage/containerd/io.containerd.metadata.v1.bolt" "$storage/containerd/io.containerd.content.v1.content"
containerd_start
# Any collection does it; one follows a removal.
pull "$(reference_of base)"
forget_images
expect_empty_again
pull_tall
expect_image tall

node_case "a second containerd on our socket: each of its calls is refused, the first one's images stay"
second_containerd() { # COMMAND...
  ctr -a "$node/second.sock" -n "$CONTAINERD_NAMESPACE" "$@"
}
second_config=$node/second.toml
sed -e "s|^root = .*|root = \"$storage/second\"|; s|^state = .*|state = \"/run/second\"|" \
  -e "s|$node/containerd.sock|$node/second.sock|" "$node/containerd.toml" >"$second_config"
printf '[ttrpc]\n  address = "%s"\n' "$node/second-ttrpc.sock" >>"$second_config"
before=$(in_use)
sluice_log_mark
containerd --config "$second_config" >>"$node/second.log" 2>&1 &
second_pid=$!
wait_until 20 "the second containerd does not serve" second_containerd version
refused_by_screen() { # COMMAND...
  local answer
  answer=$("$@" 2>&1) && fail "$* was not refused"
  grep -qF "belongs to the containerd at $node/containerd.sock, and to no other" <<<"$answer" || fail "$*: $answer"
}
refused_by_screen "$plain_pull" "$node/second.sock" "$CONTAINERD_NAMESPACE" sluice "$(reference_of tall)"
refused_by_screen second_containerd snapshots --snapshotter sluice prepare of-the-second
sluice_log | grep -qF "refusing the containerd with PID $second_pid" || fail "the log does not name it"
[ "$(in_use)" = "$before" ] || fail "before: $before; now: $(in_use)"
expect_image tall

node_case "a second containerd that comes while the first is down is refused, too; the first one is served when it is back"
stop_process "$second_pid"
containerd_stop
containerd --config "$second_config" >>"$node/second.log" 2>&1 &
second_pid=$!
wait_until 20 "the second containerd does not serve" second_containerd version
refused_by_screen second_containerd snapshots --snapshotter sluice prepare of-the-second
containerd_start
expect_image tall
refused_by_screen second_containerd snapshots --snapshotter sluice prepare of-the-second
stop_process "$second_pid"
[ "$(in_use)" = "$before" ] || fail "before: $before; now: $(in_use)"

node_case "another containerd at the address, with another UUID: refused, nothing is removed"
before=$(in_use)
containerd_stop
sluice_stop
mv "$storage/containerd" "$storage/first-containerd"
sluice_log_mark
start_daemon
containerd_start
is_refused() { sluice_log | grep -F 'refusing all calls: ' | grep -qF "$node/containerd.sock"; }
wait_until 20 "the other containerd is not refused" is_refused
answer=$(pull_tall 2>&1) && fail "the other containerd pulls"
grep -qF "belongs to the one with UUID" <<<"$answer" || fail "$answer"
forget_images
wait_until 20 "containerd's snapshots do not end" in_containerd content prune references
[ "$(in_use)" = "$before" ] || fail "before: $before; now: $(in_use)"
containerd_stop
rm -rf "$storage/containerd"
mv "$storage/first-containerd" "$storage/containerd"
containerd_start
is_served() { sluice_log | grep -qF 'serving the containerd with UUID'; }
wait_until 60 "the first containerd is not served again" is_served
expect_image tall
forget_images
expect_empty_again
