#!/usr/bin/env bash
# What becomes of a layer, whatever is the matter with the places it may be: strategy_matrix.txt, cell by cell, in one
# daemon and all at once. The witness is the access log of a front that makes one real registry misbehave.
#   strategy_matrix_test.sh DAEMON SLUICECTL LIST_TREE PLAIN_PULL CONCURRENT_PULL
set -euo pipefail
. tests/e2e/lib.sh
. tests/e2e/registry_front.sh
node_isolate "$0" "$@"
node_programs "$1" "$2"
list_tree=$(readlink -f "$3")
concurrent_pull=$(readlink -f "$5")

cells=$(readlink -f tests/e2e/strategy_matrix.txt)
made=$storage/made
hosts_dir=$node/certs.d
cache=$storage/sluice/cache

matrix() { python3 "$repository/tests/e2e/strategy_matrix.py" "$@"; }

# hosts_of PATTERN: of the cells whose line matches, as items of a TOML list.
hosts_of() { awk -v pattern="$1" '$0 ~ pattern { sub("/.*", "", $3); printf "%s\"%s\"", n++ ? ", " : "", $3 }' "$made/cells"; }

policy() { # NAME TOML
  printf '[[registry.policy]]\nhosts = [%s]\n%s\n' "$(hosts_of "^c[0-9]+ $1 ")" "$2"
}

configuration() {
  cat <<END
[[store]]
kind = "oci-layout"
path = "$storage/store"
[registry]
hosts_dir = "$hosts_dir"
max_downloads = 32
local_registries = [$(hosts_of ' 172\.31\.')]
$(policy cached-only 'strategies = ["cached"]')
$(policy no-stream 'strategies = ["layout", "cached"]')
$(policy stream-only 'strategies = ["stream"]')
$(policy layout-only 'strategies = ["layout"]')
$(policy single 'max_downloads = 1')
$(policy throttled 'max_bytes_per_second = "16KiB"')
END
}

node_network
registry_start
# A host for each cell: all of 172.31/16 is the registry's machine.
ip route add 172.31.0.0/16 via 172.30.0.1
nsenter -t "$remote_pid" -n ip route add local 172.31.0.0/16 dev lo
front_start 5001=up 5002=down 5003=slow@16384 5004=401 5005=wrong-digest
matrix make "$cells" "$made" "$REGISTRY" "$hosts_dir"
mkdir -p "$storage/store/blobs"
mv "$made/layout" "$storage/store/blobs/sha256"
printf '{"imageLayoutVersion": "1.0.0"}' >"$storage/store/oci-layout"
printf '{"schemaVersion": 2, "manifests": []}' >"$storage/store/index.json"
sluice_config=$(configuration)
sluice_start
containerd_start
cp "$made/cache"/* "$cache/blobs/sha256/"
sluice_log_mark
find "$storage/store/blobs/sha256" -type f -size +1M >"$node/vanishing"
xargs python3 "$repository/tests/e2e/vanish.py" <"$node/vanishing" >"$node/vanished" &
vanisher=$!
wait_until 10 "no file can be made to vanish" grep -q ready "$node/vanished"

node_case "every cell, at once"
started=$SECONDS
awk '{ print $3, $4 }' "$made/cells" |
  "$concurrent_pull" "$node/containerd.sock" "$CONTAINERD_NAMESPACE" sluice "$hosts_dir" >"$node/pulls"
note "$(wc -l <"$node/pulls") pulls in $((SECONDS - started)) s"
sluice_log >"$node/said"
matrix observe "$cells" "$made" "$node/said" "$front_log" "$node/pulls" "$cache/blobs/sha256" >"$node/observed"
grep -v '^#' "$cells" | awk '{ $1 = $1; print }' >"$node/expected"
column -t "$node/observed" | sed 's/^/    /'
diff "$node/expected" "$node/observed" >"$node/different" || fail "cells differ from the table: $(cat "$node/different")"

node_case "each tree is right that was pulled"
trees=0
while IFS=$'\t' read -r ref outcome directory; do
  [ "$outcome" = pulled ] || continue
  name=${ref##*/}
  "$list_tree" "$directory" --diff "$made/expected/${name%:1}" --ignore .=mtime || fail "the tree of $ref differs"
  trees=$((trees + 1))
