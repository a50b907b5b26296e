# shellcheck shell=bash
# What the tests of the daemon under hostile and unlucky conditions share; sourced after lib.sh.
. "$repository/tests/corpora/oci_layout.sh"

# dependent_tars DIR N: N layer tars, base first. Each but the first puts a file into a directory that it does not list
# and links to a file of the layer below.
dependent_tars() {
  python3 - "$1" "$2" <<'END'
import io, sys, tarfile
directory, count = sys.argv[1], int(sys.argv[2])
for k in range(count):
    with tarfile.open(f"{directory}/{k:02}.tar", "w") as tar:
        if k == 0:
            entry = tarfile.TarInfo("d")
            entry.type, entry.mode, entry.mtime, entry.uid = tarfile.DIRTYPE, 0o750, 1600000000, 7
            tar.addfile(entry)
        content = f"layer {k}\n".encode()
        entry = tarfile.TarInfo(f"d/{k}")
        entry.size, entry.mtime = len(content), 1600000000 + k
        tar.addfile(entry, io.BytesIO(content))
        if k > 0:
            entry = tarfile.TarInfo(f"d/link-{k}")
            entry.type, entry.linkname = tarfile.LNKTYPE, f"d/{k - 1}"
            tar.addfile(entry)
END
}

# dependent_layout DIR N: an image of these layers, tag 1. DIR ends in -gzip.
dependent_layout() {
  local tar tars=$storage/dependent-tars
  mkdir "$tars"
  dependent_tars "$tars" "$2"
  layout_begin "$1"
  for tar in "$tars"/*.tar; do layout_add_layer "$tar" "$(basename "$tar")" "$1"; done
  layout_finish "$1" 1 '{}'
  rm -r "$tars"
}

# push LAYOUT REF
push() {
  skopeo --insecure-policy copy -q --dest-tls-verify=false "oci:$1:1" "docker://$2" || fail "skopeo could not push $1"
}

config_digest() { jq -r .config.digest "$(layout_manifest "$1")"; } # LAYOUT

# expect_tree SNAPSHOTTER CHAIN EXPECTED: the mounted snapshot is this tree.
expect_tree() {
  mount_view "$1" "$2" "$node/view"
  "$list_tree" "$node/view" --diff "$3" --ignore .=mtime || fail "the tree of $2 differs"
  unmount_view "$1" "$2" "$node/view"
}

root_directory=$storage/sluice

is_filling() { compgen -G "$root_directory/new-*"; }
no_leftovers() { ! is_filling && [ -z "$(ls -A "$root_directory/trash")" ]; }

# Directories that no row names: everything below snapshots/ must be in the database.
expect_no_strays() {
  wait_until 20 "new-* or trash/ is not empty: $(ls "$root_directory" "$root_directory/trash")" no_leftovers
  python3 - "$root_directory" <<'END' || fail "directories and rows differ"
import os, sqlite3, sys
root = sys.argv[1]
database = sqlite3.connect(f"file:{root}/sluice.db?mode=ro", uri=True)
rows = {str(row[0]) for row in database.execute(
    "SELECT directory_id FROM snapshot WHERE directory_id IS NOT NULL UNION SELECT directory_id FROM layer")}
directories = set(os.listdir(f"{root}/snapshots"))
if rows != directories:
    sys.exit(f"without a row: {sorted(directories - rows)}; without a directory: {sorted(rows - directories)}")
END
}

# Without the database: its size says nothing of layers.
disk_use() { du -sk --exclude='sluice.db*' "$root_directory" | cut -f1; }

# expect_alive: the daemon has not ended, whatever was done to it.
expect_alive() { kill -0 "$sluice_pid" 2>/dev/null || fail "sluice has ended: $(tail -n 3 "$node/sluice.log")"; }
