# shellcheck shell=bash
# What `sluicectl doctor --json` has found, in $node/doctor.json, and its exit code, in $code; sourced after lib.sh.

# expect VERDICT CHECK SEEN [MEND]: one finding is so, SEEN and MEND being parts of what it says.
expect() {
  jq -e --arg verdict "$1" --arg check "$2" --arg seen "$3" --arg mend "${4-}" 'any(.checks[];
    .verdict == $verdict and .check == $check and (.seen | contains($seen)) and ((.mend // "") | contains($mend)))' \
    "$node/doctor.json" >/dev/null || fail "no '$1 $2: $3' with mend '${4-}' in $(cat "$node/doctor.json" "$node/doctor.err")"
  if [ "$1" = fail ]; then
    [ "$code" = 1 ] || fail "exit code $code with a failed check"
  fi
  note "$1 $2: $3"
}

expect_healthy() {
  [ "$code" = 0 ] || fail "exit code $code: $(cat "$node/doctor.err")"
  jq -e '.failed == 0 and .warned == 0' "$node/doctor.json" >/dev/null || fail "complaints: $(jq .checks "$node/doctor.json")"
}
