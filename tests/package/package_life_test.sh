#!/usr/bin/env bash
# The package from installation to purge, on a machine whose process 1 is systemd, beside Debian's containerd and Debian's
# own sluice, with a container running. Prints a table.
#   package_life_test.sh DAEMON SLUICECTL
set -euo pipefail
. tests/e2e/lib.sh
. tests/package/machine.sh
node_isolate "$0" "$@"
node_programs "$1" "$2"

readonly STATE=/var/lib/containerd-sluice-grpc UNIT=containerd-sluice-grpc
declare -a table=()
# step TEXT COMMAND...: a row; what the command says last is its outcome.
step() {
  local text=$1 said status
  shift
  node_case "$text"
  # Beside "||" no command in it would end it.
  set +e
  said=$(set -e; "$@" 2>"$node/step.err")
  status=$?
  set -e
  [ "$status" = 0 ] || { in_machine journalctl -n 40 --no-pager -u $UNIT -u containerd >"$node/journal.log"; cat "$node/journal.log" >&2; }
  [ "$status" = 0 ] || fail "$(tail -n 5 "$node/step.err") $said"
  table+=("| $text | ${said##*$'\n'} |")
  note "${said##*$'\n'}"
}
expect() { [ "$1" = "$2" ] || fail "'$1' and not '$2'"; } # GOT WANTED
property() { in_machine systemctl show -P "$1" "${2:-$UNIT}"; }
ours() { in_machine find / -xdev \( -path /tmp -o -path /root/new -o -path /var/lib/containerd \) -prune -o \
  \( -name '*sluice*' -not -path '/usr/bin/sluice' -not -path '*/doc/sluice*' -not -path '*/info/sluice.*' \
  -not -path '*/completions/sluice' -not -path '*/man1/sluice.*' \) -print | sort; }
all_files() { in_machine find / -xdev -not -path '/tmp/*' -not -path '/var/log/*' -not -path '/proc/*' \
  -not -path '/var/lib/dpkg/*' -not -path '/var/cache/*' -not -path '/var/lib/docker-registry*' \
  -not -path '/var/lib/containerd/*' -not -path '/opt/containerd*' -not -path '/root/*' | sort; }
daemon_pid() { property MainPID; }
says_hello() { in_machine ctr task exec --exec-id "hello-$RANDOM" worker /srv/app/hello; }

pack() { SOURCE_DATE_EPOCH=1 packaging/make_deb.sh "$DAEMON" "$SLUICECTL" "$1" "$machine/root/new/$1.deb"; } # VERSION
packages() {
  mkdir "$machine/root/new"
  pack 1.0 && pack 1.1
  cp "$machine/root/new/1.0.deb" "$node/first.deb"
  pack 1.0
  cmp "$node/first.deb" "$machine/root/new/1.0.deb" || fail "the same build gives other bytes"
  echo "1.0 and 1.1, $(stat -c %s "$node/first.deb") bytes, twice the same"
}

