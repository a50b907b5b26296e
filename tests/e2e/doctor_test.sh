#!/usr/bin/env bash
# `sluicectl doctor` on a real node: what is broken is found, with its mend, and what is well is not complained of; status,
# layers and config beside it.
#   doctor_test.sh DAEMON SLUICECTL
set -euo pipefail
. tests/e2e/lib.sh
. tests/e2e/doctor_lib.sh
node_isolate "$0" "$@"
node_programs "$1" "$2"

certs=$node/certs.d
# A cache with a bound: the default of a small tmpfs is nothing to compare with.
usual_config="[registry]
hosts_dir = \"$certs\"
[cache]
max_bytes = \"64MiB\"
min_free = \"16MiB\""
sluice_config=$usual_config

# [config=FILE] [socket=PATH] [containerd_config=FILE] doctor: its JSON in $node/doctor.json, its exit code in $code.
doctor() {
  code=0
  "$SLUICECTL" doctor --json --config "${config:-$node/sluice.toml}" --address "${socket:-$node/sluice.sock}" \
    --containerd-config "${containerd_config:-$node/containerd.toml}" >"$node/doctor.json" 2>"$node/doctor.err" || code=$?
}

# mended: doctor has no complaint any more.
mended() {
  doctor
  expect_healthy
}

hosts_toml() { # SCHEME [HOST]
  local host=${2:-$REGISTRY}
  mkdir -p "$certs/$host"
  printf '[host."%s://%s"]\n  capabilities = ["pull", "resolve"]\n' "$1" "$host" >"$certs/$host/hosts.toml"
}

# members FILE...: the paths of all members in these JSON documents.
members() {
  jq -r 'paths | map(if type == "number" then "[]" else . end) | join(".")' "$@" | sort -u
}

# documented VERB: the example in the manual.
documented() {
  sed -n "/^## .sluicectl $1 /,/^## /p" docs/cli.md | sed -n '/^```json$/,/^```$/p' | sed '/^```/d'
}

is_refusing() { "$SLUICECTL" status --json --address "$node/sluice.sock" | jq -e '.containerd.refusal != null'; }
knows_containerd() { "$SLUICECTL" status --json --address "$node/sluice.sock" | jq -e '.containerd.uuid != null'; }
restart_sluice() { # [STORE...]
  sluice_stop
  sluice_start "$@"
  await_daemon
}

node_case "daemon and containerd not there"
node_up "$(node_image small-gzip)"
hosts_toml http
: >"$node/sluice.toml"
printf '[grpc]\n  address = "%s"\n' "$node/containerd.sock" >"$node/containerd.toml"
doctor
expect fail socket "no socket there" "systemctl start containerd-sluice-grpc"
expect fail containerd "$node/containerd.sock: no socket there" "systemctl start containerd"
expect fail registered "no snapshotter of $node/containerd.toml" "[proxy_plugins.sluice]"
code=0
"$SLUICECTL" status --address "$node/sluice.sock" 2>"$node/err" || code=$?
[ "$code" = 7 ] || fail "status: exit code $code without a daemon"
[ "$(wc -l <"$node/err")" = 1 ] || fail "status says more than a line: $(cat "$node/err")"
grep -qF "sluicectl: daemon: $node/sluice.sock: no socket there" "$node/err" || fail "$(cat "$node/err")"

node_case "a node that is well"
sluice_start "$LAYOUT"
containerd_start
wait_until 20 "the daemon meets no containerd" knows_containerd
mended
expect ok registered "[proxy_plugins.sluice]"
expect ok loaded sluice
expect ok host "$REGISTRY: http"
documented doctor >"$node/documented.json"
[ "$(members "$node/documented.json")" = "$(members "$node/doctor.json")" ] || fail "docs/cli.md has other members of doctor"
text=$("$SLUICECTL" doctor --config "$node/sluice.toml" --address "$node/sluice.sock" --containerd-config "$node/containerd.toml")
[ "$(grep -cE '^ok    [a-z-]+: ' <<<"$text")" = "$(jq '.checks | length' "$node/doctor.json")" ] || fail "text: $text"

node_case "the configuration is found by the running containerd"
code=0
"$SLUICECTL" doctor --json --config "$node/sluice.toml" --address "$node/sluice.sock" >"$node/doctor.json" || code=$?
expect_healthy
expect ok registered "$node/containerd.toml"

