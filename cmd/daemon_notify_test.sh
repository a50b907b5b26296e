#!/usr/bin/env bash
# containerd-sluice-grpc under a service manager, played over a real notification socket: when it is ready, that it lives,
# and that it says nothing of the kind when it is stuck. daemon_notify_test.sh DAEMON SLUICECTL SERVICE_MANAGER
set -euo pipefail

daemon=$(readlink -f "$1") sluicectl=$(readlink -f "$2") manager=$(readlink -f "$3")
. cmd/daemon_test_lib.sh
address=$work/s.sock

start() { # FLAG...: the daemon under the manager
  : >"$work/said"
  # A wrapper may have another process than the service, which tells its own.
  "$manager" --log "$work/said" "$@" -- sh -c 'echo $$ >"$0/pid"; exec "$@"' "$work" \
    "$daemon" --config "$work/config.toml" --root "$work/root" --address "$address" 2>>"$work/daemon.log" &
  pids+=($!)
  manager_pid=$!
  await READY=1 1
  daemon_pid=$(cat "$work/pid")
  pids+=("$daemon_pid")
}
count() { grep -c " $1" "$work/said" || true; } # PREFIX
await() { # PREFIX TIMES
  local tries
  for tries in {1..400}; do
    [ "$(count "$1")" -lt "$2" ] || return 0
    sleep 0.05
  done
  fail "'$1' was not said $2 times in $((tries / 20)) s: $(cat "$work/said")"
}
stop() {
  local status=0
  kill -TERM "$daemon_pid"
  wait "$manager_pid" || status=$?
  [ "$status" = 0 ] || fail "exit code $status"
}
at() { grep -m 1 " $1" "$work/said" | cut -d' ' -f1; } # PREFIX

for kind in path abstract; do
  start $([ $kind = path ] || echo --abstract) --on-ready "'$sluicectl' status --address '$address' --json >'$work/status.log'"
  await ON_READY 1
  [ "$(count ON_READY=0)" = 1 ] || fail "$kind: READY before the socket answers"
  [ "$(count "STATUS=serving $address")" = 1 ] || fail "$kind: no status"
  [ "$(count WATCHDOG=1)" = 0 ] || fail "$kind: nobody asked for signs of life"
  stop
  [ "$(count STOPPING=1)" = 1 ] || fail "$kind: no STOPPING"
  [ "$(tail -n 2 "$work/said" | cut -d' ' -f2 | head -n 1)" = STOPPING=1 ] || fail "$kind: something after STOPPING"
  echo "ok: $kind: READY, status, STOPPING"
done

start --watchdog 2
await WATCHDOG=1 6
[ "$(awk '/ WATCHDOG=1/ { if (last && $1 - last > 1.5) late = 1; last = $1 } END { print late + 0 }' "$work/said")" = 0 ] ||
  fail "signs of life are late"
echo "ok: signs of life, 6 in $(awk "BEGIN { print $(tail -n 1 "$work/said" | cut -d' ' -f1) - $(at READY=1) }") s of WatchdogSec=2"

# What a program that forgets its transaction does to us: from outside, on the real database.
hold() { exec python3 -c 'import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
database.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(60)' "$work/root/sluice.db"; }
hold >"$work/held" &
holder=$!
pids+=("$holder")
until grep -q held "$work/held"; do sleep 0.05; done
before=$(count WATCHDOG=1)
# A proof that was under way may still succeed.
sleep 1
between=$(count WATCHDOG=1)
[ $((between - before)) -le 1 ] || fail "$((between - before)) signs of life while the metadata is locked"
await STATUS=stuck 1
[ "$(count WATCHDOG=1)" = "$between" ] || fail "signs of life while the metadata is locked"
grep -q '^W.*watchdog: no sign of life given: .*locked' "$work/daemon.log" || fail "no WARNING"
echo "ok: none for $(awk "BEGIN { print $(at STATUS=stuck) - $(grep ' WATCHDOG=1' "$work/said" | tail -n 1 | cut -d' ' -f1) }") s with the database locked: $(grep -m 1 STATUS=stuck "$work/said" | cut -d' ' -f2-)"
kill "$holder"
wait "$holder" || true
await "STATUS=serving again" 1
[ "$(count WATCHDOG=1)" -gt "$between" ] || fail "no sign of life after the lock is gone"
echo "ok: again when it is free"

rm "$address"
between=$(count WATCHDOG=1)
await STATUS=stuck 2
[ "$(count WATCHDOG=1)" -le $((between + 1)) ] || fail "signs of life without a socket"
echo "ok: none without its socket: $(grep STATUS=stuck "$work/said" | tail -n 1 | cut -d' ' -f2-)"
stop

# Meant for another process.
start --watchdog 0
stop
WATCHDOG_USEC=400000 WATCHDOG_PID=1 start
sleep 1
[ "$(count WATCHDOG=1)" = 0 ] || fail "signs of life that are not asked of this process"
stop
echo "ok: WATCHDOG_PID of another process"
