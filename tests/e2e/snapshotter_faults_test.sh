#!/usr/bin/env bash
# Blobs that are wrong or go away, and a daemon without space, inodes or descriptors: containerd does the work instead,
# or the pull ends with a clear error; nothing stays behind, and afterwards it works again.
#   snapshotter_faults_test.sh DAEMON SLUICECTL LIST_TREE PLAIN_PULL SNAPSHOTTER_CALL
set -euo pipefail
. tests/e2e/lib.sh
node_isolate "$0" "$@"
. tests/e2e/snapshotter_lib.sh
node_programs "$1" "$2"
list_tree=$(readlink -f "$3")
plain_pull=$(readlink -f "$4")

pull() { "$plain_pull" "$node/containerd.sock" "$CONTAINERD_NAMESPACE" sluice "$REF"; }

warnings() { sluice_log | grep '^W' | grep -v 'snapshotter_prepare.cc' || true; }

# expect_warned_once PATH CAUSE: of everything that went wrong the log has this one warning.
expect_warned_once() {
  local lines
  lines=$(sluice_log | grep '^[WE]' || true)
  [ "$(wc -l <<<"$lines")" = 1 ] || fail "not one warning: $lines"
  grep -F "$1" <<<"$lines" | grep -qF -- "$2" || fail "the warning does not say $1 and '$2': $lines"
}

# expect_pulled: the pull succeeds with every layer from the layout, now or before, and its tree is right.
expect_pulled() {
  pull || fail "the pull failed"
  [ "$(count_phrase 'deferring to containerd')" = 0 ] || fail "$(sluice_log | grep -F 'deferring to containerd')"
  [ "$(count_phrase "$LAYOUT_PHRASE")" -gt 0 ] || fail "no layer from the layout"
  expect_tree sluice "$top" "$expected"
  expect_alive
  expect_no_strays
}

base_listing() { # a line an entry; but for the root, which containerd leaves as it was when it made the directory
  mount_view sluice "$base" "$node/view"
  "$list_tree" "$node/view" | sed 1d
  unmount_view sluice "$base" "$node/view"
}

# expect_all_deferred: the pull succeeds without the daemon. Of containerd's own unpacking the upper layers are not
# compared: in those it has errors that are not ours (the list is beside unpack_equality_test.sh).
expect_all_deferred() {
  pull || fail "the pull failed"
  [ "$(count_phrase "$LAYOUT_PHRASE")" = 0 ] || fail "$(count_phrase "$LAYOUT_PHRASE") layers from the layout"
  diff <(base_listing) "$storage/base-listing" >&2 || fail "the tree of the base layer differs"
  said=$(in_containerd run --rm --snapshotter sluice "$REF" "container-$RANDOM") || fail "the container does not run"
  [[ $said == "hello from "* ]] || fail "the container said '$said'"
  expect_alive
  expect_no_strays
}

restore() { # the layout as it was
  rm -rf "$LAYOUT"
  cp -r "$good" "$LAYOUT"
}