node_case "registered, but containerd not restarted"
cp "$node/containerd.toml" "$node/containerd.toml.good"
printf '[proxy_plugins.later]\n  type = "snapshot"\n  address = "%s"\n' "$node/sluice.sock" >>"$node/containerd.toml"
doctor
expect fail loaded "later is configured, but containerd was not restarted since" "systemctl restart containerd"
expect warn loaded "sluice is loaded, but $node/containerd.toml was changed" "systemctl restart containerd"
expect warn one-containerd "two names for one daemon: later, sluice" "remove [proxy_plugins."
cp "$node/containerd.toml.good" "$node/containerd.toml"
containerd_stop
containerd_start
mended

node_case "a name that nerdctl takes for another"
containerd_stop
containerd_start my-stargz
doctor
expect fail name 'my-stargz: nerdctl takes a name with "stargz"' "[proxy_plugins.sluice]"
containerd_stop
containerd_start

node_case "the plugin has another address"
sed "s|address = \"$node/sluice.sock\"|address = \"/run/old.sock\"|" "$node/containerd.toml" >"$node/other.toml"
containerd_config=$node/other.toml doctor
expect fail registered "[proxy_plugins.sluice] has the address /run/old.sock" "address = \"$node/sluice.sock\""

node_case "the socket: refused, stale, a file"
cp "$SLUICECTL" "$node/sluicectl"
chmod 755 "$node/sluicectl"
code=0
setpriv --reuid 65534 --regid 65534 --clear-groups "$node/sluicectl" doctor --json --config "$node/sluice.toml" \
  --address "$node/sluice.sock" --containerd-config "$node/containerd.toml" >"$node/doctor.json" 2>"$node/doctor.err" || code=$?
expect fail socket "permission denied" "sudo sluicectl doctor"
expect fail containerd "permission denied" "sudo sluicectl doctor"
kill -KILL "$sluice_pid"
wait "$sluice_pid" 2>/dev/null || true
doctor
expect fail socket "refused: nobody listens there" "systemctl start containerd-sluice-grpc"
rm "$node/sluice.sock"
echo x >"$node/sluice.sock"
doctor
expect fail socket "is no socket" "rm -r $node/sluice.sock"
rm "$node/sluice.sock"
# containerd answers there, and is no daemon of ours.
socket=$node/containerd.sock doctor
expect fail socket "what serves there is no containerd-sluice-grpc" "systemctl restart"
sluice_start "$LAYOUT"
mended

node_case "the daemon's configuration is wrong"
printf '[cache]\nmax_byts = 1\n' >"$node/bad.toml"
config=$node/bad.toml doctor
expect fail config "$node/bad.toml:2: unknown key \"cache.max_byts\"" "sluicectl config check $node/bad.toml"
code=0
"$SLUICECTL" config check "$node/bad.toml" 2>"$node/err" || code=$?
[ "$code" = 1 ] || fail "config check: exit code $code"
grep -qF "$node/bad.toml:2: unknown key" "$node/err" || fail "$(cat "$node/err")"
printf '[registry]\nlocal_registries = ["a b"]\n' >"$node/bad.toml"
! "$SLUICECTL" config check "$node/bad.toml" 2>"$node/err" || fail "config check takes a host with a blank"
grep -qF "registry.local_registries" "$node/err" || fail "$(cat "$node/err")"
"$SLUICECTL" config check "$node/sluice.toml" | grep -qxF "OK: $node/sluice.toml" || fail "config check"
"$SLUICECTL" config default >"$node/default.toml"
"$SLUICECTL" config check "$node/default.toml" >/dev/null || fail "the default configuration is refused"

