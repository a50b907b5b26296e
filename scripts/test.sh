#!/usr/bin/env bash
# Everything that must hold before a change goes in: formatting, and all tests. The last line is "N passed, N failed",
# cases, not targets; the exit code is 0 only if none failed.
#
#   scripts/test.sh           formatting and every test but those tagged "full"
#   scripts/test.sh --full    also the large images, the sanitizers and the benches; writes docs/test-report.md
#
# Needs root for the tests that mount, chown and start daemons; an ordinary user is told what was not run. With CI=true a
# test that skips itself has failed. SLUICE_CACHE: where images, tools and, if it is set, Bazel's disk cache are kept.
# BAZEL: another way to call Bazel, e.g. "bazel --output_base=/tmp/ob". Nothing is left running, also after Ctrl-C; a Bazel
# server that was there before stays.
set -euo pipefail

# shellcheck source=scripts/lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"
full=''
case "${1-}" in
  '') ;;
  -h | --help) print_help; exit 0 ;;
  --full) full=1 ;;
  *) echo "test.sh: unknown argument '$1' (usage: test.sh [--full])" >&2; exit 2 ;;
esac
[ $# -le 1 ] || { echo "test.sh: too many arguments (usage: test.sh [--full])" >&2; exit 2; }

cd "$(dirname "$(readlink -f "$0")")/.."
read -ra bazel <<<"${BAZEL:-bazel}"
work=$(mktemp -d)
clean_up() {
  release_bazel
  rm -rf "$work"
}
trap clean_up EXIT
# Bazel answers a Ctrl-C by an exit code, after which bash would go on.
trap 'exit 130' INT
trap 'exit 143' TERM
passed=0
failed=0
: >"$work/report"

step() { # NAME COMMAND...: one case
  local name=$1 start=$SECONDS
  shift
  if "$@" >"$work/step.log" 2>&1; then
    passed=$((passed + 1))
    echo "ok      $name ($((SECONDS - start)) s)"
    echo "| $name | 1 | 0 |" >>"$work/report"
  else
    failed=$((failed + 1))
    echo "FAILED  $name"
    tail -n 30 "$work/step.log"
    echo "| $name | 0 | 1 |" >>"$work/report"
  fi
}

check_clang_format() {
  git ls-files -z --cached --others --exclude-standard -- '*.cc' '*.h' | xargs -0 clang-format --dry-run -Werror
}

# run_bazel_tests NAME FLAG...: bazel test //... and the count of its cases.
run_bazel_tests() {
  local name=$1 status=0 start=$SECONDS counts
  shift
  rm -f "$work/events.json"
  "${bazel[@]}" test //... --build_event_json_file="$work/events.json" --test_output=summary --test_summary=none \
    --noshow_progress --keep_going --test_env=SLUICE_CACHE --test_env=CI "${cache_flags[@]}" "$@" \
    >"$work/bazel.log" 2>&1 || status=$?
  # 3: built, some tests failed. 4: built, no test matched. Everything else is no test result at all.
  if [ "$status" != 0 ] && [ "$status" != 3 ]; then
    failed=$((failed + 1))
    echo "FAILED  $name: bazel ended with status $status"
    grep -E '^(ERROR|FAILED|FATAL)|error:' "$work/bazel.log" | head -n 30 || tail -n 30 "$work/bazel.log"
  fi
  counts=$(python3 scripts/count_tests.py "$work/events.json" "$work/report" "$name") || true
  echo "$counts" | sed '$d'
  read -r case_passed case_failed <<<"$(echo "$counts" | tail -n 1)"
  passed=$((passed + ${case_passed:-0}))
  failed=$((failed + ${case_failed:-0}))
  echo "done    $name ($((SECONDS - start)) s): ${case_passed:-0} passed, ${case_failed:-0} failed"
}

cache_flags=()
if [ -n "${SLUICE_CACHE-}" ]; then
  mkdir -p "$SLUICE_CACHE"
  cache_flags=(--disk_cache="$SLUICE_CACHE/bazel")
fi

step "packages are installed" scripts/install-deps.sh
claim_bazel
step "clang-format" check_clang_format
step "buildifier" scripts/buildifier.sh --check

tags=()
[ -n "$full" ] || tags+=(-full)
if [ "$(id -u)" = 0 ]; then
  # Outside Bazel, so that no test's time limit pays for the download.
  step "test images" tests/corpora/make_images.sh small
  step "clients of containerd" tests/clients/build_clients.sh
  step "a Debian for the package" tests/package/debian_root.sh node
  [ -z "$full" ] || step "large test images" tests/corpora/make_images.sh big
else
  tags+=(-requires-root)
fi
filter=$(IFS=,; echo "${tags[*]}")
run_bazel_tests "tests" --test_tag_filters="$filter"

if [ "$(id -u)" != 0 ]; then
  echo "not run, because they need root:"
  "${bazel[@]}" query 'attr(tags, "requires-root", tests(//...))' 2>/dev/null | sed 's/^/  /'
fi

if [ -n "$full" ]; then
  # The sanitizers watch the code, not the machine: the tests that start daemons add nothing but time, and those that
  # measure memory would measure the sanitizer's.
  watched="$filter${filter:+,}-exclusive,-full,-measures-memory"
  run_bazel_tests "asan and ubsan" --config=asan --config=ubsan --build_tests_only --test_tag_filters="$watched"
  run_bazel_tests "tsan" --config=tsan --build_tests_only --test_tag_filters="$watched"
  step "benches" bash -c "${bazel[*]} run --config=opt //tests/bench:bench -- --repeats 3 >'$work/bench.md'"
  mkdir -p docs
  {
    echo "# Test report"
    echo
    echo "\`scripts/test.sh --full\` at $(git rev-parse --short HEAD), $(uname -sr), $(nproc) cores: $passed passed, $failed failed."
    printf '\n## Tests\n\n| | passed | failed |\n|---|--:|--:|\n'
    cat "$work/report"
    printf '\n## Benches\n\n'
    cat "$work/bench.md" 2>/dev/null || true
  } >docs/test-report.md
fi

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
