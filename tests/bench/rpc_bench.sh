#!/usr/bin/env bash
# What each call of containerd's snapshots service costs with sluice, and with containerd's overlay snapshotter served by
# the same protocol:
#
#   bazel run --config=opt //tests/bench:rpc_bench -- [--rounds N] [--directory DIR]
#
# Five servers run beside each other and take turns of twenty calls: both with no snapshots but an image of ten layers and
# a few that the calls make, both with 5,000 more, sluice also with 100,000. Each has an ext4 with a journal of its own, on
# a loop device with direct I/O over a file in DIR (default: the cache of the tests), which should be on a disk: most of a
# changing call is waiting for that. Prints two Markdown tables on stdout, medians and syncs, progress on stderr. Needs
# root, and 8 GiB in DIR.
set -euo pipefail
programs=("$1" "$2" "$3") # SUITE DAEMON LOADER
shift 3

usage() {
  echo "rpc_bench: $* (usage: rpc_bench [--rounds N] [--directory DIR])" >&2
  exit 2
}
arguments=("$@")
rounds=15 directory=${SLUICE_CACHE:-/var/tmp}
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || usage "$1 needs a value"
  case $1 in
    --rounds) rounds=$2 ;;
    --directory) directory=$2 ;;
    *) usage "unknown flag $1" ;;
  esac
  shift 2
done
[[ $rounds =~ ^[1-9][0-9]*$ ]] || usage "--rounds $rounds is not a number"
[ "$(id -u)" = 0 ] || { echo "rpc_bench: needs root" >&2; exit 1; }

# Mounts go with the last process.
[ -n "${RPC_BENCH_INSIDE-}" ] ||
  RPC_BENCH_INSIDE=1 exec unshare --mount --propagation private bash "${BASH_SOURCE[0]}" "${programs[@]}" "${arguments[@]}"

work=$(mktemp -d)
trap 'umount "$work"/*/ 2>/dev/null || true; rm -rf --one-file-system "$work"' EXIT

file_system() { # NAME SIZE
  local image loop
  image=$(mktemp "$directory/rpc-bench-XXXXXX")
  fallocate -l "$2" "$image"
  mkfs.ext4 -q -F -i 8192 -E lazy_itable_init=1,nodiscard "$image"
  loop=$(losetup --find --show --direct-io=on "$image")
  mkdir "$work/$1"
  mount -o noinit_itable "$loop" "$work/$1"
  # Detached with the mount, however this ends; the file goes with its last user.
  losetup --detach "$loop"
  rm "$image"
}

for server in ours-0 ours-5000 theirs-0 theirs-5000; do file_system "$server" 1G; done
file_system ours-100000 4G
"${programs[0]}" -test.run='^TestRPCBench$' -test.timeout=0 -daemon="${programs[1]}" -bench-loader="${programs[2]}" \
  -bench-dir="$work" -bench-rounds="$rounds" | sed '/^PASS$/d'
