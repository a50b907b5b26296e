#!/usr/bin/env python3
"""Two small layer tars that have one of each kind of entry: trial_layers.py DIR writes DIR/0.tar and DIR/1.tar.

The upper one depends on the lower: a whiteout, an opaque directory, a directory that it uses and does not list, a hard link
to a file below.
"""
import io
import sys
import tarfile

TIME = 1600000000
SPARSE = (b"sparse", 1 << 20)  # what it begins with, and its length


def entry(name, kind, mode=0o644, **more):
    made = tarfile.TarInfo(name)
    made.type, made.mode, made.mtime = kind, mode, TIME
    for key, value in more.items():
        setattr(made, key, value)
    return made


def add_file(tar, name, content, **more):
    tar.addfile(entry(name, tarfile.REGTYPE, size=len(content), **more), io.BytesIO(content))


def add_sparse(tar, name):
    """GNU's pax format 1.0 (GNU tar manual, "Storing Sparse Files"): a map of one piece, then that piece."""
    piece, length = SPARSE
    sparse_map = f"1\n0\n{len(piece)}\n".encode().ljust(512, b"\0")
    made = entry(f"GNUSparseFile.0/{name}", tarfile.REGTYPE, size=512 + len(piece))
    made.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": name,
                        "GNU.sparse.realsize": str(length)}
    tar.addfile(made, io.BytesIO(sparse_map + piece))


def lower(tar):
    tar.addfile(entry("d", tarfile.DIRTYPE, 0o750, uid=7, gid=8))
    add_file(tar, "d/file", b"a file of the base layer\n" * 400)
    tar.addfile(entry("d/link", tarfile.LNKTYPE, linkname="d/file"))
    tar.addfile(entry("d/symlink", tarfile.SYMTYPE, 0o777, linkname="file"))
    tar.addfile(entry("d/fifo", tarfile.FIFOTYPE))
    tar.addfile(entry("d/null", tarfile.CHRTYPE, 0o666, devmajor=1, devminor=3))
    add_file(tar, "d/attribute", b"x", pax_headers={"SCHILY.xattr.user.name": "value"}, uid=9)
    add_sparse(tar, "d/sparse")
    tar.addfile(entry("gone", tarfile.DIRTYPE, 0o755))
    add_file(tar, "gone/file", b"hidden above\n")


def upper(tar):
    add_file(tar, "d/more", b"a file of the upper layer\n")
    tar.addfile(entry("d/link-below", tarfile.LNKTYPE, linkname="d/file"))
    add_file(tar, "d/.wh.symlink", b"")
    tar.addfile(entry("gone", tarfile.DIRTYPE, 0o755))
    add_file(tar, "gone/.wh..wh..opq", b"")
    add_file(tar, "gone/new", b"in an opaque directory\n")


def main():
    for number, fill in enumerate((lower, upper)):
        with tarfile.open(f"{sys.argv[1]}/{number}.tar", "w", format=tarfile.PAX_FORMAT) as tar:
            fill(tar)


if __name__ == "__main__":
    main()
