#!/usr/bin/env bash
# `sluicectl doctor` on containerd 2.x, where clients depend on more of containerd's configuration: each fault does the harm
# that it is said to do, is found, and is gone once the mend is written where it says.
#   client_doctor_test.sh DAEMON SLUICECTL VERSION
set -euo pipefail
. tests/e2e/lib.sh
. tests/e2e/doctor_lib.sh
. "$repository/tests/corpora/oci_layout.sh"
. tests/clients/clients_lib.sh
. tests/clients/client_images.sh
node_isolate "$0" "$@"
node_programs "$1" "$2"
apply_mend=$(readlink -f tests/clients/apply_mend.py)

readonly CONFIG=/etc/containerd/config.toml

doctor() {
  code=0
  sluicectl doctor --json >"$node/doctor.json" 2>"$node/doctor.err" || code=$?
}

# configure COMMAND...: changes the page's configuration; begin is how containerd is then started.
configure() {
  containerd_stop
  containerd_configuration docs >"$CONFIG"
  "$@"
  "${begin:-containerd_run}"
}

# mend CHECK: what doctor has said of it is done, by the first way if there are two, and doctor asked again.
mend() {
  local lines file
  lines=$(jq -r --arg check "$1" '.checks[] | select(.check == $check and .verdict != "ok") | .mend' "$node/doctor.json")
  file=$(sed -nE '1s/^in (.*):$/\1/p' <<<"$lines")
  [ -f "$file" ] && [[ $lines == *"then: systemctl restart "* ]] || fail "the mend of $1: $lines"
  sed '/^then: /,$d' <<<"$lines" | "$apply_mend" "$file"
  note "mended: $(sed '/^then: /,$d' <<<"$lines" | paste -sd' ' | tr -s ' ')"
  eval "$(sed -n 's/^then: //p' <<<"$lines" | head -n 1)"
  doctor
}
# mended CHECK: that was all.
mended() {
  mend "$1"
  expect_healthy
}

pulls() { pull_by "$@" >"$node/pull.log" 2>&1; }
expect_pulls() { # CLIENT REF SNAPSHOTTER
  pulls "$@" || fail "$1 can't pull with $3: $(tail -n 3 "$node/pull.log")"
  forget_all
}
expect_no_pull() { # SAID CLIENT REF SNAPSHOTTER
  ! pulls "${@:2}" || fail "no harm done: $2 pulls with $4"
  grep -qF "$1" "$node/pull.log" || fail "the pull does not say '$1': $(tail -n 3 "$node/pull.log")"
}
image_directory() { cri fs-info | head -n 1 | cut -d' ' -f1; }

# The pair of the page, taken out.
without_pair() { drop_tables '[[plugins."io.containerd.transfer.v1.local".unpack_config]]' "\"$1\""; } # SNAPSHOTTER
set_exports_root() { sed -i "s|^ *root = .*|$1|" "$CONFIG"; } # LINE
printed() {
  sluicectl doctor --print-config --containerd-version "$version" >"$CONFIG"
  # The commented lines are for Kubernetes.
  sed -i 's/^# \(\[\|  \)/\1/' "$CONFIG"
  cri_of_this_node >>"$CONFIG"
  # Where registries are is another matter than sluice.
  printf '[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = "%s"\n' "$CERTS_D" >>"$CONFIG"
}

client_node "$3"
daemon_up
containerd_up docs
# Pulls are many here.
readonly LAYERS=3
for case in here lan; do
  tiny_layout "$storage/$case-gzip" "$LAYERS"
  push_to "$case" "$storage/$case-gzip" tiny:1
done
here=$(ref_of here tiny:1) lan=$(ref_of lan tiny:1)

node_case "a node that is set up as the page tells"
doctor
expect_healthy
expect ok transfer "unpack_config has sluice and overlayfs"
expect ok exports-root "sluice: $SLUICE_ROOT"
expect ok cri-annotations "on"

node_case "unpack_config lacks us"
configure without_pair sluice
doctor
expect fail transfer "unpack_config lacks sluice"
expect_no_pull "no unpack platforms defined" ctr "$here" sluice
mended transfer
expect_pulls ctr "$here" sluice

