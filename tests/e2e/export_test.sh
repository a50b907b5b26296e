#!/usr/bin/env bash
# `sluicectl export` of a real image, by root and by an ordinary user: what the kernel or GNU tar finds in the file is,
# entry by entry, what root's `unpack` makes.
#   export_test.sh DAEMON SLUICECTL LIST_TREE
set -euo pipefail
. tests/e2e/lib.sh
node_isolate "$0" "$@"
node_programs "$1" "$2"
list_tree=$(readlink -f "$3")
unset TMPDIR

# Somebody with no privilege; the way to the program and to the image may be root's alone.
as_root() { "$@"; }
as_user() { setpriv --reuid=65534 --regid=65533 --clear-groups "$@"; }
sluicectl=$node/sluicectl
cp "$SLUICECTL" "$sluicectl"
image=$storage/image
cp -r "$(node_image small-gzip)" "$image"
chmod -R a+rX "$image"

# mkfs.erofs 1.5 can't take the name of 255 bytes that the image has: for erofs a layer takes it away.
image_without_long_name=$storage/shorter
cp -r "$image" "$image_without_long_name"
long_name=$(printf 'n%.0s' {1..255})
python3 - "$node/layer.tar" "srv/odd/names/.wh.$long_name" <<'END'
import sys, tarfile
with tarfile.open(sys.argv[1], "w", format=tarfile.PAX_FORMAT) as layer:
    layer.addfile(tarfile.TarInfo(sys.argv[2]))
END
umoci raw add-layer --image "$image_without_long_name:1" "$node/layer.tar"
chmod -R a+rX "$image_without_long_name"

# image_of FORMAT
image_of() { if [ "$1" = erofs ]; then echo "$image_without_long_name"; else echo "$image"; fi; }

# open_export FORMAT FILE: what is in it, at $node/opened.
open_export() {
  mkdir "$node/opened"
  if [ "$1" = tar ]; then
    mount -t tmpfs -o nr_inodes=0,size=4g opened "$node/opened"
    tar -xf "$2" -C "$node/opened" --xattrs --xattrs-include='*' --numeric-owner --warning=no-unknown-keyword
  else
    [ "$1" != ext4 ] || e2fsck -fn "$2" >"$node/e2fsck.log" 2>&1 || fail "e2fsck: $(tail -n 3 "$node/e2fsck.log")"
    mount -o loop,ro -t "$1" "$2" "$node/opened"
  fi
}
close_export() {
  umount "$node/opened"
  rmdir "$node/opened"
}

expect_unpacked() { # FORMAT
  local differences=$node/differences ignored=()
  # Every ext4 has it.
  [ "$1" != ext4 ] || ignored=(--ignore lost+found=presence)
  "$list_tree" "$node/opened" --diff "$storage/unpacked" "${ignored[@]}" >"$differences" || [ $? = 1 ] ||
    fail "the trees cannot be listed"
  [ ! -s "$differences" ] || fail "$(wc -l <"$differences") differences: $(head -n 20 "$differences")"
}

for format in tar erofs ext4; do
  "$sluicectl" unpack "$REF" "$storage/unpacked" --layout "$(image_of $format)"
  for who in root user; do
    node_case "$format by $who: equals the unpacked tree"
    mkdir -m 0777 "$storage/out"
    "as_$who" "$sluicectl" export "$REF" "$storage/out/file" --format $format --layout "$(image_of $format)"
    [ "$(ls -A "$storage/out")" = file ] || fail "left beside it: $(ls -A "$storage/out")"
    open_export $format "$storage/out/file"
    expect_unpacked $format
    close_export
    rm -rf "$storage/out"
  done
  rm -rf "$storage/unpacked"
done

node_case "tar of an image in a registry: the same bytes as from its layout"
node_up "$image"
"$sluicectl" export "$REF" - --format tar >"$storage/from-registry"
"$sluicectl" export "$REF" - --format tar --layout "$image" | cmp - "$storage/from-registry" ||
  fail "the tars differ"
