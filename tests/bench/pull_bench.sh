#!/usr/bin/env bash
# How long a pull takes by an unmodified client with sluice, and with containerd's overlayfs snapshotter by the same
# client, containerd and registry.
#
#   bazel run --config=opt //tests/bench:pull_bench -- [--repeats N] [--only IMAGE]... [--file-system tmpfs|ext4]... \
#     [--containerd 1.6|2.3|2.4]...
#
# The client is ctr (transfer service) of containerd 2.x, and a Go program with client.Pull for Debian's 1.6, whose ctr
# asks no snapshotter. The registry, at 172.30.0.1:5000 in a network namespace, keeps its blobs on this host, in the page
# cache: sluice reads them there. containerd has igzip and unpigz, which it uses by itself when they are installed, and
# from 2.x on fetches in parts and unpacks several layers at once. Each repeat pulls once with each of the
# two, one after the other; before each nothing of the image is left, and the file system is synced. CPU is what registry,
# containerd with its children, and sluice spend from the start of the pull to its end. "ext4" is a fresh one with a
# journal on a loop device with direct I/O. Prints a Markdown table of medians on stdout, progress on stderr. Needs root.
set -euo pipefail
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../e2e/lib.sh"

usage() {
  echo "pull_bench: $* (usage: pull_bench [--repeats N] [--only IMAGE]... [--file-system tmpfs|ext4]..." \
    "[--containerd 1.6|2.3|2.4]...)" >&2
  exit 2
}
repeats=5 images=() file_systems=() versions=()
arguments=("$@")
programs=("${arguments[@]:0:3}")
set -- "${arguments[@]:3}"
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || usage "$1 needs a value"
  case $1 in
    --repeats) repeats=$2 ;;
    --only) images+=("$2") ;;
    --file-system) file_systems+=("$2") ;;
    --containerd) versions+=("$2") ;;
    *) usage "unknown flag $1" ;;
  esac
  shift 2
