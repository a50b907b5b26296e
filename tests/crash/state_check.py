"""What must hold of a root and of what the daemon says of it, judged from outside: by its files, its rows and its List."""
import hashlib
import os
import re
import sqlite3
import stat

KINDS = {1: "VIEW", 2: "ACTIVE", 3: "COMMITTED"}
# Everything that may lie in a root. Copies that an upgrade keeps end in the number of their schema.
ROOT_NAMES = re.compile(r"sluice\.db(-wal|-shm|\.v\d+)?|lock|snapshots|spare|trash|cache")
DIGEST_NAME = re.compile(r"[0-9a-f]{64}")


class Rows:
    """The database, read while the daemon runs or after it."""

    def __init__(self, root):
        database = sqlite3.connect(f"file:{root}/sluice.db?mode=ro", uri=True, timeout=10)
        try:
            database.row_factory = sqlite3.Row
            # One transaction: the daemon may be writing.
            database.execute("BEGIN")
            self.integrity = [row[0] for row in database.execute("PRAGMA integrity_check")]
            self.foreign = database.execute("PRAGMA foreign_key_check").fetchall()
            self.snapshots = {row["id"]: row for row in database.execute("SELECT * FROM snapshot")}
            self.layers = {row["directory_id"]: row for row in database.execute("SELECT * FROM layer")}
            self.labels = {}
            for row in database.execute("SELECT * FROM label"):
                self.labels.setdefault(row["snapshot_id"], {})[row["key"]] = row["value"]
        finally:
            database.close()

    def own(self):
        return {row["directory_id"] for row in self.snapshots.values() if row["directory_id"] is not None}

    def adopted(self):
        return {row["adopted_id"] for row in self.snapshots.values() if row["adopted_id"] is not None}

    def directories(self):
        return self.own() | set(self.layers)


def entries(path):
    """`path` and everything below it, with what lstat says."""
    yield path, os.lstat(path)
    with os.scandir(path) as directory:
        names = sorted(directory, key=lambda one: one.name)
    for name in names:
        if name.is_dir(follow_symlinks=False):
            yield from entries(name.path)
        else:
            yield name.path, os.lstat(name.path)


def disk_usage(path):
    """Bytes and inodes of `path` and below, each inode once, as `du` counts."""
    blocks = {info.st_ino: info.st_blocks for _, info in entries(path)}
    return sum(blocks.values()) * 512, len(blocks)


def content_of(path, mode):
    if stat.S_ISLNK(mode):
        return os.readlink(path)
    if not stat.S_ISREG(mode):
        return None
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def tree_listing(path):
    """name -> all that an image says of an entry, its content's digest, and which name its inode had first."""
    listing, first = {}, {}
    for name, info in entries(path):
        shown = os.path.relpath(name, path)
        attributes = [(key, os.getxattr(name, key, follow_symlinks=False))
                      for key in sorted(os.listxattr(name, follow_symlinks=False))]
        # The root and whiteouts are of no image: their time is that of the unpacking.
        whiteout = stat.S_ISCHR(info.st_mode) and info.st_rdev == 0
        time = None if name == path or whiteout else info.st_mtime_ns
        listing[shown] = (info.st_mode, info.st_uid, info.st_gid, info.st_rdev, time, content_of(name, info.st_mode),
                          first.setdefault(info.st_ino, shown), attributes)
    return listing


def check_rows(rows):
    if rows.integrity != ["ok"]:
        yield f"integrity_check: {rows.integrity}"
    if rows.foreign:
        yield f"{len(rows.foreign)} rows refer to rows that are not there"
    users = {}
    for row in rows.snapshots.values():
        parent = rows.snapshots.get(row["parent_id"])
        if row["parent_id"] is not None and parent is None:
            yield f"snapshot {row['key']}: no parent"
        elif parent is not None and KINDS[parent["kind"]] != "COMMITTED":
            yield f"snapshot {row['key']}: its parent {parent['key']} is not committed"
        if row["adopted_id"] is not None and row["adopted_id"] not in rows.layers:
            yield f"snapshot {row['key']}: has adopted {row['adopted_id']}, which is no layer"
        if row["directory_id"] is None and (KINDS[row["kind"]] != "VIEW" or parent is None):
            yield f"snapshot {row['key']}: has no directory"
        if row["directory_id"] is not None:
            users.setdefault(row["directory_id"], []).append(row["key"])
    for directory, keys in users.items():
        if len(keys) > 1 and directory not in rows.layers:
            yield f"directory {directory} belongs to {keys} and is no layer"
    for row_id in rows.labels:
        if row_id not in rows.snapshots:
            yield f"labels of snapshot {row_id}, which is not there"


