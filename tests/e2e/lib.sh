# shellcheck shell=bash
# A node of its own for a test: registry, containerd and sluice, real ones, which the machine never notices.
#
#   . tests/e2e/lib.sh
#   node_isolate "$0" "$@"                 re-executes the script in namespaces of its own (root)
#   node_programs DAEMON SLUICECTL         the binaries under test
#   node_up LAYOUT                         network, registry with app:1 pushed, layout of the registry at $LAYOUT
#   sluice_start [STORE...]; containerd_start
#   ...
#   node_case NAME                         starts a case; `fail TEXT` ends the test
#
# Isolation: mount, network, pid and ipc namespaces. What is mounted, listened on or started inside goes with the last
# process, also after SIGKILL: nothing needs to be found again and undone. /run is a fresh tmpfs, so that the host's
# containerd (shims of 1.6 use /run/containerd whatever the configuration) is neither seen nor touched. Beside it only
# the control group of the test's containerd namespace is visible outside; node_down removes it.
# "Another machine": the registry has a network namespace of its own and 172.30.0.1; this host is 172.30.0.2.

readonly REGISTRY=172.30.0.1:5000
readonly REF=$REGISTRY/app:1
readonly LAYOUT_PHRASE='using streaming unpack from layout for local registry image'

repository=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
SLUICE_CACHE=${SLUICE_CACHE:-$repository/.cache}
readonly repository SLUICE_CACHE

# --- results ---

current_case=''
declare -a finished_cases=()
failure=''

note() { echo "    $*"; }

fail() {
  failure=$*
  echo "FAIL: ${current_case:-setup}: $*" >&2
  exit 1
}

node_case() {
  [ -z "$current_case" ] || finished_cases+=("$current_case")
  current_case=$*
  echo "--- $*"
}

xml_escape() { sed -e 's/&/\&amp;/g' -e 's/</\&lt;/g' -e 's/>/\&gt;/g' -e 's/"/\&quot;/g' <<<"$1"; }

# Bazel's test.xml, so that cases are counted and not scripts.
write_xml() { # STATUS
  [ -n "${XML_OUTPUT_FILE-}" ] || return 0
  local name suite failures=0
  suite=$(xml_escape "${TEST_TARGET:-e2e}")
  [ "$1" = 0 ] || failures=1
  {
    echo '<?xml version="1.0" encoding="UTF-8"?>'
    echo "<testsuites><testsuite name=\"$suite\" tests=\"$((${#finished_cases[@]} + 1))\" failures=\"$failures\">"
    for name in "${finished_cases[@]}"; do
      echo "  <testcase name=\"$(xml_escape "$name")\" classname=\"$suite\"/>"
    done
    echo "  <testcase name=\"$(xml_escape "${current_case:-setup}")\" classname=\"$suite\">"
    [ "$1" = 0 ] || echo "    <failure message=\"$(xml_escape "${failure:-ended with status $1}")\"/>"
    echo "  </testcase></testsuite></testsuites>"
  } >"$XML_OUTPUT_FILE"
}

# --- pages ---

