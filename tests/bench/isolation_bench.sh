#!/usr/bin/env bash
# Whether a container waits for other people's work: how long Prepare takes for it, asked of containerd 1.6, while an image
# of ten layers is pulled every four seconds, and removed, and another image is removed every second; with sluice, and with
# containerd's overlayfs snapshotter.
#
#   bazel run --config=opt //tests/bench:isolation_bench -- [--repeats N] [--seconds N]
#
# All on an ext4 with a journal, on a loop device with direct I/O. The ten layers have 2,000 files and 32 MiB each, the
# images that are removed one such layer. The two take turns. "alone" is the same without pulls and removals. Prints a
# Markdown table on stdout, progress on stderr. Needs root, 16 GiB on a disk, and 2 GiB of memory.
set -euo pipefail
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../e2e/lib.sh"

usage() {
  echo "isolation_bench: $* (usage: isolation_bench [--repeats N] [--seconds N])" >&2
  exit 2
}
repeats=3 seconds=20
readonly pull_interval=4
arguments=("$@")
programs=("${arguments[@]:0:4}") # DAEMON SLUICECTL PLAIN_PULL PREPARE_LATENCY
set -- "${arguments[@]:4}"
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || usage "$1 needs a value"
  case $1 in
    --repeats) repeats=$2 ;;
    --seconds) seconds=$2 ;;
    *) usage "unknown flag $1" ;;
  esac
  [[ $2 =~ ^[1-9][0-9]*$ ]] || usage "$1 $2 is not a number"
  shift 2
done

node_isolate "${BASH_SOURCE[0]}" "${arguments[@]}"
. "$repository/tests/corpora/oci_layout.sh"
node_programs "${programs[0]}" "${programs[1]}"
plain_pull=$(readlink -f "${programs[2]}")
prepare_latency=$(readlink -f "${programs[3]}")

say() { echo "isolation_bench: $*" >&2; }

disk_up() {
  local image loop
  image=$(mktemp "${SLUICE_CACHE}/isolation-bench-XXXXXX")
  fallocate -l 16G "$image"
  mkfs.ext4 -q -F -i 8192 -E lazy_itable_init=1,nodiscard "$image"
  loop=$(losetup --find --show --direct-io=on "$image")
  storage=$node/measured
  mkdir "$storage"
  mount -o noinit_itable "$loop" "$storage"
  # Detached with the mount, however this ends; the file goes with its last user.
  losetup --detach "$loop"
  rm "$image"
}

# layer_tar FILE SEED: 2,000 files, half of whose bytes compress.
layer_tar() {
  python3 - "$1" "$2" <<'PYTHON'
import io, random, sys, tarfile
path, seed = sys.argv[1], int(sys.argv[2])
chosen = random.Random(seed)
with tarfile.open(path, "w") as tar:
    for number in range(2000):
        content = chosen.randbytes(8192) + bytes([number % 256]) * 8192
        entry = tarfile.TarInfo(f"d{seed}/{number % 50}/{number}")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
PYTHON
}

# push_image REPOSITORY SEED...: an image with a layer for each seed.
push_image() {
  local repository_name=$1 seed layout=$node/$1-gzip
  shift
  layout_begin "$layout"
  for seed; do
    layer_tar "$node/layer.tar" "$seed"
    layout_add_layer "$node/layer.tar" "layer $seed" "$layout"
  done
  layout_finish "$layout" 1 '{}'
  skopeo --insecure-policy copy -q --dest-tls-verify=false "oci:$layout:1" "docker://$REGISTRY/$repository_name:1" ||
    fail "skopeo could not push $repository_name"
  rm "$node/layer.tar"
}

pull() { # SNAPSHOTTER REPOSITORY
  "$plain_pull" "$node/containerd.sock" "$CONTAINERD_NAMESPACE" "$1" "$REGISTRY/$2:1" >"$node/client.log" 2>&1 ||
    fail "the pull of $2 with $1 failed: $(tail -n 3 "$node/client.log")"
}

remove_image() { in_containerd images rm --sync "$REGISTRY/$1:1" >/dev/null; }

remove_every_second() {
  local i
  for ((i = 0; i < seconds; i++)); do
    sleep 1
    remove_image "removed-$i"
  done
}

# latency_begin SNAPSHOTTER FILE; ...; latency_end: FILE has the line of prepare_latency.
latency_begin() {
  coproc LATENCY { "$prepare_latency" "$node/containerd.sock" "$CONTAINERD_NAMESPACE" "$1" "$unrelated_chain" >"$2"; }
  latency_pid=$LATENCY_PID
}
latency_end() {
  exec {LATENCY[1]}>&-
  wait "$latency_pid" || fail "prepare_latency failed"
}

measure() { # SNAPSHOTTER
  local i remover began pulls=0
  pull "$1" unrelated
  for ((i = 0; i < seconds; i++)); do pull "$1" "removed-$i"; done
  sync
  latency_begin "$1" "$node/alone"
  sleep 5
  latency_end
  latency_begin "$1" "$node/beside"
  remove_every_second &
  remover=$!
  began=$SECONDS
  while kill -0 "$remover" 2>/dev/null; do
    if [ $((SECONDS - began)) -lt $((pulls * pull_interval)) ]; then
      sleep 0.05
      continue
    fi
    pull "$1" big
    remove_image big
    pulls=$((pulls + 1))
  done
  wait "$remover" || fail "an image could not be removed"
  latency_end
  forget_images
  say "$1: alone $(cat "$node/alone"), beside $pulls pulls $(cat "$node/beside") (count, median, p99, longest)"
  echo "$1 $pulls $(cat "$node/alone") $(cat "$node/beside")" >>"$node/runs"
}

# median_of SNAPSHOTTER FIELD
median_of() {
  awk -v s="$1" -v f="$2" '$1 == s { print $f }' "$node/runs" | sort -n |
    awk '{ v[NR] = $1 } END { printf "%.2f", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

node_case "prepares beside pulls and removals"
disk_up
node_network
registry_start
push_image big 1 2 3 4 5 6 7 8 9 10
push_image unrelated 11
unrelated_chain=$(chain_ids "$node/unrelated-gzip")
for ((number = 0; number < seconds; number++)); do push_image "removed-$number" $((100 + number)); done
sluice_start "$REGISTRY_STORE"
containerd_start
: >"$node/runs"
for ((repeat = 1; repeat <= repeats; repeat++)); do
  for snapshotter in sluice overlayfs; do measure "$snapshotter"; done
done
echo "Prepare for a container, milliseconds: medians of $repeats runs of $seconds seconds."
echo
echo "| snapshotter | pulls of ten layers in a run | alone: median | alone: p99 | median | p99 | longest |"
echo "|---|--:|--:|--:|--:|--:|--:|"
for snapshotter in sluice overlayfs; do
  echo "| $snapshotter | $(median_of $snapshotter 2) | $(median_of $snapshotter 4) | $(median_of $snapshotter 5) |" \
    "$(median_of $snapshotter 8) | $(median_of $snapshotter 9) | $(median_of $snapshotter 10) |"
done