node_case "containerd's address is another's"
sed "s|^address = .*|address = \"/run/nobody.sock\"|" "$node/sluice.toml" >"$node/other.toml"
config=$node/other.toml doctor
expect fail containerd-address "the daemon asks /run/nobody.sock" "address = \"$node/containerd.sock\""
# Without a hint where containerd is, what is usual is looked at.
mkdir -p /run/k3s/containerd
ln -s "$node/containerd.sock" /run/k3s/containerd/containerd.sock
code=0
"$SLUICECTL" doctor --json --config "$node/other.toml" --address "$node/sluice.sock" >"$node/doctor.json" 2>"$node/doctor.err" || code=$?
expect fail containerd "one serves /run/k3s/containerd/containerd.sock" 'address = "/run/k3s/containerd/containerd.sock"'
rm -r /run/k3s
# A symbolic link on the way is no other address.
ln -s "$node" /run/node-link
sed "s|^address = .*|address = \"/run/node-link/containerd.sock\"|" "$node/sluice.toml" >"$node/other.toml"
config=$node/other.toml doctor
expect ok containerd-address "$node/containerd.sock"

node_case "containerd's address is on its command line"
containerd_stop
cp "$node/containerd.toml" "$node/containerd.toml.good"
sed -i '/^\[grpc\]$/,+1d' "$node/containerd.toml"
containerd --config "$node/containerd.toml" --address "$node/containerd.sock" >>"$node/containerd.log" 2>&1 &
containerd_pid=$!
wait_until 20 "containerd does not serve" in_containerd version
code=0
"$SLUICECTL" doctor --json --config "$node/sluice.toml" --address "$node/sluice.sock" >"$node/doctor.json" 2>"$node/doctor.err" || code=$?
expect_healthy
expect ok containerd-address "$node/containerd.sock"
cp "$node/containerd.toml.good" "$node/containerd.toml"
containerd_stop
containerd_start

node_case "two containerds on one socket"
mkdir -p "$node/second"
sed -e "s|$node/containerd.sock|$node/second/containerd.sock|; s|^state = .*|state = \"$node/second\"|" \
  -e "s|^root = .*|root = \"$storage/second\"|" "$node/containerd.toml" >"$node/second.toml"
printf '[ttrpc]\n  address = "%s"\n' "$node/second/ttrpc.sock" >>"$node/second.toml"
containerd --config "$node/second.toml" >>"$node/second.log" 2>&1 &
second_pid=$!
wait_until 20 "the second containerd does not serve" ctr -a "$node/second/containerd.sock" version
containerd_config=$node/second.toml doctor
expect fail one-containerd "the daemon serves the one with UUID" "one for each containerd"
sluice_stop
sed "s|$node/containerd.sock|$node/second/containerd.sock|" "$node/sluice.toml" >"$node/second-sluice.toml"
"$DAEMON" --config "$node/second-sluice.toml" --address "$node/sluice.sock" --root "$storage/sluice" >>"$node/sluice.log" 2>&1 &
sluice_pid=$!
wait_until 20 "the daemon serves a second containerd" is_refusing
config=$node/second-sluice.toml containerd_config=$node/second.toml doctor
expect fail one-containerd "belongs to the one with UUID" "one for each containerd"
stop_process "$second_pid"
restart_sluice "$LAYOUT"

node_case "stores"
mkdir "$storage/not-a-layout"
echo x >"$storage/not-a-layout/file"
restart_sluice "$storage/not-a-layout" "$storage/absent" distribution:registry zot:registry
doctor
expect fail store "oci-layout $storage/not-a-layout: has no oci-layout" "[[store]]"
expect fail store "oci-layout $storage/absent: stat($storage/absent)" "[[store]]"
expect fail store "zot $storage/registry: has no repository" "[[store]]"
expect ok store "distribution $storage/registry"
restart_sluice "$LAYOUT"

node_case "hosts.toml against what is spoken"
hosts_toml https
doctor
expect fail host "$certs/$REGISTRY/hosts.toml says https, and $REGISTRY speaks http" "[host.\"http://$REGISTRY\"]"
rm "$certs/$REGISTRY/hosts.toml"
rmdir "$certs/$REGISTRY"
doctor
expect warn host "speaks http, and containerd asks it by https" "[host.\"http://$REGISTRY\"]"
hosts_toml http
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$node/key.pem" -out "$node/cert.pem" -days 2 -subj /CN=x 2>/dev/null
openssl s_server -accept 127.0.0.1:5443 -key "$node/key.pem" -cert "$node/cert.pem" -quiet >/dev/null 2>&1 &
tls_pid=$!
wait_until 10 "openssl does not serve" bash -c 'exec 3<>/dev/tcp/127.0.0.1/5443'
hosts_toml http 127.0.0.1:5443
doctor
expect fail host "hosts.toml says http, and 127.0.0.1:5443 speaks https" '[host."https://127.0.0.1:5443"]'
stop_process "$tls_pid"
doctor
expect warn host "127.0.0.1:5443: nobody answers" "curl -v"
rm -r "$certs/127.0.0.1:5443"
sluice_config="[registry]
hosts_dir = \"$node/no-such\""
restart_sluice
doctor
expect fail hosts-dir "$node/no-such: no such directory" "mkdir -p $node/no-such"

