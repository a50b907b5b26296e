#!/usr/bin/env bash
# The node of lib.sh without the product: what the other e2e tests take for granted, and that nothing stays behind.
set -euo pipefail
. tests/e2e/lib.sh

# What a node writes as its test.xml is not this test's.
unset XML_OUTPUT_FILE

# Looks at what the machine has more of after one node that ends well, one that fails and one that is killed.
machine_state() {
  cat /proc/self/mounts
  ls /run /run/netns /sys/fs/cgroup /sys/fs/cgroup/systemd /var/tmp "${TEST_TMPDIR:-/var/tmp}" 2>/dev/null || true
  ip -o link show | cut -d: -f2
}

leaves_nothing_behind() {
  local before victim
  before=$(machine_state)
  bash "$0" works
  ! bash "$0" fails 2>/dev/null || { echo "FAIL: a failing node ended with 0" >&2; return 1; }
  bash "$0" hangs &
  victim=$!
  until pgrep -f "sleep 7777.$victim" >/dev/null; do
    kill -0 "$victim" || { echo "FAIL: the node to be killed ended by itself" >&2; return 1; }
    sleep 0.05
  done
  kill -KILL "$victim"
  wait "$victim" 2>/dev/null || true
  while pgrep -f "sleep 7777.$victim" >/dev/null; do sleep 0.05; done
  [ "$before" = "$(machine_state)" ] ||
    { echo "FAIL: left behind:" >&2; diff <(echo "$before") <(machine_state) >&2; return 1; }
}

if [ $# = 0 ]; then
  node_image small-gzip >/dev/null
  leaves_nothing_behind || exit 1
  exit 0
fi

node_isolate "$0" "$@"
case $1 in
  fails) fail "on purpose" ;;
  hangs)
    node_up "$(node_image small-gzip)"
    containerd_start
    sleep "7777.$SLUICE_NODE_INSIDE"
    ;;
  works)
    node_up "$(node_image small-gzip)"
    containerd_start
    [ -z "$(registry_layer_requests)" ] || fail "the push is counted as a pull"
    in_containerd images pull --plain-http "$REF" >/dev/null
    [ "$(registry_layer_requests | wc -l)" = "$(layer_count "$LAYOUT")" ] || fail "the registry's log misses layers"
    mount_view overlayfs "$(chain_ids "$LAYOUT" | tail -n 1)" "$node/view"
    [ -x "$node/view/srv/app/hello" ] || fail "the view has no hello"
    unmount_view overlayfs "$(chain_ids "$LAYOUT" | tail -n 1)" "$node/view"
    [[ $(in_containerd run --rm "$REF" c) == "hello from Debian"* ]] || fail "the container does not say hello"
    forget_images
    [ -z "$(in_containerd snapshots ls | sed 1d)" ] || fail "snapshots outlive their image"
    ;;
esac
