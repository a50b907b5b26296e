#!/usr/bin/env bash
# containerd-sluice-grpc as a process: flags, refusals, signals, what it leaves. daemon_test.sh DAEMON
set -euo pipefail

daemon=$(readlink -f "$1")
. cmd/daemon_test_lib.sh
note() { echo "ok: $*"; }

start() { # NAME ROOT ADDRESS [FLAG...]: in the background, log in NAME.log
  local name=$1 root=$2 address=$3
  shift 3
  "$daemon" --config "$work/config.toml" --root "$root" --address "$address" "$@" 2>"$work/$name.log" &
  pids+=($!)
  pid=$!
}
await_socket() { # ADDRESS
  for _ in $(seq 200); do
    [ ! -S "$1" ] || return 0
    sleep 0.05
  done
  fail "no socket at $1"
}
# refused NAME MESSAGE COMMAND...: exits 1 with one line that has MESSAGE, at once.
refused() {
  local name=$1 message=$2 status=0
  shift 2
  timeout 20 "$@" 2>"$work/$name.log" || status=$?
  [ "$status" = 1 ] || fail "$name: exit code $status"
  grep -v '^[IWE][0-9]' "$work/$name.log" | grep -qF -- "$message" || fail "$name: not '$message'"
  note "$name"
}
stop() { # PID
  local status=0
  kill -TERM "$1"
  wait "$1" || status=$?
  [ "$status" = 0 ] || fail "exit code $status after SIGTERM"
}

"$daemon" --version | grep -qE '^[0-9]+\.[0-9]+\.[0-9]+$' || fail "--version"
"$daemon" --help | grep -q -- '--address' || fail "--help"
note "version and help"
for wrong in --no-such-flag operand --log-level=loud; do
  status=0
  timeout 20 "$daemon" "$wrong" 2>"$work/usage" || status=$?
  [ "$status" = 2 ] || fail "$wrong: exit code $status"
  [ "$(tail -n 1 "$work/usage")" = "try 'containerd-sluice-grpc --help'" ] || fail "$wrong: $(cat "$work/usage")"
done
note "wrong command lines"

address=$work/run/s.sock
start first "$work/root" "$address"
first=$pid
await_socket "$address"
[ "$(stat -c %a "$address")" = 600 ] || fail "the socket is not 0600"
[ "$(stat -c %a "$work/root")" = 700 ] || fail "the root is not 0700"
note "serves with no containerd in sight"

refused same_address "is served by another process" \
  "$daemon" --config "$work/config.toml" --root "$work/other" --address "$address"
refused same_root "is in use by another containerd-sluice-grpc" \
  "$daemon" --config "$work/config.toml" --root "$work/root" --address "$work/run/other.sock"
[ -S "$address" ] || fail "a refused daemon has taken the socket away"
[ ! -e "$work/run/other.sock" ] || fail "a refused daemon has left a socket"

stop "$first"
[ ! -e "$address" ] || fail "socket left behind"
note "SIGTERM"

start killed "$work/root" "$address"
await_socket "$address"
kill -KILL "$pid"
wait "$pid" || true
[ -S "$address" ] || fail "a killed daemon has no way to take its socket away"
start after "$work/root" "$address"
for _ in $(seq 200); do
  ! grep -q ' serves ' "$work/after.log" || break
  sleep 0.05
done
grep -q ' serves ' "$work/after.log" || fail "does not start over a stale socket"
stop "$pid"
note "starts over the socket of one that was killed"

# The mode that it has in the end says nothing of the moment before.
strace -f -q -o "$work/trace" -e trace=umask,bind "$daemon" --config "$work/config.toml" --root "$work/root" \
  --address "$address" 2>"$work/traced.log" &
pids+=($!)
await_socket "$address"
kill -TERM "$(awk 'NR == 1 { print $1 }' "$work/trace")"
wait "${pids[-1]}" || fail "the traced daemon ended with $?"
[ "$(grep -E 'umask|AF_UNIX.*/s[.]sock' "$work/trace" | grep -B 1 bind | grep -c 'umask(0177)')" = 1 ] ||
  fail "the socket is bound with another umask than 0177: $(cat "$work/trace")"
note "nobody else may connect from the first moment"

