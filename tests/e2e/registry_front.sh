# shellcheck shell=bash
# registry_front.py beside the registry of a node; sourced after lib.sh.

# front_start PORT=MODE...: before the registry. Its log is $front_log.
front_start() {
  local port
  front_log=$node/front.log
  : >"$front_log"
  : >"$node/front.err"
  nsenter -t "$remote_pid" -n python3 "$repository/tests/e2e/registry_front.py" "$front_log" "$REGISTRY" "$@" \
    >>"$node/front.err" 2>&1 &
  front_pid=$!
  for port; do
    wait_until 10 "the front does not answer: $(tail -n 1 "$node/front.err")" curl -fsS "http://172.30.0.1:${port%%=*}/v2/"
  done
}

# front_answers_ended: every answer that was begun is at its end, and so is its line.
front_answers_ended() { [ "$(grep -c '^ask ' "$front_log")" = "$(grep -c '^end ' "$front_log")" ]; }

# front_asked AGENT PATTERN...: how often by whom; PATTERN is fixed text of mode, host or path.
front_asked() {
  local agent=$1 pattern lines
  shift
  lines=$(awk -v agent="$agent" '$1 == "ask" && $4 == agent' "$front_log")
  for pattern; do lines=$(grep -F -- "$pattern" <<<"$lines" || true); done
  grep -c . <<<"$lines" || true
}

# front_bytes AGENT DIGEST: of the blob's body, in all answers to AGENT.
front_bytes() {
  wait_until 20 "the front is still answering" front_answers_ended
  awk -v agent="$1" -v blob="$2" '
    $1 == "ask" && $4 == agent && index($6, blob) { mine[$2] = 1 }
    $1 == "end" && mine[$2] { bytes += $3 }
    END { print bytes + 0 }' "$front_log"
}

# front_most_at_once AGENT HOST: answers with blobs of that host.
front_most_at_once() {
  wait_until 20 "the front is still answering" front_answers_ended
  awk -v agent="$1" -v host="$2" '
    $1 == "ask" && $4 == agent && $5 == host && index($6, "/blobs/") { mine[$2] = 1 }
    $1 == "end" && mine[$2] { print $4, 1; print $5, -1 }' "$front_log" |
    sort -k1,1n -k2,2n | awk '{ now += $2; if (now > most) most = now } END { print most + 0 }'
}
