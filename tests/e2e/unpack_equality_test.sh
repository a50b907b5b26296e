#!/usr/bin/env bash
# What lies on the disk is what others make of the same image: the flat tree equals umoci's, the mounted overlay chain
# equals the flat tree and containerd's own unpack, entry by entry, but for the differences that were decided (the
# *.decided files: each must occur, no other may).
#   unpack_equality_test.sh DAEMON SLUICECTL LIST_TREE SET      SET: small or big
set -euo pipefail
. tests/e2e/lib.sh
# Two trees of the big image and its blobs three times: in the layout, in the registry, in containerd.
[ "${4-}" != big ] || storage_gib=14
node_isolate "$0" "$@"
node_programs "$1" "$2"
list_tree=$(readlink -f "$3")
set_name=$4
decided=$(readlink -f tests/e2e/decided)

unpack_flat() { "$SLUICECTL" unpack "$REF" "$2" --layout "$1"; }

# Every name that readdir gives can be stat'ed, in the view of each prefix of the chain.
expect_prefixes_readable() { # SNAPSHOTTER
  local chain
  for chain in $(chain_ids "$LAYOUT"); do
    mount_view "$1" "$chain" "$node/prefix"
    find "$node/prefix" -ls >/dev/null || fail "the view of $chain has names that cannot be stat'ed"
    unmount_view "$1" "$chain" "$node/prefix"
  done
}

# compare_overlay FORM: the image in this form, pulled into an empty sluice and an empty containerd. At most two trees are
# there at once.
compare_overlay() {
  local image top ghosts
  image=$(node_image "$set_name-$1")
  top=$(chain_ids "$image" | tail -n 1)

  node_case "$set_name: overlay, $1: equals the flat tree"
  node_push "$image"
  sluice_start "$LAYOUT"
  await_daemon
  sluice_log_mark
  sluice_pull
  [ "$(count_phrase "$LAYOUT_PHRASE")" = "$(layer_count "$LAYOUT")" ] || fail "not every layer was unpacked by sluice"
  mount_view sluice "$top" "$node/ours"
  unpack_flat "$image" "$storage/flat"
  expect_equal "$node/ours" "$storage/flat" "$decided/$set_name-overlay"
  rm -rf "$storage/flat"

  node_case "$set_name: overlay, $1: each prefix of the chain can be read"
  expect_prefixes_readable sluice

  node_case "$set_name: overlay, $1: equals containerd's own unpack"
  in_containerd images pull --plain-http --snapshotter overlayfs "$REF" >/dev/null
  if [ "$set_name" = small ]; then
    ghosts=$(remove_ghosts "$storage/containerd/io.containerd.snapshotter.v1.overlayfs")
    [ -n "$ghosts" ] || fail "containerd wrote no whiteout into the new directory"
    note "decided: containerd's whiteout in a new directory cannot be stat'ed: ${ghosts##*/fs/}"
  fi
  mount_view overlayfs "$top" "$node/theirs"
  expect_equal "$node/ours" "$node/theirs" "$decided/$set_name-containerd"
  unmount_view overlayfs "$top" "$node/theirs"
  unmount_view sluice "$top" "$node/ours"
  forget_images
  sluice_stop
  rm -rf "$storage/sluice"
}

gzip_image=$(node_image "$set_name-gzip")
zstd_image=$(node_image "$set_name-zstd")

node_case "$set_name: flat, gzip: equals umoci's tree"
unpack_flat "$gzip_image" "$storage/flat"
umoci unpack --image "$gzip_image:1" "$storage/umoci" >"$node/umoci.log" 2>&1 || fail "umoci: $(tail -n 1 "$node/umoci.log")"
expect_equal "$storage/flat" "$storage/umoci/rootfs" "$decided/$set_name-umoci"
rm -rf "$storage/umoci"

# Somebody with no privilege, in a directory of his own.
as_user() { setpriv --reuid=65534 --regid=65533 --clear-groups "$@"; }
node_case "$set_name: flat, gzip, as an ordinary user: equals umoci's rootless tree"
mkdir "$storage/user"
chown 65534:65533 "$storage/user"
# The way to the image and to the program may be root's alone.
mkdir "$node/image"
mount --bind "$gzip_image" "$node/image"
cp "$SLUICECTL" "$node/sluicectl"
as_user "$node/sluicectl" unpack "$REF" "$storage/user/flat" --layout "$node/image" 2>"$node/user.log" ||
  fail "as a user: $(tail -n 1 "$node/user.log")"
note "$(head -n 1 "$node/user.log")"
as_user env HOME="$storage/user" umoci unpack --rootless --image "$node/image:1" "$storage/user/umoci" \
  >"$node/umoci.log" 2>&1 || fail "umoci: $(tail -n 1 "$node/umoci.log")"
expect_equal "$storage/user/flat" "$storage/user/umoci/rootfs" "$decided/$set_name-umoci-rootless"
rm -rf "$storage/user"
umount "$node/image"

node_case "$set_name: flat, zstd: equals the gzip tree"
unpack_flat "$zstd_image" "$storage/flat-zstd"
expect_equal "$storage/flat-zstd" "$storage/flat" /dev/null
rm -rf "$storage/flat-zstd" "$storage/flat"

node_network
registry_start
containerd_start
compare_overlay gzip
compare_overlay zstd
