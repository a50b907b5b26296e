#!/usr/bin/env bash
# What go_test_to_junit.py makes of what `go test -v` writes.
set -euo pipefail

convert=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

cat >"$work/log" <<'LOG'
=== RUN   TestSuite
=== RUN   TestSuite/Good
=== PAUSE TestSuite/Good
=== RUN   TestSuite/Unwanted
=== RUN   TestSuite/Theirs
a line without an end--- PASS: TestSuite (2.00s)
    --- PASS: TestSuite/Good (1.25s)
    --- SKIP: TestSuite/Unwanted (0.00s)
    --- SKIP: TestSuite/Theirs (0.00s)
PASS
LOG
"$convert" --skips-itself TestSuite/Theirs "$work/log" "$work/xml" >"$work/out" || fail "a good run: exit code $?"
grep -qx 'not run: TestSuite/Theirs skips itself' "$work/out" || fail "Theirs is not named"
[ "$(grep -o '<testcase ' "$work/xml" | wc -l)" = 2 ] || fail "not two cases: $(cat "$work/xml")"
grep -q '<testcase classname="TestSuite" name="Good" time="1.25" />' "$work/xml" || fail "Good"
grep -q 'name="Unwanted" time="0.00"><skipped />' "$work/xml" || fail "Unwanted"

sed 's/PASS: TestSuite\/Good/FAIL: TestSuite\/Good/' "$work/log" >"$work/failed"
! "$convert" "$work/failed" "$work/xml" >"$work/out" || fail "a failed case: exit code 0"
grep -q 'name="Good" time="1.25"><failure message="FAIL" />' "$work/xml" || fail "Good did not fail"

grep -v 'PASS: TestSuite/Good' "$work/log" >"$work/crashed"
! "$convert" "$work/crashed" "$work/xml" >"$work/out" || fail "a case without end: exit code 0"
grep -q 'message="did not end"' "$work/xml" || fail "no end"

: >"$work/empty"
! "$convert" "$work/empty" "$work/xml" || fail "no case: exit code 0"
echo ok
