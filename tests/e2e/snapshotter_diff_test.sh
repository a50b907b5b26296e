#!/usr/bin/env bash
# The diff service: layers that containerd has fetched are applied to the daemon's snapshots by its own engine. Debian's
# containerd 1.6 knows no diff plugins; what a newer one does is done here call by call, over containerd's own snapshots
# service and content store.
#   snapshotter_diff_test.sh DAEMON SLUICECTL LIST_TREE PLAIN_PULL SNAPSHOTTER_CALL
set -euo pipefail
. tests/e2e/lib.sh
node_isolate "$0" "$@"
. tests/e2e/snapshotter_lib.sh
node_programs "$1" "$2"
list_tree=$(readlink -f "$3")
plain_pull=$(readlink -f "$4")
snapshotter_call=$(readlink -f "$5")

# through_containerd CALL...: what is made is safe from the garbage collection, which may run at any time.
through_containerd() {
  "$snapshotter_call" -namespace "$CONTAINERD_NAMESPACE" "$node/containerd.sock" sluice "$@" \
    containerd.io/gc.root=test 2>&1
}
# apply_over MOUNTS_FILE LAYER [SIZE]: of the image, counted from 0, by the daemon. Prints digest and size of the tar.
apply_over() {
  "$snapshotter_call" -namespace "$CONTAINERD_NAMESPACE" "$node/sluice.sock" sluice apply "${media_types[$2]}" \
    "${blobs[$2]}" "${3:-${sizes[$2]}}" <"$1" 2>&1
}
read_image() { # LAYOUT
  mapfile -t media_types < <(jq -r '.layers[].mediaType' "$(layout_manifest "$1")")
  mapfile -t blobs < <(layer_digests "$1")
  mapfile -t sizes < <(jq -r '.layers[].size' "$(layout_manifest "$1")")
  mapfile -t diff_ids < <(diff_ids "$1")
  mapfile -t chain < <(chain_ids "$1")
}
# unpack_image PREFIX: all layers as a client does it; each is committed as PREFIX and its chainID.
unpack_image() {
  local k answer parent='' tar_size
  for k in "${!blobs[@]}"; do
    through_containerd prepare "$1-key-$k" "$parent" >"$node/mounts" || fail "prepare: $(cat "$node/mounts")"
    answer=$(apply_over "$node/mounts" "$k") || fail "layer $k: $answer"
    [[ $answer == "${diff_ids[k]} "* ]] || fail "layer $k: applied $answer, not ${diff_ids[k]}"
    tar_size=$(decompressed "$LAYOUT/blobs/${blobs[k]/://}" | wc -c)
    [ "$answer" = "${diff_ids[k]} $tar_size" ] || fail "layer $k: the tar has $tar_size bytes: $answer"
    answer=$(through_containerd commit "$1-key-$k" "$1${chain[k]}") || fail "commit: $answer"
    parent=$1${chain[k]}
  done
}
decompressed() {
  case $(head -c 4 "$1" | od -An -tx1 | tr -d ' ') in
    1f8b*) gzip -dc "$1" ;;
    28b52ffd) zstd -dc "$1" ;;
    *) cat "$1" ;;
  esac
}
remove_image() { # PREFIX
  local k
  for ((k = ${#chain[@]} - 1; k >= 0; --k)); do
    in_containerd snapshots --snapshotter sluice rm "$1${chain[k]}"
  done
}

node_up "$(node_image small-gzip)"
expected=$storage/expected
"$SLUICECTL" unpack "$REF" "$expected" --layout "$LAYOUT"
sluice_start
containerd_start
read_image "$LAYOUT"
count=${#blobs[@]}
in_containerd content fetch --plain-http "$REF" >/dev/null

node_case "an image, layer by layer"
sluice_log_mark
unpack_image one-
[ "$(count_phrase ' applied digest=')" = "$count" ] || fail "$(count_phrase ' applied digest=') of $count are in the log"
expect_tree sluice "one-${chain[-1]}" "$expected"
note "$(sluice_log | grep -F ' applied digest=' | sed 's/.*] //' | sort -t= -k3 -n | tail -n 1)"

node_case "what is not ours"
printf 'bind /etc rw,rbind\n' >"$node/mounts"
answer=$(apply_over "$node/mounts" 0) && fail "/etc was taken for a snapshot: $answer"
[[ $answer == Unimplemented:* ]] || fail "$answer"
printf 'bind %s rw,rbind\n' "$root_directory/snapshots/1/fs" >"$node/mounts"
answer=$(apply_over "$node/mounts" 0) && fail "a committed snapshot was applied to: $answer"
[[ $answer == Unimplemented:* ]] || fail "$answer"

node_case "a layer that is not what its descriptor says leaves the snapshot as it was"
through_containerd prepare bad "" >"$node/bad-mounts"
answer=$(apply_over "$node/bad-mounts" 0 $((sizes[0] + 1))) && fail "a wrong size was accepted: $answer"
[[ $answer == "DataLoss: layer sha256:"* ]] || fail "$answer"
[ -z "$(ls -A "$(cut -d' ' -f2 "$node/bad-mounts")")" ] || fail "something is left in the snapshot"
answer=$(apply_over "$node/bad-mounts" 0) || fail "after the refusal: $answer"
in_containerd snapshots --snapshotter sluice rm bad

node_case "a daemon that is killed in the middle leaves nothing"
through_containerd prepare killed "" >"$node/killed-mounts"
kill -STOP "$containerd_pid"  # its content store gives nothing
apply_over "$node/killed-mounts" 0 >"$node/killed" &
applying=$!
wait_until 20 "no apply begins" is_filling
kill -KILL "$sluice_pid"
wait "$sluice_pid" 2>/dev/null || true
kill -CONT "$containerd_pid"
wait "$applying" && fail "the killed daemon has answered: $(cat "$node/killed")"
sluice_start "$LAYOUT"
await_daemon
wait_until 20 "new-* is left" no_leftovers
answer=$(apply_over "$node/killed-mounts" 0) || fail "after the restart: $answer"
in_containerd snapshots --snapshotter sluice rm killed

node_case "what a pull has filled is adopted"
sluice_log_mark
"$plain_pull" "$node/containerd.sock" "$CONTAINERD_NAMESPACE" sluice "$REF" >/dev/null
[ "$(count_phrase "$LAYOUT_PHRASE")" = "$count" ] || fail "the pull has filled $(count_phrase "$LAYOUT_PHRASE") layers"
use=$(disk_use)
unpack_image two-
[ "$(count_phrase ' adopted digest=')" = "$count" ] || fail "$(count_phrase ' adopted digest=') of $count are in the log"
[ "$(count_phrase ' applied digest=')" = 0 ] || fail "a layer was applied that is there"
[ "$(disk_use)" -le $((use + 64)) ] || fail "adopting takes room: $use, then $(disk_use) KiB"
expect_tree sluice "two-${chain[-1]}" "$expected"

node_case "what one still has stays, and nothing is left when all are gone"
forget_images
expect_tree sluice "two-${chain[-1]}" "$expected"
remove_image one-
remove_image two-
# Garbage collection is waited for only where an image is removed.
in_containerd content fetch --plain-http "$REF" >/dev/null
forget_images
no_snapshots() { [ -z "$(ls -A "$root_directory/snapshots")" ]; }
wait_until 20 "snapshots are left: $(ls "$root_directory/snapshots")" no_snapshots
expect_no_strays

node_case "the disk is full in the middle of a layer: it is said, nothing is left, and what fits still works"
sluice_stop
rm -rf "$root_directory"
mkdir "$root_directory"
# So large that the smallest layer fits, and the largest does not.
truncate -s 40M "$storage/small-disk"
mkfs.ext4 -q "$storage/small-disk"
mount -o loop "$storage/small-disk" "$root_directory"
chmod 0700 "$root_directory"
sluice_start
await_daemon
in_containerd content fetch --plain-http "$REF" >/dev/null
largest=$(printf '%s\n' "${sizes[@]}" | awk '{ print $1, NR - 1 }' | sort -n | tail -n 1 | cut -d' ' -f2)
smallest=$(printf '%s\n' "${sizes[@]}" | awk '{ print $1, NR - 1 }' | sort -n | head -n 1 | cut -d' ' -f2)
[ "${sizes[largest]}" -gt 40000000 ] || fail "control: ${sizes[largest]} bytes may fit"
through_containerd prepare full "" >"$node/full-mounts"
use=$(disk_use)
answer=$(apply_over "$node/full-mounts" "$largest") && fail "control: the layer fits: $answer"
[[ $answer == "ResourceExhausted: layer ${blobs[largest]:0:19}: "*": No space left on device" ]] || fail "$answer"
note "$answer"
expect_alive
expect_no_strays
[ -z "$(ls -A "$(cut -d' ' -f2 "$node/full-mounts")")" ] || fail "something is left in the snapshot"
[ "$(disk_use)" -le $((use + 64)) ] || fail "what was written is left: $use, then $(disk_use) KiB"
answer=$(apply_over "$node/full-mounts" "$smallest") || fail "a layer that fits: $answer"
[[ $answer == "${diff_ids[smallest]} "* ]] || fail "applied $answer"
sluice_stop
umount "$root_directory"
