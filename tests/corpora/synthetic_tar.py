#!/usr/bin/env python3
"""The layers of tests/bench that no package can give, as a tar on stdout: synthetic_tar.py NAME.

many-files        100,000 files of 0 to 4 KiB of text in 1,000 directories
repeat-1000x10k   1,000 files of 10 KiB of one repeated byte
repeat-2000x25k   2,000 files of 25 KiB of one repeated byte
layer-4g          4 GiB of half-compressible bytes in 64 files
entries-2m        2,000,000 empty files in 2,000 directories

The same bytes on every run. Headers are plain ustar, written by hand: tarfile needs minutes for two million.
"""

import random
import sys

BLOCK = 512
MTIME = 1735689600


def header(name, size, kind):
    mode = 0o755 if kind == b"5" else 0o644
    fields = b"".join((
        name.encode().ljust(100, b"\0"),
        b"%07o\0" % mode,
        b"%07o\0" % 0,
        b"%07o\0" % 0,
        b"%011o\0" % size,
        b"%011o\0" % MTIME,
        b" " * 8,
        kind,
        b"\0" * 100,
        b"ustar\00000",
    )).ljust(BLOCK, b"\0")
    return fields[:148] + b"%06o\0 " % sum(fields) + fields[156:]


def entry(out, name, content):
    out.write(header(name, len(content), b"0"))
    out.write(content)
    out.write(b"\0" * (-len(content) % BLOCK))


def directory(out, name):
    out.write(header(name + "/", 0, b"5"))


def many_files(out):
    rng = random.Random(1)
    words = [bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 10))) for _ in range(2000)]
    text = b" ".join(rng.choices(words, k=1 << 18))
    for d in range(1000):
        directory(out, f"files/{d:03d}")
        for f in range(100):
            start = rng.randrange(len(text) - 4096)
            entry(out, f"files/{d:03d}/{f:02d}.txt", text[start:start + rng.randrange(4096)])


def repeat(out, count, size):
    directory(out, "app")
    for i in range(count):
        entry(out, f"app/file-{i}.txt", bytes((i % 256,)) * size)


def layer_4g(out):
    rng = random.Random(2)
    # 16 MiB of random bytes, each repeated page of which is followed by a page of text: about 2:1, as programs are.
    noise = rng.randbytes(16 << 20)
    page = (b"the quick brown fox jumps over the lazy dog " * 100)[:4096]
    for i in range(64):
        out.write(header(f"part-{i:02d}", 64 << 20, b"0"))
        for chunk in range(64 << 20 >> 13):
            start = (i * 977 + chunk * 4099) % (len(noise) - 4096)
            out.write(noise[start:start + 4096])
            out.write(page)


def entries_2m(out):
    for d in range(2000):
        directory(out, f"d{d:04d}")
        for f in range(1000):
            out.write(header(f"d{d:04d}/entry-{f:03d}", 0, b"0"))


LAYERS = {
    "many-files": many_files,
    "repeat-1000x10k": lambda out: repeat(out, 1000, 10 << 10),
    "repeat-2000x25k": lambda out: repeat(out, 2000, 25 << 10),
    "layer-4g": layer_4g,
    "entries-2m": entries_2m,
}


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in LAYERS:
        sys.exit(f"synthetic_tar.py: one of {', '.join(LAYERS)} is expected")
    LAYERS[sys.argv[1]](sys.stdout.buffer)
    sys.stdout.buffer.write(b"\0" * (2 * BLOCK))


if __name__ == "__main__":
    main()
