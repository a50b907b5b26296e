# shellcheck shell=bash
# What several scripts of this folder need; sourced.
#
#   print_help       the comment at the head of the script, for --help
#   claim_bazel      at the beginning; bazel=(...) is how Bazel is called
#   release_bazel    at the end, however it ends: Bazel's server outlives its commands, and one that is younger than the script
#                    ends with it; one that was there before stays

print_help() { sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p}' "$0"; }

started_at() { sed 's/.*) //' "/proc/$1/stat" | cut -d' ' -f20; } # PID

bazel_server='' # "own" or "other" once it is known
claim_bazel() {
  local server
  server=$("${bazel[@]}" info server_pid 2>/dev/null) || return 0
  bazel_server=other
  [ "$(started_at "$server")" -lt "$(started_at $$)" ] || bazel_server=own
}

release_bazel() {
  trap '' INT TERM HUP
  # Interrupted before it was known.
  [ -n "$bazel_server" ] || claim_bazel
  [ "$bazel_server" != own ] || "${bazel[@]}" shutdown >/dev/null 2>&1 || true
}
