#!/usr/bin/env bash
# docs/conformance.md, made now:
#
#   sudo bazel run //tests/conformance:conformance_page                prints it
#   sudo bazel run //tests/conformance:conformance_page -- --write     writes docs/conformance.md
set -euo pipefail
suite=$1 daemon=$2
case ${3-} in
  '' | --write) ;;
  *) echo "conformance_page.sh: unknown argument '$3' (usage: conformance_page.sh [--write])" >&2; exit 2 ;;
esac
page=$(mktemp)
trap 'rm -f "$page"' EXIT
tests/conformance/run_suite.sh "$suite" "$daemon" tests/testing/go_test_to_junit.py TestContract -page="$page" -write >&2
if [ "${3-}" = --write ]; then
  cp "$page" "$BUILD_WORKSPACE_DIRECTORY/docs/conformance.md"
else
  cat "$page"
fi