node_case "a cache that is larger than the room"
sluice_config="${usual_config/64MiB/100TiB}"
restart_sluice "$LAYOUT"
doctor
expect warn cache "more than there is room for" 'max_bytes = "'
sluice_config=$usual_config
restart_sluice "$LAYOUT"
mended

node_case "status and layers after a pull"
sluice_pull >/dev/null 2>"$node/err" || fail "the pull failed: $(cat "$node/err")"
layers=$(layer_count "$LAYOUT")
"$SLUICECTL" status --json --address "$node/sluice.sock" >"$node/status.json"
jq -e --argjson layers "$layers" '.strategies == [{"strategy": "layout", "layers": $layers, "bytes": .strategies[0].bytes}]
  and .fallbacks == [] and .fills == [] and .layers.count == $layers and .layers.unclaimed == 0 and .containerd.uuid != null
  and (.snapshots | any(.snapshotter == "sluice" and .kind == "committed" and .count == $layers))' "$node/status.json" >/dev/null ||
  fail "status: $(cat "$node/status.json")"
"$SLUICECTL" layers ls --json --address "$node/sluice.sock" >"$node/layers.json"
[ "$(jq -r '.layers[].diffId' "$node/layers.json" | sort)" = "$(diff_ids "$LAYOUT" | sort)" ] ||
  fail "layers: $(cat "$node/layers.json")"
jq -e 'all(.layers[]; .users | length == 1)' "$node/layers.json" >/dev/null || fail "users: $(cat "$node/layers.json")"
[ "$("$SLUICECTL" layers prune --json --address "$node/sluice.sock" | jq .layers)" = 0 ] || fail "used layers are pruned"
[ "$("$SLUICECTL" layers ls --address "$node/sluice.sock" | grep -c '1 users$')" = "$layers" ] || fail "layers ls"

node_case "an image whose layers only another snapshotter has"
mended
config_blob=$(jq -r .config.digest "$(layout_manifest "$LAYOUT")")
chain=$(chain_ids "$LAYOUT" | tail -n 1)
in_containerd content label "$config_blob" containerd.io/gc.ref.snapshot.stargz="$chain" containerd.io/gc.ref.snapshot.sluice= >/dev/null
doctor
expect warn images "$REF: $layers layers are in no content store, and unpacked by stargz" "images rm $REF"
in_containerd content label "$config_blob" containerd.io/gc.ref.snapshot.sluice="$chain" containerd.io/gc.ref.snapshot.stargz= >/dev/null
mended

node_case "status --watch shows a slow fill"
forget_images
sluice_config="$usual_config
[[registry.policy]]
hosts = [\"172.30.0.0/24\"]
max_bytes_per_second = \"1MiB\""
restart_sluice
sluice_pull >/dev/null 2>&1 &
pull_pid=$!
shows_a_fill() {
  "$SLUICECTL" status --json --address "$node/sluice.sock" |
    jq -e 'any(.fills[]; .stage == "reading" and .strategy == "stream" and .bytes > 0 and .totalBytes > .bytes and
      .bytesPerSecond > 0 and .secondsLeft > 0)'
}
wait_until 30 "status shows no fill" shows_a_fill
"$SLUICECTL" status --json --address "$node/sluice.sock" >"$node/filling.json"
"$SLUICECTL" status --watch --address "$node/sluice.sock" >"$node/watched" &
watch_pid=$!
wait_until 10 "status --watch does not go on" bash -c "[ \$(grep -c '^daemon ' '$node/watched') -ge 2 ]"
kill -INT "$watch_pid"
wait "$watch_pid" || fail "status --watch ends with $?"
grep -qE "$REF +sha256:[0-9a-f]{12} +stream +\[=* *\] +[0-9]+% .* of .*/s .* s left" "$node/watched" || fail "$(cat "$node/watched")"
stop_process "$pull_pid"

