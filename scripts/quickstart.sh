#!/usr/bin/env bash
# Sluice at work on a real image, from nothing, on Debian 12, as root: installs what is needed, builds, makes an image,
# and pulls it from a registry on a private address (172.30.0.1:5000, in a network namespace) whose storage is on this
# host; beside it the same pull by containerd's own overlayfs snapshotter.
#
#   scripts/quickstart.sh                a Debian image made on the spot (150 MB)
#   scripts/quickstart.sh LAYOUT REF     REF of the OCI layout LAYOUT
#   scripts/quickstart.sh --clean        undoes what earlier runs left, but for installed packages
#   scripts/quickstart.sh LAYOUT REF --clean    both, one after the other
#
# The daemons run in namespaces of their own and end with the script, however it ends. What stays for the next run is
# in $SLUICE_CACHE (default <repository>/.cache): the build in quickstart/, the image in images/.
set -euo pipefail

usage() {
  echo "quickstart.sh: $* (usage: quickstart.sh [LAYOUT REF] [--clean])" >&2
  exit 2
}
die() {
  echo "quickstart.sh: $*" >&2
  stop_bazel
  exit 1
}
# shellcheck source=scripts/lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"

clean=''
operands=()
for argument; do
  case $argument in
    --clean) clean=1 ;;
    -h | --help) print_help; exit 0 ;;
    -*) usage "unknown flag '$argument'" ;;
    *) operands+=("$argument") ;;
  esac
done
case ${#operands[@]} in
  0) layout='' ref='' ;;
  2)
    layout=$(readlink -f "${operands[0]}") || usage "'${operands[0]}' does not exist"
    ref=${operands[1]}
    [ -f "$layout/oci-layout" ] || usage "'${operands[0]}' is not an OCI layout"
    ;;
  *) usage "LAYOUT and REF go together" ;;
esac

cd "$(dirname "$(readlink -f "$0")")/.."
cache=${SLUICE_CACHE:-$PWD/.cache}
work=$cache/quickstart
bazel=(bazel --output_user_root="$work/bazel")
build_flags=(--config=opt --experimental_convenience_symlinks=ignore)

# --- leaving the machine as it was ---

stop_bazel() {
  local pid
  for pid in "$work"/bazel/*/server/server.pid.txt; do
    if [ -e "$pid" ] && kill -0 "$(cat "$pid")" 2>/dev/null; then
      "${bazel[@]}" shutdown 9>&- >/dev/null 2>&1 || true
    fi
  done
}

clean_up() {
  stop_bazel
  if [ -e "$work/made-images" ]; then rm -rf "$cache/images"; fi
  chmod -R u+w "$work" 2>/dev/null || true
  rm -rf "$work"
  rmdir "$cache" 2>/dev/null || true
  echo "quickstart: cleaned"
}

# Each step is a process group of its own, so that a signal to this script alone reaches all of it.
step_pid=''
stop_step() {
  [ -n "$step_pid" ] || return 0
  kill -TERM -- "-$step_pid" 2>/dev/null || return 0
  for _ in {1..100}; do
    kill -0 -- "-$step_pid" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL -- "-$step_pid" 2>/dev/null || true
}

interrupted() { # STATUS
  trap '' INT TERM HUP
  echo "quickstart: interrupted, cleaning up" >&2
  stop_step
  stop_bazel
  exit "$1"
}

# --- steps ---

# In the background, so that a signal is not kept waiting; without the lock, which Bazel's server would keep.
run() { # COMMAND...
  setsid "$@" </dev/null 9>&- &
  step_pid=$!
  local status=0
  wait "$step_pid" || status=$?
  step_pid=''
  return "$status"
}

step() { # TEXT COMMAND...
  local text=$1 start
  start=$(date +%s%N)
  shift
  echo "== $text"
  run "$@" || die "$text: failed"
  echo "   $((($(date +%s%N) - start) / 1000000)) ms" | sed -E 's/([0-9]*)([0-9]{3}) ms/\1.\2 s/; s/ \./ 0./'
}

[ "$(id -u)" = 0 ] || die "needs root: it mounts, makes network namespaces and runs containerd"
if [ -n "$clean" ] && [ -z "$layout" ]; then
  clean_up
  exit 0
fi

mkdir -p "$work"
exec 9>"$work/lock"
flock -n 9 || die "another quickstart is running"
trap 'interrupted 130' INT
trap 'interrupted 143' TERM
trap 'interrupted 129' HUP
SECONDS=0

step "install packages" scripts/install-deps.sh
step "build with Bazel" bash -c '"$@" 2>"$0" || { tail -n 30 "$0" >&2; exit 1; }' "$work/build.log" \
  "${bazel[@]}" build "${build_flags[@]}" //cmd:containerd-sluice-grpc //cmd:sluicectl
bin=$("${bazel[@]}" info "${build_flags[@]}" bazel-bin 9>&- 2>/dev/null)
stop_bazel
if [ -z "$layout" ]; then
  [ -e "$cache/images" ] || : >"$work/made-images"
  step "make the image" tests/corpora/make_images.sh small
  layout=$cache/images/small-gzip
  ref=1
fi
run scripts/quickstart_node.sh "$bin/cmd/containerd-sluice-grpc" "$bin/cmd/sluicectl" "$layout" "$ref" ||
  die "the demonstration failed"
echo "quickstart: done in $SECONDS s"
[ -z "$clean" ] || clean_up
