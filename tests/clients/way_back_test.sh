#!/usr/bin/env bash
# The way back to overlayfs on a node of pods, as docs/rollback.md tells it, word for word: pods of before run until they are
# stopped, every image starts again without a registry, and nothing of ours is left.
#   way_back_test.sh DAEMON SLUICECTL VERSION
set -euo pipefail
. tests/e2e/lib.sh
. "$repository/tests/corpora/oci_layout.sh"
. tests/clients/clients_lib.sh
. tests/clients/client_images.sh
node_isolate "$0" "$@"
node_programs "$1" "$2"

# Where each image is, and how sluice brings it. They have no layer in common.
declare -rA strategies=([here]=layout [lan]=stream [remote]=cached)
readonly SMALL_LAYERS=3
image_of() { ref_of "$1" "$([ "$1" = here ] && echo app:1 || echo small:1)"; } # CASE
layers_of() { [ "$1" = here ] && layer_count "$here_layout" || echo "$SMALL_LAYERS"; } # CASE
declare -A pods=() containers=()

# --- the page ---

# follow NAME [EXIT_CODE]: the page's commands, typed by root; $node/typed is what the last one printed.
follow() {
  local -a commands
  local command status
  mapfile -t commands < <(docs_block rollback "$1" | sed -n 's/^\$ sudo //p')
  [ ${#commands[@]} -gt 0 ] || fail "docs/rollback.md, '$1': no command"
  for command in "${commands[@]}"; do
    note "$command"
    status=0
    eval "$command" >"$node/typed" 2>"$node/typed.err" || status=$?
    [ "$status" = "${2:-0}" ] || fail "$command: exit code $status: $(cat "$node/typed" "$node/typed.err")"
  done
}

# What step 3 says in words.
set_back_to_overlayfs() {
  sed -i '/^\[plugins.*cri/,$ s/snapshotter = "sluice"/snapshotter = "overlayfs"/' /etc/containerd/config.toml
  grep -q 'snapshotter = "overlayfs"' /etc/containerd/config.toml || fail "CRI has no snapshotter to set back"
  [ "$page" != 2.x ] || {
    drop_tables '[[plugins."io.containerd.transfer.v1.local".unpack_config]]' '"sluice"'
    drop_tables '[proxy_plugins.sluice-diff]'
  }
}

# --- pods ---

snapshotter_of() { in_cri containers info "$1" | jq -r .Snapshotter; } # CONTAINER
in_cri() { ctr -n "$CRI_NAMESPACE" "$@"; }

# start NAME CASE SNAPSHOTTER: a pod of the case's image; both its containers are of this snapshotter.
start() {
  local ids pod container
  ids=$(cri run "$1-$2" "$(image_of "$2")" "/$CONTAINERD_NAMESPACE" sleep infinity 2>"$node/run.err") ||
    fail "$2 does not start: $(tail -n 3 "$node/run.err")"
  read -r pod container <<<"$ids"
  [ "$(snapshotter_of "$pod") $(snapshotter_of "$container")" = "$3 $3" ] || fail "$1 of $2 is not of $3"
  cri exec "$container" touch "/tmp/$1"
  pods[$1-$2]=$pod containers[$1-$2]=$container
  expect_unharmed "$1-$2" "at its start"
}

# expect_unharmed NAME WHEN: it runs programs of its image, and has what it has written.
expect_unharmed() {
  [[ $(cri exec "${containers[$1]}" /srv/app/hello) == "hello from "* ]] || fail "$1 is not what it was, $2"
  cri exec "${containers[$1]}" ls "/tmp/${1%-*}" >/dev/null || fail "$1 has lost its file, $2"
}
expect_all_unharmed() { # WHEN
  local name
  for name in "${!containers[@]}"; do expect_unharmed "$name" "$1"; done
}
stop() { # NAME
  cri stop "${pods[$1]}"
  unset "pods[$1]" "containers[$1]"
}

registries_away() { ip link set to-registry down; }
registries_back() { ip link set to-registry up; }
none_active() { in_cri snapshots --snapshotter sluice ls >"$node/snapshots" && ! grep Active "$node/snapshots"; }

# expect_nothing_of_ours: of what sluice has made on this node, beside the directory of its socket.
expect_nothing_of_ours() {
  local left
  # Not in images, which may have any names.
  left=$(find /etc /opt /var/lib /run "$HOME" \( -path "$node" -o -path /run/containerd-sluice-grpc -o -name fs -o -name rootfs \) \
    -prune -o -name '*sluice*' -print)
  [ -z "$left" ] || fail "left: $left"
  ! grep -F "$SLUICE_ROOT" /proc/self/mountinfo || fail "mounts are left"
  ! grep sluice /etc/containerd/config.toml || fail "containerd's configuration is not free of us"
  ! in_cri plugins ls | grep -w sluice || fail "the plugin is still there"
}

client_node "$3"
daemon_up
containerd_up docs
cri pull "$(ref_of here pause:1)" >/dev/null
for case in lan remote; do
  tiny_layout "$storage/$case-gzip" "$SMALL_LAYERS"
  push_to "$case" "$storage/$case-gzip" small:1
done

node_case "three images, pulled by CRI with sluice, and their pods run"
for case in "${!strategies[@]}"; do
  sluice_log_mark
  cri pull "$(image_of "$case")" >/dev/null
  expect_strategy "${strategies[$case]}" "$(layers_of "$case")"
  start before "$case" sluice
done

node_case "control: without the rollback none of them starts under overlayfs"
containerd_stop
cp /etc/containerd/config.toml "$node/sluice-config.toml"
set_back_to_overlayfs
containerd_run
registries_away
for case in "${!strategies[@]}"; do
  cri start "${pods[before-$case]}" control "$(image_of "$case")" sleep infinity >"$node/run.err" 2>&1 && fail "$case starts"
  note "$case: $(grep -m 1 -oE 'content digest sha256:[0-9a-f]{12}.*' "$node/run.err" || fail "$(cat "$node/run.err")")"
done
registries_back
containerd_stop
cp "$node/sluice-config.toml" /etc/containerd/config.toml
containerd_run
expect_all_unharmed "after the control"

node_case "step 1 and 2: what is missing, and its bytes"
follow list
for case in "${!strategies[@]}"; do
  grep -E "^$CRI_NAMESPACE $(image_of "$case"), .*: would fetch " "$node/typed" >/dev/null || fail "$case is not listed: $(cat "$node/typed")"
done
follow fetch
for case in "${!strategies[@]}"; do
  grep -qE "^$CRI_NAMESPACE $(image_of "$case"), .*: fetched " "$node/typed" || fail "$case was not fetched: $(cat "$node/typed")"
done
in_cri images check | sed 1d | grep -v ' complete ' && fail "an image is not complete"
expect_all_unharmed "after the rollback"

node_case "step 3: overlayfs again, and every image starts without a registry"
set_back_to_overlayfs
follow restart
expect_all_unharmed "after containerd's restart"
registries_away
for case in "${!strategies[@]}"; do
  [[ $(cri status "$(image_of "$case")") == sha256:* ]] || fail "the kubelet would pull $case"
  start after "$case" overlayfs
  # A container that the kubelet starts again is in a pod of before.
  again=$(cri start "${pods[before-$case]}" "again-$case" "$(image_of "$case")" sleep infinity) || fail "$case does not start again"
  [ "$(snapshotter_of "$again")" = overlayfs ] || fail "$case starts again under $(snapshotter_of "$again")"
  [[ $(cri exec "$again" /srv/app/hello) == "hello from "* ]] || fail "$case is not what it was"
done

node_case "the daemon may stop meanwhile"
sluice_stop
expect_all_unharmed "without the daemon"
daemon_up
await_daemon

node_case "step 4: the old pods end"
for case in "${!strategies[@]}"; do stop "before-$case"; done
wait_until 30 "snapshots of sluice stay active" none_active
follow wait 1
[ "$(cat "$node/typed")" = 0 ] || fail "the page says 0: $(cat "$node/typed")"

node_case "step 5: nothing of ours is left, and pods of overlayfs go on, end and start"
drop_tables '[proxy_plugins.sluice'
follow remove
expect_nothing_of_ours
expect_all_unharmed "without sluice"
for case in "${!strategies[@]}"; do
  stop "after-$case"
  start again "$case" overlayfs
  stop "again-$case"
done
# containerd's records of sluice's snapshots are no obstacle.
forget_all
in_cri leases ls -q | grep . && fail "a lease is left"
in_cri content ls -q | grep . && fail "blobs outlive their images"
[ -z "$(in_cri snapshots --snapshotter overlayfs ls | sed 1d)" ] || fail "snapshots outlive their images"