node_case "status counts what was left to containerd"
forget_images
sluice_config="$usual_config
[[registry.policy]]
hosts = [\"172.30.0.0/24\"]
strategies = [\"layout\"]"
restart_sluice
sluice_pull >/dev/null 2>"$node/err" || fail "the pull failed: $(cat "$node/err")"
"$SLUICECTL" status --json --address "$node/sluice.sock" >"$node/deferred.json"
jq -e '.strategies == [] and all(.fallbacks[]; .strategy == "defer" and .reason == "forbidden") and
  ([.fallbacks[].count] | add > 0) and (.fallbacks[0].lastMessage | contains("policy"))' "$node/deferred.json" >/dev/null ||
  fail "status: $(cat "$node/deferred.json")"
# The manual's example has every member, and no other.
documented status >"$node/documented.json"
[ "$(members "$node/documented.json" | grep -v localRegistries.)" = "$(members "$node/status.json" "$node/filling.json" "$node/deferred.json")" ] ||
  fail "docs/cli.md has other members of status"

node_case "SELinux"
# This kernel need not have it: its files are played, and the attribute is a real one.
selinux_doctor() { # ENFORCE CONTEXT
  setfattr -n security.selinux -v "$2" "$storage/sluice"
  mkdir -p "$node/selinux/selinux"
  printf '%s' "$1" >"$node/selinux/selinux/enforce"
  mount --bind "$node/selinux" /sys/fs
  doctor
  umount /sys/fs
}
selinux_doctor 1 system_u:object_r:var_lib_t:s0
expect fail selinux "$storage/sluice: var_lib_t: SELinux keeps containers from their own files" \
  "semanage fcontext -a -t container_file_t '$storage/sluice(/.*)?'"
selinux_doctor 0 system_u:object_r:var_lib_t:s0
expect warn selinux "once SELinux enforces" "restorecon -R $storage/sluice"
selinux_doctor 1 system_u:object_r:container_file_t:s0
expect ok selinux "$storage/sluice: container_file_t"
setfattr -x security.selinux "$storage/sluice"
doctor
jq -e 'all(.checks[]; .check != "selinux")' "$node/doctor.json" >/dev/null || fail "SELinux where there is none"

node_case "a root that can't hold layers"
sluice_stop
mkdir "$storage/upper" "$storage/work"
mount -t overlay -o "lowerdir=/var/lib,upperdir=$storage/upper,workdir=$storage/work" overlay /var/lib
doctor
expect fail root "is on overlayfs" "--root DIRECTORY"
umount /var/lib

node_case "what --print-config prints, containerd understands"
containerd_stop
"$SLUICECTL" doctor --print-config --containerd-version 1.6 --address "$node/sluice.sock" >"$node/printed.toml"
containerd -c "$node/printed.toml" config dump >"$node/dump.toml" || fail "refused: $(cat "$node/printed.toml")"
grep -A 4 -F '[proxy_plugins.sluice]' "$node/dump.toml" | grep -qF "address = \"$node/sluice.sock\"" || fail "$(cat "$node/dump.toml")"
grep -A 4 -F '[proxy_plugins.sluice]' "$node/dump.toml" | grep -qF 'type = "snapshot"' || fail "$(cat "$node/dump.toml")"
# The commented lines are right too.
sed 's/^# \(\[\|  \)/\1/' "$node/printed.toml" >"$node/cri.toml"
containerd -c "$node/cri.toml" config dump >"$node/dump.toml" || fail "refused: $(cat "$node/cri.toml")"
grep -qE '^ +disable_snapshot_annotations = false' "$node/dump.toml" || fail "annotations are not on: $(cat "$node/cri.toml")"
grep -qE '^ +snapshotter = "sluice"' "$node/dump.toml" || fail "CRI does not use us"
code=0
"$SLUICECTL" doctor --print-config --address "$node/sluice.sock" --containerd-address "$node/containerd.sock" 2>"$node/err" || code=$?
[ "$code" = 7 ] || fail "exit code $code where the version is not known"
grep -qF -- '--containerd-version' "$node/err" || fail "$(cat "$node/err")"