done <"$node/pulls"
[ "$trees" = "$(grep -c ' pulled ' "$node/expected")" ] || fail "only $trees trees were compared"
note "$trees trees"

node_case "what vanished was being read"
wait_until 10 "still there: $(cat "$node/vanishing")" test ! -d "/proc/$vanisher"
grep -v ready "$node/vanished" | sort | diff - <(sort "$node/vanishing") || fail "not all vanished"

node_case "what is wrong on this host is named, once"
for place in layout cache; do
  column=$([ $place = layout ] && echo 1 || echo 4)
  paste -d' ' "$node/expected" "$made/cells" | awk -v column="$column" '$column == "corrupt" { print $0 }' >"$node/corrupt"
  while read -r _ _ _ _ _ _ kind _ _ _ _ _ _ _ _ blob _; do
    case $place in
      layout) expected=1 line="not used: $storage/store/blobs/${blob/://} " ;;
      cache) # Where the store had it, or no copy may be used, nobody looks.
        expected=1 line="not used: $cache: blob $blob"
        [ "$kind" != oci-layout ] || expected=0
        ;;
    esac
    [ "$(grep '^W' "$node/said" | grep -cF "$line")" = "$expected" ] || fail "not $expected × '$line'"
  done <"$node/corrupt"
  note "$(wc -l <"$node/corrupt") corrupt ones in the $place"
done

node_case "max_downloads of a registry"
one=$(front_most_at_once sluice 172.31.250.1:5003)
many=$(front_most_at_once sluice 172.31.250.2:5003)
[ "$one" = 1 ] || fail "$one at once where only one may be"
[ "$many" -gt 1 ] || fail "control: not more than $many at once where there is no limit"
note "at once: $one with the limit, $many without"

node_case "max_bytes_per_second of a registry"
grep -F 'store=172.31.250.3:5001/' "$node/said" | sed 's/.* bytes=\([0-9]*\) seconds=\([0-9.]*\) .*/\1 \2/' >"$node/throttled"
[ "$(wc -l <"$node/throttled")" = 4 ] || fail "not four: $(cat "$node/throttled")"
awk '$2 < $1 / 16384 { exit 1 }' "$node/throttled" || fail "faster than 16384 bytes a second: $(cat "$node/throttled")"
note "seconds for $(awk '{ printf "%d bytes: %s; ", $1, $2 }' "$node/throttled")at 16384 a second"

node_case "a failed pull leaves nothing behind"
expected_count=$(grep -c ' pulled ' "$node/expected")
awk -F'\t' '$2 == "failed" { print $1 }' "$node/pulls" >"$node/failed"
in_containerd images ls -q | grep -xF -f "$node/failed" && fail "an image is there whose pull failed"
in_containerd snapshots --snapshotter sluice ls >"$node/snapshots"
[ "$(grep -c Committed "$node/snapshots")" = "$expected_count" ] || fail "snapshots: $(cat "$node/snapshots")"
[ "$(grep -c Active "$node/snapshots" || true)" = 0 ] || fail "active snapshots: $(cat "$node/snapshots")"
# What containerd removes it tells the snapshotter with its next garbage collection: that of an image.
one=$(awk -F'\t' '$2 == "pulled" { print $1; exit }' "$node/pulls")
in_containerd images rm --sync "$one" >/dev/null
only_pulled_are_left() {
  [ "$(find "$storage/sluice/snapshots" -mindepth 1 -maxdepth 1 | wc -l)" = $((expected_count - 1)) ] &&
    [ -z "$(find "$storage/sluice" -maxdepth 1 -name 'new-*')" ] && [ -z "$(find "$cache/ingest" -type f)" ]
}
wait_until 30 "something is left of the failed pulls" only_pulled_are_left
note "$(wc -l <"$node/failed") pulls failed, and only directories of the others are there"
