# shellcheck shell=bash
# Sourced by the tests of the daemon as a process: a directory of the test's own at $work with an empty configuration, which
# goes at the end together with the processes in `pids`; fail TEXT ends the test and shows the logs.

[ "$(id -u)" = 0 ] || { echo "the daemon serves root only: the test must run as root" >&2; exit 1; }
work=$(mktemp -d /dev/shm/sluice-daemon-XXXXXX)
pids=()
cleanup() {
  local pid
  for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap cleanup EXIT
fail() { echo "FAILED: $*" >&2; cat "$work"/*.log >&2 || true; exit 1; }

: >"$work/config.toml"
