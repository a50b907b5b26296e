#!/usr/bin/env bash
# A counter that overlooks a failure would make every other test worthless.
set -euo pipefail

work=${TEST_TMPDIR:-$(mktemp -d)}
counter=$PWD/scripts/count_tests.py

# result LABEL STATUS XML: one line of Bazel's build events.
result() {
  local xml=$work/${1//[^a-z]/_}.xml
  [ -z "$3" ] || echo "$3" >"$xml"
  printf '{"id":{"testResult":{"label":"%s","run":1}},"testResult":{"status":"%s","testActionOutput":[%s]}}\n' "$1" "$2" \
    "$([ -z "$3" ] || printf '{"name":"test.xml","uri":"file://%s"}' "$xml")"
}

expect() { # CI LAST_LINE EVENTS...
  local ci=$1 want=$2 got
  printf '%s\n' "${@:3}" >"$work/events"
  : >"$work/report"
  got=$(CI=$ci python3 "$counter" "$work/events" "$work/report" name | tee "$work/output" | tail -n 1)
  [ "$got" = "$want" ] || { echo "FAIL: '$got' instead of '$want' for $*" >&2; exit 1; }
}

good='<testsuites><testsuite><testcase name="a" status="run"/><testcase name="b" status="run"/></testsuite></testsuites>'
bad='<testsuites><testsuite><testcase name="a"/><testcase name="b"><failure message="no"/></testcase></testsuite></testsuites>'
skip='<testsuites><testsuite><testcase name="a"/><testcase name="b"><skipped message="no root"/></testcase></testsuite></testsuites>'
off='<testsuites><testsuite><testcase name="a"/><testcase name="b" status="notrun"/></testsuite></testsuites>'

expect '' '2 0' "$(result //x:good PASSED "$good")"
expect '' '3 1' "$(result //x:good PASSED "$good")" "$(result //x:bad FAILED "$bad")"
grep -q 'FAILED  //x:bad: b' "$work/output"
expect '' '1 0' "$(result //x:skip PASSED "$skip")"
grep -q 'skipped //x:skip: b' "$work/output"
expect true '1 1' "$(result //x:skip PASSED "$skip")"
expect true '1 1' "$(result //x:off PASSED "$off")"
# Crashed after its cases passed; timed out without a result file; no results at all.
expect '' '2 1' "$(result //x:crash FAILED "$good")"
expect '' '0 1' "$(result //x:timeout TIMEOUT '')"
expect '' '0 0' '{"id":{"started":{}}}'
# The last attempt counts.
expect '' '2 0' "$(result //x:flaky FAILED "$bad")" "$(result //x:flaky PASSED "$good")"