# docs_block PAGE NAME: the fenced block below the line "<!-- tested: NAME -->" of docs/PAGE.md.
docs_block() {
  awk -v mark="<!-- tested: $2 -->" '
    $0 == mark { found = 1; next }
    found && /^```/ { if (inside) exit; inside = 1; next }
    inside { print }
    END { if (!inside) exit 1 }' "$repository/docs/$1.md" || fail "docs/$1.md has no block '$2'"
}

# --- the node ---

# node_isolate SCRIPT ARG...: returns inside; the outer process becomes unshare(1), whose death kills everything.
node_isolate() {
  local script=$1
  shift
  if [ -z "${SLUICE_NODE_INSIDE-}" ]; then
    [ "$(id -u)" = 0 ] || { echo "$script: needs root (mounts, network namespaces)" >&2; exit 1; }
    SLUICE_NODE_INSIDE=$$ exec unshare --mount --net --pid --ipc --fork --kill-child --mount-proc \
      --propagation private bash "$script" "$@"
  fi
  trap 'node_down $?' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  mount -t tmpfs -o mode=0755,nr_inodes=0 sluice-run /run
  mkdir -p /run/lock /run/node
  node=/run/node
  node_storage
  ip link set lo up
}

# node_storage: $storage, where blobs and snapshots go: in memory if there is plenty beside what the test keeps at once
# ($storage_gib), and if tmpfs takes user.* attributes (Linux 6.6), else on the disk.
node_storage() {
  local free_kib size=${storage_gib:-8}
  storage=$node/storage
  free_kib=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)
  mkdir "$storage"
  mount -t tmpfs -o "mode=0755,nr_inodes=0,size=${size}g" sluice-storage "$storage"
  if [ "$free_kib" -le $(((size + 4) << 20)) ] || ! setfattr -n user.sluice -v 1 "$storage" 2>/dev/null; then
    umount "$storage"
    disk_storage=$(mktemp -d "${TEST_TMPDIR:-/var/tmp}/sluice-XXXXXX")
    storage=$disk_storage
  fi
}

node_programs() {
  DAEMON=$(readlink -f "$1")
  SLUICECTL=$(readlink -f "$2")
  [ -x "$DAEMON" ] || fail "$1 is not a program"
  [ -x "$SLUICECTL" ] || fail "$2 is not a program"
}

# node_image NAME: the directory of one of tests/corpora's images, made now if it never was.
node_image() {
  local set=small
  case $1 in big-* | fat-*) set=big ;; esac
  "$repository/tests/corpora/make_images.sh" "$set" >&2 || fail "the $set images could not be made"
  echo "$SLUICE_CACHE/images/$1"
}

# node_up LAYOUT_DIR [REF]: the network, a registry that has the image as app:1, and its layout on this host: $LAYOUT.
node_up() {
  node_network
  registry_start
  node_push "$@"
}

# node_push LAYOUT_DIR [REF]: the image becomes app:1 of the registry and all that is in $LAYOUT.
node_push() {
  LAYOUT=$storage/layout
  rm -rf "$LAYOUT"
  if [ "${2:-1}" = 1 ]; then
    cp -r "$1" "$LAYOUT"
  else
    skopeo --insecure-policy copy -q "oci:$1:$2" "oci:$LAYOUT:1" || fail "skopeo finds no $2 in $1"
  fi
  skopeo --insecure-policy copy -q --dest-tls-verify=false "oci:$LAYOUT:1" "docker://$REF" ||
    fail "skopeo could not push $1"
  # Only what is asked for from here on counts.
  : >"$node/registry.log"
}

node_network() {
  unshare --net sleep infinity &
  remote_pid=$!
  until [ "$(readlink "/proc/$remote_pid/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
  ip link add to-registry type veth peer name eth0 netns "$remote_pid"
  ip addr add 172.30.0.2/24 dev to-registry
  ip link set to-registry up
  nsenter -t "$remote_pid" -n sh -c 'ip link set lo up; ip addr add 172.30.0.1/24 dev eth0; ip link set eth0 up'
}

wait_until() { # SECONDS WHAT COMMAND...
  local tries=$(($1 * 20)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || fail "$what, after all the time it was given"
    sleep 0.05
  done
}

stop_process() { # PID
  kill "$1" 2>/dev/null || return 0
  wait "$1" 2>/dev/null || true
}

registry_start() {
  cat >"$node/registry.yml" <<END
version: 0.1
log: {level: error, accesslog: {disabled: false}}
storage: {filesystem: {rootdirectory: $storage/registry}}
http: {addr: "$REGISTRY"}
END
  nsenter -t "$remote_pid" -n docker-registry serve "$node/registry.yml" >>"$node/registry.log" 2>>"$node/registry.err" &
  registry_pid=$!
  wait_until 10 "docker-registry does not answer" curl -fsS "http://$REGISTRY/v2/"
}

registry_stop() { stop_process "$registry_pid"; }

# registry_layer_requests [LAYOUT]: the lines of the registry's own access log that ask for a layer of the image.
registry_layer_requests() {
  layer_digests "${1:-$LAYOUT}" | grep -F -f - "$node/registry.log" | grep '"GET ' || true
}

# --- what is in a layout ---

layout_manifest() { # LAYOUT
  jq -r '.manifests[0].digest | sub(":"; "/")' "$1/index.json" | sed "s|^|$1/blobs/|"
}
layer_digests() { jq -r '.layers[].digest' "$(layout_manifest "$1")"; }
layer_count() { layer_digests "$1" | wc -l; }
diff_ids() { # LAYOUT
  jq -r '.rootfs.diff_ids[]' "$1/blobs/$(jq -r '.config.digest | sub(":"; "/")' "$(layout_manifest "$1")")"
}
# chain_ids LAYOUT: one a layer, base first (image-spec config.md, layer ChainID).
chain_ids() {
  local chain='' diff_id
  for diff_id in $(diff_ids "$1"); do
    if [ -z "$chain" ]; then
      chain=$diff_id
    else
      chain=sha256:$(printf '%s %s' "$chain" "$diff_id" | sha256sum | cut -d' ' -f1)
    fi
    echo "$chain"
  done
}

# --- sluice ---

# The registry's own storage, as a STORE.
readonly REGISTRY_STORE=distribution:registry

# sluice_start [STORE...]: the daemon, with these stores of the registry: the path of a layout, or KIND:PATH, PATH below
# $storage. $sluice_config, if it is set, are further lines of its configuration.
sluice_start() {
  local store kind path
  {
    for store; do
      kind=oci-layout path=$store
      [[ $store == /* ]] || kind=${store%%:*} path=$storage/${store#*:}
      printf '[[store]]\nkind = "%s"\npath = "%s"\nregistries = ["%s"]\n' "$kind" "$path" "$REGISTRY"
    done
    printf '[containerd]\naddress = "%s"\n' "$node/containerd.sock"
    printf '%s\n' "${sluice_config-}"
  } >"$node/sluice.toml"
  "$DAEMON" --config "$node/sluice.toml" --address "$node/sluice.sock" --root "$storage/sluice" --log-level info \
    >>"$node/sluice.log" 2>&1 &
  sluice_pid=$!
  wait_until 20 "sluice does not serve" test -S "$node/sluice.sock" -o ! -d "/proc/$sluice_pid"
  [ -S "$node/sluice.sock" ] || fail "sluice ended: $(tail -n 1 "$node/sluice.log")"
}

sluice_stop() { stop_process "$sluice_pid"; }

# sluice_log_mark; ...; sluice_log: what the daemon has said since.
sluice_log_mark() { sluice_log_from=$(($(stat -c %s "$node/sluice.log" 2>/dev/null || echo 0) + 1)); }
sluice_log() { tail -c "+$sluice_log_from" "$node/sluice.log"; }
count_phrase() { sluice_log | grep -cF "$1" || true; }

# --- containerd ---

# containerd_start [NAME...]: containerd, with sluice as proxy plugin of these names instead of only "sluice".
# $containerd_config, if it is set, are further lines of its configuration.
containerd_start() {
  local name
  cat >"$node/containerd.toml" <<END
version = 2
root = "$storage/containerd"
state = "/run/containerd"
# cri wants a CNI, opt writes to /opt, the others probe the host's disks.
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "$node/containerd.sock"
[debug]
  level = "info"
END
  for name in "${@:-sluice}"; do
    printf '[proxy_plugins.%s]\n  type = "snapshot"\n  address = "%s"\n' "$name" "$node/sluice.sock"
  done >>"$node/containerd.toml"
  printf '%s\n' "${containerd_config-}" >>"$node/containerd.toml"
  containerd --config "$node/containerd.toml" >>"$node/containerd.log" 2>&1 &
  containerd_pid=$!
  wait_until 20 "containerd does not serve" in_containerd version
}

containerd_stop() { stop_process "$containerd_pid"; }

# The containerd namespace; also the name of the containers' control group.
readonly CONTAINERD_NAMESPACE=sluice-e2e-${SLUICE_NODE_INSIDE:-$$}
in_containerd() { ctr -a "$node/containerd.sock" -n "$CONTAINERD_NAMESPACE" "$@"; }

sluice_pull() { # [FLAG...]
  "$SLUICECTL" pull "$REF" --address "$node/containerd.sock" --namespace "$CONTAINERD_NAMESPACE" --snapshotter sluice \
    "$@"
}

# await_daemon: containerd finds a daemon that was restarted: its client waits a second before it dials again. A listing
# would not tell, containerd answers that of an empty namespace itself.
await_daemon() { wait_until 20 "containerd does not find the daemon again" daemon_is_found; }
daemon_is_found() {
  in_containerd snapshots --snapshotter sluice prepare daemon-probe &&
    in_containerd snapshots --snapshotter sluice rm daemon-probe
}

# mount_view SNAPSHOTTER CHAIN DIR: a read-only view of a committed snapshot, mounted for real. The mounts are those that
# View answers: asked for later they may be gone, since nothing keeps garbage collection from a view. What they mount is
# the layers', and these belong to an image.
mount_view() {
  local key=view-${1}-${2#sha256:}
  mkdir -p "$3"
  in_containerd snapshots --snapshotter "$1" view --target "$3" "$key" "$2" >"$node/mount.sh" || fail "no view of $1 $2"
  sh -e "$node/mount.sh" || fail "the mounts of $1 $2 do not mount: $(cat "$node/mount.sh")"
}

unmount_view() { # SNAPSHOTTER CHAIN DIR
  umount "$3"
  # Garbage collection may have been faster.
  in_containerd snapshots --snapshotter "$1" rm "view-${1}-${2#sha256:}" 2>/dev/null || true
}

# remove_ghosts DIR: containerd writes whiteouts also where they hide nothing; in a directory that is not merged such a name
# is given by readdir and unknown to stat. The small image has one; without it the tree can be listed. Prints what it removed.
remove_ghosts() { find "$1" -path '*/brand-new/ghost' -type c -print -delete; }

# forget_images: no image, no snapshot, no blob is left in containerd, by its own garbage collection.
forget_images() {
  local -a images
  mapfile -t images < <(in_containerd images ls -q)
  [ ${#images[@]} = 0 ] || in_containerd images rm --sync "${images[@]}" >/dev/null
}

# --- trees ---

# expect_equal OURS THEIRS DECIDED: they differ in what was decided, and in nothing else. $list_tree is the lister. The
# lines of DECIDED are "<list_tree's line as an extended regexp>  # <why>".
expect_equal() {
  local differences=$node/differences patterns=$node/patterns why pattern
  # list_tree: 1 is "different".
  "$list_tree" "$1" --diff "$2" >"$differences" || [ $? = 1 ] || fail "$1 or $2 cannot be listed"
  : >"$patterns"
  while IFS= read -r line; do
    [[ -z $line || $line == '#'* ]] && continue
    pattern=${line%%  # *}
    why=${line##*  # }
    grep -qE "^($pattern)\$" "$differences" || fail "decided, but does not occur: $pattern"
    note "decided: $(grep -cE "^($pattern)\$" "$differences") × $pattern: $why"
    echo "^($pattern)\$" >>"$patterns"
  done <"$3"
  if grep -vE -f "$patterns" "$differences" >"$node/undecided"; then
    fail "$(wc -l <"$node/undecided") differences: $(head -n 20 "$node/undecided")"
  fi
}

# --- the end ---

# The kernel lets go of a group a moment after its last process.
remove_control_group() {
  local group left
  for _ in {1..30}; do
    left=''
    for group in "/sys/fs/cgroup/$CONTAINERD_NAMESPACE" /sys/fs/cgroup/*/"$CONTAINERD_NAMESPACE"; do
      [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || left=1
    done
    [ -n "$left" ] || return 0
    sleep 0.1
  done
}

show_logs() {
  local log
  for log in sluice containerd registry; do
    [ -s "$node/$log.log" ] || continue
    echo "=== the end of $log.log" >&2
    grep -v 'loading plugin' "$node/$log.log" | tail -n 25 >&2
  done
}

node_down() { # STATUS
  local status=$1
  trap - EXIT
  [ "$status" = 0 ] || [ "$status" -ge 128 ] || show_logs
  # Everything left in the pid namespace; its first process is this script. What a test has stopped must go on to end, and
  # what does not end in time would keep the node's storage busy.
  kill -TERM -1 2>/dev/null || true
  kill -CONT -1 2>/dev/null || true
  for _ in {1..100}; do
    [ -n "$(jobs -rp)" ] || break
    sleep 0.1
  done
  kill -KILL -1 2>/dev/null || true
  wait 2>/dev/null || true
  remove_control_group
  [ -z "${disk_storage-}" ] || rm -rf --one-file-system "$disk_storage"
  write_xml "$status"
  exit "$status"
}