beside_sluice() {
  local file
  all_files >"$node/before"
  in_machine dpkg -i /root/new/1.0.deb >&2
  in_machine dpkg -L sluice containerd | sort >"$node/theirs"
  for file in $(in_machine dpkg -L containerd-sluice); do
    [ -d "$machine$file" ] || ! grep -qxF "$file" "$node/theirs" || fail "$file is another package's"
  done
  [[ $(in_machine sluice -h 2>&1) == "sluice, version "* ]] || fail "sluice does not run any more"
  in_machine dpkg --verify containerd-sluice containerd sluice >&2
  echo "no file of sluice's or containerd's is touched; sluice runs"
}
started() {
  expect "$(property ActiveState)" active
  expect "$(property NRestarts)" 0
  expect "$(in_machine systemctl is-enabled $UNIT)" enabled
  expect "$(property ActiveState containerd.service)" active
  [[ $(property Wants containerd.service) == *$UNIT* ]] || fail "containerd does not want it"
  [[ $(property Before) == *containerd.service* ]] || fail "not before containerd"
  expect "$(in_machine stat -c '%a %U' /run/$UNIT $STATE /run/$UNIT/$UNIT.sock | tr '\n' ' ')" "711 root 700 root 600 root "
  expect "$(in_machine cat "/proc/$(daemon_pid)/environ" | tr '\0' '\n' | grep ^HOME)" HOME=/root
  echo "$(property StatusText); containerd was not restarted"
}
containerd_configured() {
  mkdir -p "$machine/etc/containerd/certs.d/$REGISTRY"
  docs_block containerd-1.6 containerd | in_machine tee /etc/containerd/config.toml >/dev/null
  printf '[[store]]\nkind = "distribution"\npath = "/var/lib/docker-registry"\nregistries = ["%s"]\n' "$REGISTRY" |
    in_machine tee -a /etc/$UNIT/config.toml >/dev/null
  in_machine sluicectl config check >&2
  in_machine systemctl restart $UNIT containerd
  in_machine ctr plugins ls | grep -qE 'snapshotter.*sluice.*ok' || fail "not loaded"
  echo "docs/containerd-1.6.md, word for word; loaded"
}
pulled() {
  in_machine ip addr add 172.30.0.1/32 dev lo
  in_machine ip link set lo up
  # Debian's wants a password that nobody has.
  printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: /var/lib/docker-registry}}\nhttp: {addr: ":5000"}\n' |
    in_machine tee /etc/docker/registry/config.yml >/dev/null
  in_machine systemctl restart docker-registry
  wait_until 10 "docker-registry does not answer" nsenter -t "$machine_pid" -n curl -fsS "http://$REGISTRY/v2/"
  nsenter -t "$machine_pid" -n skopeo --insecure-policy copy -q --dest-tls-verify=false "oci:$(node_image small-gzip):1" \
    "docker://$REF" || fail "skopeo"
  in_machine sluicectl pull "$REF" >&2
  expect "$(in_machine journalctl -u $UNIT -o cat | grep -c "$LAYOUT_PHRASE")" "$(layer_count "$SLUICE_CACHE/images/small-gzip")"
  echo "$(layer_count "$SLUICE_CACHE/images/small-gzip") layers, all by layout"
}
container_runs() {
  in_machine ctr run --detach --snapshotter sluice "$REF" worker sleep infinity >&2
  [[ $(says_hello) == "hello from "* ]] || fail "no hello"
  echo "its root: $(in_machine awk '$5 ~ /worker\/rootfs/ { print "overlay mounted by containerd,", gsub(/snapshots/, "") , "directories of", "'$STATE'" }' /proc/1/mountinfo)"
}
# The daemon's mount namespace is not the host's, and holds nothing of it.
own_namespace() {
  local pid host_ns own_ns
  pid=$(daemon_pid)
  host_ns=$(in_machine readlink /proc/1/ns/mnt) own_ns=$(in_machine readlink "/proc/$pid/ns/mnt")
  [ "$host_ns" != "$own_ns" ] || fail "it has no namespace of its own"
  in_machine sh -c "! nsenter -t $pid -m touch /etc/x 2>/dev/null" || fail "/etc can be written"
  # What containerd mounts later is seen, and let go again: else it could not be removed.
  in_machine mkdir /mnt/later
  in_machine mount -t tmpfs later /mnt/later
  in_machine touch /mnt/later/file
  in_machine ls "/proc/$pid/root/mnt/later/file" >/dev/null || fail "a later mount is not seen"
  in_machine umount /mnt/later
  ! in_machine grep -q /mnt/later "/proc/$pid/mountinfo" || fail "an unmounted one is held"
  in_machine rmdir /mnt/later
  in_machine ctr run --rm --snapshotter sluice "$REF" short /srv/app/hello >&2 || fail "a container's root can't be removed"
  echo "/etc read-only, later mounts come and go, containers are made and removed"
}
watchdog_bites() {
  local before pid
  before=$(property NRestarts)
  pid=$(daemon_pid)
  in_machine mkdir -p /run/systemd/system/$UNIT.service.d
  printf '[Service]\nWatchdogSec=2\n' | in_machine tee /run/systemd/system/$UNIT.service.d/t.conf >/dev/null
  in_machine systemctl daemon-reload
  in_machine systemctl restart $UNIT
  sleep 5
  expect "$(property NRestarts)" 0
  in_machine kill -STOP "$(daemon_pid)"
  wait_until 20 "systemd does not restart a daemon that hangs" restarted_once
  wait_until 10 "it does not come back" is_active
  in_machine rm -r /run/systemd/system/$UNIT.service.d
  in_machine systemctl daemon-reload
  in_machine systemctl restart $UNIT
  [[ $(says_hello) == "hello from "* ]] || fail "the container suffers"
  echo "left alone for 5 s at WatchdogSec=2, restarted when stopped by SIGSTOP; the container goes on"
}
restarted_once() { [ "$(property NRestarts)" = 1 ]; }
is_active() { [ "$(property ActiveState)" = active ]; }
killed() {
  in_machine kill -KILL "$(daemon_pid)"
  wait_until 10 "not restarted" restarted_once
  wait_until 10 "it does not come back" is_active
  [[ $(says_hello) == "hello from "* ]] || fail "the container suffers"
  echo "restarted; the container goes on"
}
stopped() {
  local shims
  shims=$(in_machine pgrep -c containerd-shim)
  in_machine systemctl stop $UNIT
  expect "$(property Result)" success
  expect "$(in_machine pgrep -c containerd-shim)" "$shims"
  [[ $(says_hello) == "hello from "* ]] || fail "the container suffers"
  in_machine systemctl start $UNIT
  echo "success; the container, its shim and containerd go on"
}
upgraded() {
  local pid containerd_pid
  pid=$(daemon_pid) containerd_pid=$(property MainPID containerd.service)
  in_machine env DEBIAN_FRONTEND=noninteractive dpkg -i /root/new/1.1.deb >&2
  expect "$(in_machine dpkg-query -W -f '${Version}' containerd-sluice)" 1.1
  [ "$(daemon_pid)" != "$pid" ] || fail "the old daemon serves"
  expect "$(property MainPID containerd.service)" "$containerd_pid"
  in_machine grep -q '^\[\[store\]\]' /etc/$UNIT/config.toml || fail "the configuration is not the administrator's any more"
  [[ $(says_hello) == "hello from "* ]] || fail "the container suffers"
  wait_until 20 "containerd does not find the daemon again" in_machine ctr run --rm --snapshotter sluice "$REF" again /srv/app/hello
  echo "the container goes on, exec works, new ones start; containerd untouched, configuration kept"
}
removed() {
  in_machine dpkg -r containerd-sluice >&2
  [[ $(says_hello) == "hello from "* ]] || fail "the container suffers"
  [ -n "$(in_machine ls $STATE/snapshots)" ] || fail "the images are gone"
  [ -e "$machine/etc/$UNIT/config.toml" ] || fail "the configuration is gone"
  ! in_machine systemctl cat $UNIT 2>/dev/null | grep -q ExecStart || fail "the unit is there"
  echo "the container goes on; state and configuration are kept"
}
purged_in_use() {
  in_machine dpkg -P containerd-sluice >"$node/purge" 2>&1
  grep -q "$STATE is kept: containers use it" "$node/purge" || fail "it says nothing: $(cat "$node/purge")"
  expect "$(grep -c '^  /' "$node/purge")" 1
  grep -q '^  /run/.*/worker/rootfs$' "$node/purge" || fail "it does not say which: $(cat "$node/purge")"
  [[ $(says_hello) == "hello from "* ]] || fail "the container suffers"
  [ -n "$(in_machine ls $STATE/snapshots)" ] || fail "the images are gone"
  echo "refused for the state: $(grep -m 1 rootfs "$node/purge" | xargs); the container goes on"
}
installed_again() {
  in_machine dpkg -i /root/new/1.1.deb >&2
  containerd_configured >&2
  in_machine ctr run --rm --snapshotter sluice "$REF" thrice /srv/app/hello >&2
  echo "what was pulled before still runs"
}
unused() {
  in_machine ctr task kill --signal KILL worker
  wait_until 10 "the container does not end" in_machine ctr task rm worker
  in_machine ctr containers rm worker
  in_machine ctr images rm --sync "$REF" >&2
  in_machine sluicectl layers prune >&2
  expect "$(in_machine awk '/containerd-sluice-grpc\/snapshots/' /proc/1/mountinfo)" ''
  in_machine rm /etc/containerd/config.toml
  in_machine systemctl restart containerd
  echo "no mount, no image"
}
purged() {
  in_machine dpkg -P containerd-sluice >&2
  in_machine rmdir /etc/containerd/certs.d/* /etc/containerd/certs.d /etc/containerd 2>/dev/null || true
  expect "$(ours)" ''
  all_files >"$node/after"
  diff "$node/before" "$node/after" | grep '^[<>]' >"$node/left" || true
  grep -v -e /run/ -e /etc/containerd "$node/left" >"$node/unexpected" || true
  [ ! -s "$node/unexpected" ] || fail "on the disk: $(cat "$node/unexpected")"
  [ -z "$(in_machine sh -c "ls -d /run/*sluice* 2>/dev/null")" ] || fail "something in /run"
  expect "$(property LoadState)" not-found
  echo "nothing is left on the disk"
}

machine_unpack node
step "two packages are built" packages
machine_boot
step "installed beside Debian's sluice and containerd" beside_sluice
step "its daemon runs" started
step "containerd and a store are configured" containerd_configured
step "an image is pulled" pulled
step "a container runs" container_runs
step "the daemon's mount namespace" own_namespace
step "a daemon that hangs" watchdog_bites
step "a daemon that is killed" killed
step "systemctl stop, with the container running" stopped
step "upgraded, with the container running" upgraded
step "removed, with the container running" removed
step "purged, with the container running" purged_in_use
step "installed again" installed_again
step "nothing uses it any more" unused
step "purged" purged

printf '\n| step | outcome |\n|---|---|\n'
printf '%s\n' "${table[@]}"
