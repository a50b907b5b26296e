#!/usr/bin/env python3
"""Deletes files while they are being read: each when somebody reads of it for the second time, before he gets anything.

    vanish.py FILE...

Prints "ready", then each file when it is gone; ends when all are. By fanotify(7), which makes the reader wait.
"""
import ctypes
import os
import struct
import sys

FAN_CLASS_CONTENT, FAN_CLOEXEC, FAN_MARK_ADD, FAN_ACCESS_PERM, FAN_ALLOW = 0x4, 0x1, 0x1, 0x20000, 0x1
AT_FDCWD = -100
EVENT = struct.Struct("IBBHQii")  # struct fanotify_event_metadata


def main():
    libc = ctypes.CDLL(None, use_errno=True)
    group = libc.fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, os.O_RDONLY | os.O_CLOEXEC)
    if group < 0:
        sys.exit(f"fanotify_init: {os.strerror(ctypes.get_errno())}")
    paths, reads = {}, {}
    for path in sys.argv[1:]:
        if libc.fanotify_mark(group, FAN_MARK_ADD, ctypes.c_uint64(FAN_ACCESS_PERM), AT_FDCWD, path.encode()) != 0:
            sys.exit(f"fanotify_mark {path}: {os.strerror(ctypes.get_errno())}")
        paths[os.stat(path).st_ino] = path
    print("ready", flush=True)
    while paths:
        events = os.read(group, EVENT.size * 64)
        for at in range(0, len(events), EVENT.size):
            file = EVENT.unpack_from(events, at)[5]
            inode = os.fstat(file).st_ino
            reads[inode] = reads.get(inode, 0) + 1
            if reads[inode] == 2 and inode in paths:
                os.unlink(paths[inode])
                print(paths.pop(inode), flush=True)
            os.write(group, struct.pack("iI", file, FAN_ALLOW))
            os.close(file)


main()
