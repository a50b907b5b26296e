#!/usr/bin/env bash
# The unit as systemd reads it: nothing unknown in it, and its exposure no higher than it was when it was last thought about.
#   unit_test.sh DAEMON
set -euo pipefail

readonly exposure_limit=38 # tenths; systemd-analyze's scale ends at 100
unit=packaging/containerd-sluice-grpc.service
work=$(mktemp -d "${TEST_TMPDIR:-/tmp}/unit-XXXXXX")
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

# The program is not where it will be.
sed "s|^ExecStart=.*|ExecStart=$(readlink -f "$1")|" "$unit" >"$work/containerd-sluice-grpc.service"
verify() { systemd-analyze verify "$work/containerd-sluice-grpc.service" 2>&1 | grep -F containerd-sluice-grpc || true; }
[ -z "$(verify)" ] || fail "$(verify)"
echo "ok: systemd-analyze verify"
echo 'WatchdogSecs=60' >>"$work/containerd-sluice-grpc.service"
verify | grep -q WatchdogSecs || fail "control: verify says nothing of an unknown key"

score() { systemd-analyze security --offline=true --no-pager "$@"; }
score --threshold=$exposure_limit "$unit" >"$work/score" || fail "$(tail -n 1 "$work/score")"
grep -q 'Overall exposure level' "$work/score" || fail "no score"
echo "ok: $(tail -n 1 "$work/score" | sed 's/^[^O]*//'), limit $((exposure_limit / 10)).$((exposure_limit % 10))"
grep -v -e ^Protect -e ^SystemCallFilter "$unit" >"$work/containerd-sluice-grpc.service"
! score --threshold=$exposure_limit "$work/containerd-sluice-grpc.service" >/dev/null || fail "control: anything passes"