# start_fresh [LAYOUT...]: a daemon that has nothing yet and remembers nothing.
start_fresh() {
  forget_images
  sluice_stop
  rm -rf "${root_directory:?}"/* 2>/dev/null || true
  sluice_start "$@"
  sluice_log_mark
  await_daemon
}

good=$(node_image small-gzip)
node_up "$good"
mapfile -t layers < <(layer_digests "$LAYOUT")
mapfile -t chain < <(chain_ids "$LAYOUT")
base=${chain[0]}
top=${chain[-1]}
expected=$storage/expected
"$SLUICECTL" unpack "$REF" "$expected" --layout "$LAYOUT"
base_blob=$LAYOUT/blobs/${layers[0]/://}
damaged_blob=$LAYOUT/blobs/${layers[1]/://}
sluice_start "$LAYOUT"
containerd_start

node_case "a truncated blob"
sluice_log_mark
truncate -s 100 "$damaged_blob"
pull
expect_warned_once "$damaged_blob" "100 bytes instead of"
base_listing >"$storage/base-listing"
[ "$(wc -l <"$storage/base-listing")" -gt 1000 ] || fail "the base layer has no files"
expect_tree sluice "$top" "$expected"
expect_no_strays

node_case "a blob cut short while it is read"
restore
start_fresh "$LAYOUT"
pull &
puller=$!
wait_until 20 "no fill begins" is_filling
kill -STOP "$sluice_pid"
truncate -s 1000 "$base_blob"
kill -CONT "$sluice_pid"
wait "$puller" || fail "the pull failed"
expect_warned_once "$base_blob" "layer ${layers[0]:0:19}"
expect_tree sluice "$top" "$expected"
expect_no_strays

node_case "a blob deleted while it is read: the open file is enough"
restore
start_fresh "$LAYOUT"
pull &
puller=$!
wait_until 20 "no fill begins" is_filling
rm "$base_blob"
wait "$puller" || fail "the pull failed"
sluice_log | grep -F "$LAYOUT_PHRASE" | grep -qF "${layers[0]}" || fail "not from the layout"
expect_tree sluice "$top" "$expected"

node_case "a blob that is a fifo, and one that is a directory"
restore
start_fresh "$LAYOUT"
rm "$base_blob" "$damaged_blob"
mkfifo "$base_blob"
mkdir "$damaged_blob"
pull
for blob in "$base_blob" "$damaged_blob"; do
  [ "$(warnings | grep -cF "$blob")" = 1 ] || fail "not one warning for $blob: $(warnings)"
done
warnings | grep -qF "not a regular file" || fail "the reason is missing: $(warnings)"
expect_tree sluice "$top" "$expected"

# From here on the registry is nobody's way out.
sluice_config=$(printf '[[registry.policy]]\nhosts = ["%s"]\nstrategies = ["layout"]' "$REGISTRY")

node_case "the layout removed"
start_fresh "$LAYOUT"
rm -rf "$LAYOUT"
expect_all_deferred
sluice_log | grep 'deferring to containerd' | grep -qF "is in no store on this host ($LAYOUT)" ||
  fail "the log does not say which store was looked into"

node_case "a disk that gives I/O errors"
disk=$storage/layout-disk
mkfs.ext4 -q -d "$good" "$disk" 400M
mkdir "$LAYOUT"
mount -o loop,ro "$disk" "$LAYOUT"
find "$LAYOUT" -ls >/dev/null # names and inodes are in memory, the blobs are not
truncate -s 0 "$disk"
start_fresh "$LAYOUT"
expect_all_deferred
for digest in "${layers[@]}"; do
  lines=$(warnings | grep -F "$LAYOUT/blobs/${digest/://}" || true)
  [ "$(grep -cF 'Input/output error' <<<"$lines")" = 1 ] || fail "not one warning for $digest: $lines"
done
forget_images
sluice_stop
umount "$LAYOUT"
rm "$disk"
restore
sluice_config=''
sluice_start "$LAYOUT"

# Each case has a root of its own kind, so small that the image does not fit.
small_root() { # TMPFS_OPTIONS
  forget_images
  sluice_stop
  ! mountpoint -q "$root_directory" || umount "$root_directory"
  rm -rf "$root_directory"
  mkdir -p "$root_directory"
  mount -t tmpfs -o "mode=0700,$1" small-root "$root_directory"
  start_fresh "$LAYOUT"
}

# expect_refused_then_works CAUSE TMPFS_OPTIONS: the pull fails with this cause and leaves nothing; with room it works.
expect_refused_then_works() {
  local answer
  answer=$(pull 2>&1) && fail "the pull succeeded where it can not"
  grep -qiF "$1" <<<"$answer" || fail "the error does not say '$1': $answer"
  note "$(tail -n 1 <<<"$answer" | cut -c1-200)"
  expect_alive
  forget_images
  expect_no_strays
  mount -o "remount,$2" "$root_directory"
  sluice_log_mark
  expect_pulled
}

node_case "disk full"
small_root size=20m
expect_refused_then_works "no space left on device" size=1g

node_case "a full disk does not keep garbage collection from making room"
dd if=/dev/zero of="$root_directory/ballast" bs=64K 2>/dev/null && fail "the disk is not full"
used=$(disk_use)
forget_images
wait_until 20 "nothing was freed" no_leftovers
[ "$(disk_use)" -lt $((used - 400000)) ] || fail "$used KiB were in use, now $(disk_use) KiB"
rm "$root_directory/ballast"
expect_no_strays
sluice_log_mark
expect_pulled

node_case "out of inodes"
small_root size=1g,nr_inodes=200
expect_refused_then_works "no space left on device" nr_inodes=100000

node_case "out of descriptors"
small_root size=1g
sluice_stop
descriptors=$(ulimit -Sn)
ulimit -Sn 40
sluice_start "$LAYOUT"
ulimit -Sn "$descriptors"
sluice_log_mark
await_daemon
for attempt in 1 2 3; do
  answer=$(pull 2>&1) || note "attempt $attempt: $(tail -n 1 <<<"$answer" | cut -c1-200)"
done
expect_alive
note "with 40 descriptors: $(count_phrase "$LAYOUT_PHRASE") layers from the layout"
expect_no_strays
start_fresh "$LAYOUT"
expect_pulled