node_case "no unpack_config at all"
lacks_both() { without_pair sluice && without_pair overlayfs; }
configure lacks_both
doctor
expect fail transfer "no unpack_config"
expect_no_pull "no unpack platforms defined" ctr "$here" sluice
mended transfer
expect_pulls ctr "$here" sluice
expect_pulls ctr "$here" overlayfs

node_case "unpack_config lists us alone"
configure without_pair overlayfs
doctor
expect warn transfer "unpack_config lists sluice alone"
expect_no_pull "no unpack platforms defined" ctr "$here" overlayfs
mended transfer
expect_pulls ctr "$here" overlayfs
expect_pulls ctr "$here" sluice

node_case "the differ of a pair is not registered"
differ_is_gone() { drop_tables '[proxy_plugins.sluice-diff]'; }
begin=containerd_begin configure differ_is_gone
doctor
expect fail transfer "unpack_config names the differ sluice-diff, which is not registered"
ctr plugins ls | grep -E '^io.containerd.(transfer.v1|grpc.v1) +(local|cri) ' | grep -v ' error' && fail "no harm done"
mended transfer
expect_pulls ctr "$here" sluice

node_case "the differ is in the list for everybody"
containerd_stop
containerd_up differ
doctor
expect warn differ "sluice-diff is in the list of the diff service"
sluice_stop
expect_no_pull "" ctr-local "$here" overlayfs
daemon_up
await_daemon
mended differ
sluice_stop
expect_pulls ctr-local "$here" overlayfs
daemon_up
await_daemon

node_case "exports.root is missing, or is another's"
mkdir /var/lib/elsewhere
expect_root_missed() { # LINE SAID
  configure set_exports_root "$1"
  doctor
  expect fail exports-root "$2"
  [ "$(image_directory)" != "$SLUICE_ROOT" ] || fail "no harm done: the kubelet sees $SLUICE_ROOT"
  mended exports-root
  [ "$(image_directory)" = "$SLUICE_ROOT" ] || fail "the kubelet sees $(image_directory)"
}
expect_root_missed "" "sluice has no exports.root: the kubelet can't see how full $SLUICE_ROOT is"
expect_root_missed 'root = "/var/lib/elsewhere"' "sluice has exports.root /var/lib/elsewhere, the daemon's root is $SLUICE_ROOT"

node_case "CRI's annotations are off, and no registry's port is known"
# CRI finds hosts.toml, and sluice does not.
certs_d_at /etc/containerd/elsewhere
: >/etc/containerd-sluice-grpc/config.toml
systemctl restart containerd-sluice-grpc
untold() { sed -i "s|$CERTS_D|$hosts_dir|; /enable_remote_snapshot_annotations/d" "$CONFIG"; }
configure untold
doctor
expect warn cri-annotations "off, and no registry's port is known" 'enable_remote_snapshot_annotations = "true"'
sluice_log_mark
expect_pulls cri "$lan" sluice
expect_strategy defer+applied "$LAYERS"
mend cri-annotations
expect ok cri-annotations "on"
sluice_log_mark
expect_pulls cri "$lan" sluice
expect_strategy stream "$LAYERS"
expect warn hosts-dir "the daemon reads $CERTS_D, the kubelet's pulls $hosts_dir"
mended hosts-dir
certs_d_at "$CERTS_D"
store_of_here >/etc/containerd-sluice-grpc/config.toml
systemctl restart containerd-sluice-grpc

node_case "what --print-config prints is what this containerd needs of sluice"
configure printed
await_daemon
doctor
expect_healthy
expect ok cri-annotations "on"
for client in ctr cri; do
  for case in here:layout lan:stream; do
    ref=$(ref_of "${case%:*}" tiny:1)
    sluice_log_mark
    pulls "$client" "$ref" sluice || fail "$client: $(tail -n 3 "$node/pull.log")"
    expect_strategy "${case#*:}" "$LAYERS"
    expect_runs "$client" "$ref"
    forget_all
    sluicectl cache prune --cache "$SLUICE_ROOT/cache" >/dev/null 2>&1
  done
done
expect_pulls ctr-local "$here" overlayfs
