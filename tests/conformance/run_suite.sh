#!/usr/bin/env bash
# A Go test of this package as a Bazel test: run_suite.sh SUITE DAEMON CONVERTER TEST [FLAG...]. Each of its cases is a case
# of the test's XML. Needs root. State is on a tmpfs, which overlayfs takes as an upper directory.
set -euo pipefail

suite=$PWD/$1
daemon=$PWD/$2
converter=$PWD/$3
test=$4
shift 4
[ "$(id -u)" = 0 ] || { echo "the suite mounts: it must run as root" >&2; exit 1; }

# A short path: Unix sockets lie below it.
work=$(mktemp -d /dev/shm/sluice-suite-XXXXXX)
trap 'rm -rf "$work"' EXIT

status=0
TMPDIR=$work "$suite" -test.v -test.timeout=4m -test.run="^$test\$" -daemon="$daemon" "$@" >"$work/log" 2>&1 || status=$?
cat "$work/log"
"$converter" --skips-itself TestSnapshotterSuite/Rename "$work/log" "${XML_OUTPUT_FILE:-$work/result.xml}" || status=1

# Nothing but the log and the result may be left, no mounts either.
left=$(find "$work" -mindepth 1 ! -path "$work/log" ! -path "$work/result.xml" -print -quit)
[ -z "$left" ] || { echo "left behind: $left" >&2; status=1; }
if grep -F " $work" /proc/self/mountinfo >&2; then
  echo "mounts left behind" >&2
  status=1
fi
exit "$status"