done
[[ $repeats =~ ^[1-9][0-9]*$ ]] || usage "--repeats $repeats is not a number"
[ ${#images[@]} -gt 0 ] || images=(big-gzip big-zstd)
[ ${#file_systems[@]} -gt 0 ] || file_systems=(tmpfs ext4)
[ ${#versions[@]} -gt 0 ] || versions=(1.6 2.4)

storage_gib=14
node_isolate "${BASH_SOURCE[0]}" "${arguments[@]}"
node_programs "${programs[0]}" "${programs[1]}"
plain_pull=$(readlink -f "${programs[2]}")
command -v unpigz igzip >/dev/null || fail "unpigz or igzip is not installed: the peer would not be at its best"

say() { echo "pull_bench: $*" >&2; }
now() { date +%s.%N; }
median() { sort -n | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }

# cpu_seconds: what the daemons have spent so far, with the children that they have waited for.
cpu_seconds() {
  local pid ticks=0
  for pid in "$registry_pid" "$containerd_pid" "$sluice_pid"; do
    # The second field may hold spaces; utime is the twelfth behind it.
    ticks=$((ticks + $(sed 's/.*) //' "/proc/$pid/stat" | awk '{ print $12 + $13 + $14 + $15 }')))
  done
  awk -v ticks="$ticks" -v hz="$(getconf CLK_TCK)" 'BEGIN { print ticks / hz }'
}

ext4_image=''
file_system_up() { # KIND: $storage is an empty one
  storage=$node/measured
  mkdir -p "$storage"
  if [ "$1" = tmpfs ]; then
    mount -t tmpfs -o "mode=0755,nr_inodes=0,size=${storage_gib}g" sluice-bench "$storage"
    return
  fi
  ext4_image=$(mktemp "$SLUICE_CACHE/pull-bench-XXXXXX")
  fallocate -l 24G "$ext4_image"
  mkfs.ext4 -q -F -i 8192 -E lazy_itable_init=1,nodiscard "$ext4_image"
  loop=$(losetup --find --show --direct-io=on "$ext4_image")
  mount -o noinit_itable "$loop" "$storage"
  # Detached with the mount, however this ends; the file goes with its last user.
  losetup --detach "$loop"
  rm "$ext4_image"
}

# containerd_programs VERSION: they come first in PATH.
debian_path=$PATH
containerd_programs() {
  local builder=$repository/tests/clients/build_clients.sh
  PATH=$debian_path containerd_config=''
  [ "$1" != 1.6 ] || return 0
  "$builder" "containerd-$1" >&2 || fail "containerd $1 could not be built"
  PATH=$("$builder" --print | awk -v name="containerd-$1" '$1 == name { print $3 }'):$PATH
  containerd_config='
[plugins."io.containerd.transfer.v1.local"]
  max_concurrent_downloads = 4
  concurrent_layer_fetch_buffer = 8388608
  max_concurrent_unpacks = 4
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  platform = "linux"
  snapshotter = "overlayfs"
  differ = "walking"
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  platform = "linux"
  snapshotter = "sluice"
  differ = "walking"'
}

client_pull() { # SNAPSHOTTER
  case $version in
    1.6) "$plain_pull" "$node/containerd.sock" "$CONTAINERD_NAMESPACE" "$1" "$REF" ;;
    *) in_containerd images pull --plain-http --snapshotter "$1" "$REF" ;;
  esac
}

run_pull() { # SNAPSHOTTER: prints "WALL CPU"
  local start cpu end
  sync
  cpu=$(cpu_seconds)
  start=$(now)
  client_pull "$1" >"$node/client.log" 2>&1 || fail "the pull with $1 failed: $(tail -n 3 "$node/client.log")"
  end=$(now)
  awk -v a="$start" -v b="$end" -v c="$cpu" -v d="$(cpu_seconds)" 'BEGIN { printf "%.2f %.2f\n", b - a, d - c }'
}

measure() { # IMAGE FILE_SYSTEM
  local snapshotter run i layers
  : >"$node/runs"
  layers=$(layer_count "$LAYOUT")
  for ((i = 1; i <= repeats; i++)); do
    for snapshotter in sluice overlayfs; do
      sluice_log_mark
      run=$(run_pull "$snapshotter")
      say "$1 $2 containerd $version $i/$repeats $snapshotter: $run (wall, CPU)"
      echo "$snapshotter $run" >>"$node/runs"
      [ "$snapshotter" != sluice ] || [ "$(count_phrase "$LAYOUT_PHRASE")" = "$layers" ] ||
        fail "not every layer came from the layout: $(sluice_log | tail -n 3)"
      forget_images
    done
  done
  local -a figures=()
  for snapshotter in sluice overlayfs; do
    figures+=("$(awk -v s=$snapshotter '$1 == s { print $2 }' "$node/runs" | median)"
      "$(awk -v s=$snapshotter '$1 == s { print $3 }' "$node/runs" | median)")
  done
  awk -v image="$1" -v fs="$2" -v version="$version" -v w="${figures[0]}" -v c="${figures[1]}" -v ow="${figures[2]}" -v oc="${figures[3]}" 'BEGIN {
    printf "| %s | %s | %s | %.2f | %.2f | %.1f%s | %.2f | %.2f | %.2f%s |\n", image, fs, version, w, ow, ow / w,
      (ow < 4 * w ? " (missed)" : ""), c, oc, c / oc, (3 * c > oc ? " (missed)" : "")
  }'
}

node_case "pulls"
echo "Medians of $repeats, seconds. Asked: at least 4 times faster, at most 0.33 of the CPU."
echo
echo "| image | file system | containerd | sluice, wall | overlayfs, wall | times faster | sluice, CPU | overlayfs, CPU" \
  "| CPU ratio |"
echo "|---|---|---|--:|--:|--:|--:|--:|--:|"
node_network
for file_system in "${file_systems[@]}"; do
  for image in "${images[@]}"; do
    file_system_up "$file_system"
    registry_start
    node_push "$(node_image "$image")"
    rm -rf "$LAYOUT"
    LAYOUT=$SLUICE_CACHE/images/$image
    for version in "${versions[@]}"; do
      containerd_programs "$version"
      sluice_start "$REGISTRY_STORE"
      containerd_start
      measure "$image" "$file_system"
      containerd_stop
      sluice_stop
      rm -rf "$storage/containerd" "$storage/sluice"
    done
    registry_stop
    umount "$storage"
  done
done
