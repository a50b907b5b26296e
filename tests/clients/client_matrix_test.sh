#!/usr/bin/env bash
# One version of containerd and all its clients, as docs/ tells to set them up: client_matrix.txt, cell by cell. Every image
# that was pulled is run, too.
#   client_matrix_test.sh DAEMON SLUICECTL VERSION CODEC
# CLIENT_MATRIX_RESULTS, if it is set, is a file that gets a line of measurements for each cell.
set -euo pipefail
. tests/e2e/lib.sh
. "$repository/tests/corpora/oci_layout.sh"
. tests/clients/clients_lib.sh
node_isolate "$0" "$@"
node_programs "$1" "$2"
cells=$(readlink -f tests/clients/client_matrix.txt)
results=${CLIENT_MATRIX_RESULTS:-/dev/null}
declare -A overlayfs_seconds=()

measured_pull() { # CLIENT REF SNAPSHOTTER -> $seconds
  local started=$EPOCHREALTIME
  pull_by "$@" >"$node/pull.log" 2>&1 || fail "the pull failed: $(tail -n 3 "$node/pull.log")"
  seconds=$(seconds_since "$started")
}

prune_cache() { sluicectl cache prune --cache "$SLUICE_ROOT/cache" >/dev/null 2>&1; }

# begin SETUP: a containerd so set up, and a daemon that remembers no registry; nothing pulled but the pods' own image.
begin() {
  case $1 in *unknown-port*) certs_d_at /etc/containerd/elsewhere ;; *) certs_d_at "$CERTS_D" ;; esac
  daemon_up
  containerd_up "$1"
  [[ $1 == *unknown-port* ]] || cri pull "$(ref_of here pause:1)" >/dev/null
}
end() {
  forget_all
  containerd_stop
  sluice_stop
}

# What containerd does alone, once for each client.
measure_overlayfs() {
  local client
  for client in $(awk -v version="$version" '$1 == version && $3 !~ /sluicectl|-auth/ { print $3 }' "$cells" | sort -u); do
    node_case "$version $client, overlayfs"
    measured_pull "$client" "$(ref_of here)" overlayfs
    expect_runs "$client" "$(ref_of here)" overlayfs
    overlayfs_seconds[$client]=$seconds
    note "$seconds s"
    forget_all
  done
}

# The password is containerd's secret: sluice asks without, says why once, and is out of the way. The key that the client has
# chosen for the snapshot holds the nanosecond at which it did.
expect_password_missed() { # CASE
  local warnings lost
  warnings=$(sluice_log | grep '^W' || true)
  [ "$(grep -c . <<<"$warnings")" = 1 ] || fail "not one warning: $warnings"
  grep -F "$(registry_of "$1")" <<<"$warnings" | grep -qF 'wants credentials' || fail "the warning does not say it: $warnings"
  lost=$(sluice_log | sed -nE "s/^.[0-9]{8} ..:..:..\.([0-9]{6}) .*$DEFER_PHRASE.*extract-([0-9]+)-.*/\1 \2/p" | head -n 1 |
    awk '{ lost = $1 * 1000 - $2; if (lost < 0) lost += 1e9; print int(lost / 1e6) }')
  # Some 10 ms; a busy machine takes its time.
  [ "$lost" -le 500 ] || fail "the first layer was kept for $lost ms"
  note "one warning, $lost ms lost"
}

# What would change it is in the line that says so.
expect_mend() { # CASE
  local mend="could not be had from $REMOTE_REGISTRY"
  [ "$1" = remote ] || mend=registry.local_registries
  sluice_log | grep -F "$DEFER_PHRASE" | grep -qF "$mend" || fail "no '$mend': $(sluice_log | grep -F "$DEFER_PHRASE")"
}

check_cell() { # SETUP CLIENT CASE STRATEGY ASKED
  local client=$2 case=$3 asked ref seen
  ref=$(ref_of "$case")
  node_case "$version $2, $3 ($1, $codec)"
  forget_requests
  sluice_log_mark
  measured_pull "$client" "$ref" sluice
  asked=$(blobs_asked "$case")
  seen=$(strategy_seen "$(layer_count "$(layout_of "$case")")")
  [ "$seen $asked" = "$4 $5" ] || fail "'$seen', $asked blobs asked, not '$4', $5: $(sluice_log | tail -n 5)"
  [ "$1 $seen" != "unknown-port defer+applied" ] || expect_mend "$case"
  [[ "$client $seen" != "cri-auth defer"* ]] || expect_password_missed "$case"
  note "$seen, $asked blobs asked, $seconds s; overlayfs ${overlayfs_seconds[${client%-auth}]-none} s"
  # containerd's own applier of 1.7 takes twice as long.
  [ "$version $seen" != "1.7 applied" ] || awk "BEGIN { exit !($seconds < ${overlayfs_seconds[ctr]}) }" ||
    fail "not faster than containerd's own differ"
  [[ $client != cri* ]] || [[ $(cri status "$ref") == sha256:* ]] || fail "ImageStatus does not know the image"
  expect_runs "$client" "$ref"
  printf '%s\t' "$codec" "$version" "$1" "$client" "$case" "$seen" "$asked" "$seconds" >>"$results"
  printf '%s\n' "${overlayfs_seconds[${client%-auth}]-}" >>"$results"
  forget_cell "$client" "$ref"
  [[ $client != cri* ]] || expect_cri_has_forgotten "$ref"
}

expect_cri_has_forgotten() { # REF
  local status=0
  cri status "$1" >/dev/null || status=$?
  [ "$status" = 3 ] || fail "RemoveImage has left the image: $status"
}

# forget_cell: as after it nothing is left of the image, the next cell begins as this one did.
forget_cell() { # CLIENT REF
  case $1 in
    cri*) cri remove "$2" ;;
    *) in_containerd images rm --sync "$2" >/dev/null ;;
  esac
  prune_cache
}

check_page() {
  local told
  begin docs
  node_case "docs/containerd-$page.md, word for word on $version"
  docs_block "containerd-$page" ctr >"$node/page.sh"
  sh -eu "$node/page.sh" >"$node/page.log" 2>&1 </dev/null || fail "$(tail -n 3 "$node/page.log")"
  grep -q '^hello from ' "$node/page.log" || fail "the container said nothing: $(tail -n 3 "$node/page.log")"
  # The kubelet is told the file system whose space the images take.
  node_case "$version CRI's ImageFsInfo"
  [ "$version" != 1.6 ] || sh -eu <<<"$(docs_block containerd-1.6 root)"
  read -r told _ < <(cri fs-info)
  [ "$(readlink -f "$told")" = "$SLUICE_ROOT" ] || fail "the images are said to be in $told"
  note "$told"
  end
}

codec=$4
client_node "$3" "$codec"
begin docs+overlayfs
measure_overlayfs
end
check_page
for setup in $(awk -v version="$version" '$1 == version { print $2 }' "$cells" | uniq); do
  begin "$setup"
  mapfile -t rows < <(awk -v version="$version" -v setup="$setup" '$1 == version && $2 == setup { print $3, $4, $5, $6 }' "$cells")
  for row in "${rows[@]}"; do
    read -r client case strategy asked <<<"$row"
    check_cell "$setup" "$client" "$case" "$strategy" "$asked"
  done
  end
done