printf '[unpack]\nworkrs = 2\n' >"$work/bad.toml"
refused unknown_key "config: $work/bad.toml:2: unknown key \"unpack.workrs\"" "$daemon" --config "$work/bad.toml"
printf '[registry]\nlocal_registries = ["a b"]\n' >"$work/host.toml"
refused bad_host 'config: registry.local_registries' \
  "$daemon" --config "$work/host.toml" --root "$work/root" --address "$address"
printf '[unpack]\nworkers = "two"\n' >"$work/type.toml"
refused wrong_type "config: $work/type.toml:2: unpack.workers: must be a number" "$daemon" --config "$work/type.toml"
printf '\n[[store]\n' >"$work/syntax.toml"
refused bad_syntax "config: $work/syntax.toml:2: " "$daemon" --config "$work/syntax.toml"
refused config_is_a_directory "config: $work: can't be read" "$daemon" --config "$work"
refused missing_config "$work/none.toml" "$daemon" --config "$work/none.toml"
refused bad_root "is not an absolute path" \
  "$daemon" --config "$work/config.toml" --root relative --address "$address"
refused long_address "too long for a socket" \
  "$daemon" --config "$work/config.toml" --root "$work/root" --address "/$(printf 'a%.0s' $(seq 120))"

cp "$daemon" "$work/daemon"
chmod 755 "$work" "$work/daemon"
chmod 644 "$work/config.toml"
refused not_root "must run as root" setpriv --reuid 65534 --regid 65534 --clear-groups \
  "$work/daemon" --config "$work/config.toml" --root "$work/root" --address "$address"

# ramfs has no trusted xattrs. The mount is in a namespace of its own.
mkdir "$work/ramfs"
refused unfit_root "root: $work/ramfs/root: can't set trusted.overlay.opaque" \
  unshare --mount sh -c 'mount -t ramfs ramfs "$1"/ramfs && exec "$2" --config "$1"/config.toml --root "$1"/ramfs/root \
    --address "$3"' sh "$work" "$daemon" "$address"
[ ! -e "$address" ] || fail "a refused daemon has left a socket"

# refused_on NAME MESSAGE MOUNT_COMMAND: a root on what this mounts at $work/mounted.
mkdir "$work/mounted" "$work/lower"
refused_on() {
  refused "$1" "$2" unshare --mount sh -ec "$3; "'exec "$2" --config "$1"/config.toml --root "$1"/mounted/root --address "$3"' \
    sh "$work" "$daemon" "$address"
  [ ! -e "$address" ] || fail "a refused daemon has left a socket"
}
refused_on read_only_root "Read-only file system" \
  'mount -t tmpfs tmpfs "$1"/mounted && mount -o remount,ro "$1"/mounted'
refused_on overlay_root "is on overlayfs" 'mount -t tmpfs tmpfs "$1"/lower && mkdir "$1"/lower/l "$1"/lower/u "$1"/lower/w &&
  mount -t overlay overlay -o lowerdir="$1"/lower/l,upperdir="$1"/lower/u,workdir="$1"/lower/w "$1"/mounted'

# It serves where only single-layer images suffer, and says which.
unshare --mount sh -ec 'mount -t tmpfs -o nosuid,nodev tmpfs "$1"/mounted
  exec "$2" --config "$1"/config.toml --root "$1"/mounted/root --address "$3"' sh "$work" "$daemon" "$address" \
  2>"$work/restricted.log" &
pids+=($!)
pid=$!
await_socket "$address"
for option in nosuid nodev; do
  grep -q "^W.*is mounted $option: " "$work/restricted.log" || fail "no warning about $option"
done
stop "$pid"
note "warns of nosuid and nodev"

printf '[metrics]\naddress = "localhost:9464"\n' >"$work/bad.toml"
refused metrics_address "bad.toml:2: metrics.address: must be an IP address with a port" \
  "$daemon" --config "$work/bad.toml" --root "$work/root" --address "$address"

sqlite3_newer() { python3 -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute("PRAGMA user_version=999")' "$1"; }
sqlite3_newer "$work/root/sluice.db"
refused newer_schema "schema 999 is newer" \
  "$daemon" --config "$work/config.toml" --root "$work/root" --address "$address"