def check_directories(root, rows):
    there = set(os.listdir(f"{root}/snapshots"))
    wanted = {str(directory) for directory in rows.directories() | rows.adopted()}
    for name in sorted(there - wanted):
        yield f"snapshots/{name}: no row"
    for name in sorted(wanted - there):
        yield f"snapshots/{name}: a row and no directory"
    active = {row["directory_id"] for row in rows.snapshots.values() if KINDS[row["kind"]] == "ACTIVE"}
    for name in sorted(there & wanted):
        if not os.path.isdir(f"{root}/snapshots/{name}/fs"):
            yield f"snapshots/{name}: no fs"
        if int(name) in active and not os.path.isdir(f"{root}/snapshots/{name}/work"):
            yield f"snapshots/{name}: no work"
    for name in os.listdir(root):
        if not ROOT_NAMES.fullmatch(name):
            yield f"{name}: left in the root"
    for name in os.listdir(f"{root}/spare"):
        if not name.isdigit() or name in wanted | there:
            yield f"spare/{name}: not made ahead"
    for name in os.listdir(f"{root}/trash"):
        yield f"trash/{name}: still there after Cleanup"


def check_listing(rows, listing, snapshotter):
    told = {name: (one["parent"], one["kind"], one["labels"] or {}) for name, one in listing.items()}
    known = {}
    for row in rows.snapshots.values():
        if row["snapshotter"] == snapshotter:
            parent = rows.snapshots.get(row["parent_id"])
            known[row["key"]] = (parent["key"] if parent else "", KINDS[row["kind"]], rows.labels.get(row["id"], {}))
    for name in sorted(set(told) | set(known)):
        if told.get(name) != known.get(name):
            yield f"List says {told.get(name)} of {name}, its row {known.get(name)}"


def check_usage(root, rows, listing):
    """What List and the layers' rows say is used is what lies on the disk, and nothing else does."""
    listed = dict(rows.layers)
    told = {directory: (row["usage_bytes"], row["usage_inodes"]) for directory, row in listed.items()}
    for row in rows.snapshots.values():
        if row["directory_id"] is not None and row["directory_id"] not in told and row["key"] in listing:
            size, inodes = listing[row["key"]]["bytes"], listing[row["key"]]["inodes"]
            if row["adopted_id"] is not None:
                size -= rows.layers[row["adopted_id"]]["usage_bytes"]
                inodes -= rows.layers[row["adopted_id"]]["usage_inodes"]
            told[row["directory_id"]] = (size, inodes)
    for directory, usage in sorted(told.items()):
        used = disk_usage(f"{root}/snapshots/{directory}/fs")
        if used != usage:
            yield f"snapshots/{directory}: {used} bytes and inodes on the disk, {usage} listed"
    # The shells: snapshots/, snapshots/N, and N/work of what is or was active.
    shells = 1 + len(told) + sum(os.path.isdir(f"{root}/snapshots/{directory}/work") for directory in told)
    inodes = disk_usage(f"{root}/snapshots")[1]
    if inodes != shells + sum(usage[1] for usage in told.values()):
        yield f"{inodes} inodes below snapshots/, {shells} of shells and {told} listed"


def check_cache(root):
    blobs = f"{root}/cache/blobs/sha256"
    for name in os.listdir(blobs) if os.path.isdir(blobs) else []:
        with open(f"{blobs}/{name}", "rb") as file:
            if hashlib.sha256(file.read()).hexdigest() != name:
                yield f"cache: blob {name} is something else"
    ingest = f"{root}/cache/ingest"
    for name in os.listdir(ingest) if os.path.isdir(ingest) else []:
        if not DIGEST_NAME.fullmatch(name):
            yield f"cache/ingest/{name}: left"


def check_trees(root, rows, trees):
    """Every layer is what it was when nothing went wrong. trees: diffID -> tree_listing."""
    for directory, row in rows.layers.items():
        wanted = trees.get(row["diff_id"])
        if wanted is None:
            continue
        found = tree_listing(f"{root}/snapshots/{directory}/fs")
        for name in sorted(set(found) | set(wanted)):
            if found.get(name) != wanted.get(name):
                yield f"snapshots/{directory}/fs/{name}: {found.get(name)} instead of {wanted.get(name)}"


def check_state(root, listing, snapshotter, trees):
    """All violations. REQUIRES: Cleanup was called, and nothing is under way."""
    rows = Rows(root)
    found = [*check_rows(rows), *check_directories(root, rows), *check_listing(rows, listing, snapshotter), *check_cache(root)]
    # Without these the rest says nothing more.
    return found or [*check_usage(root, rows, listing), *check_trees(root, rows, trees)]
