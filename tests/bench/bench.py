#!/usr/bin/env python3
"""Measures `sluicectl unpack` beside umoci and igzip, and `sluicectl export` beside umoci and mkfs; run by bench.sh,
which says how.

Each repeat runs every contender once, one after the other, each into an empty file system of its own; a figure is the
median of the repeats. Blobs are read into the page cache before; deleting and syncing are not in the times. "ext4" is a
fresh one with a journal on a loop device with direct I/O; "tmpfs" keeps the disk out of it. Before an image is measured
the same binary with the same flags must refuse it with one byte flipped in each of its layers.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

REF = "172.30.0.1:5000/app:1"
EXT4_SIZE = 24 << 30

# Image, file systems, contenders. What is asked of the product is said of big-gzip.
ROWS = [
    ("big-gzip", ("tmpfs", "ext4"), ("umoci", "umoci raw", "floor")),
    ("fat-gzip", ("tmpfs", "ext4"), ("umoci", "umoci raw", "floor")),
    ("many-files-gzip", ("tmpfs", "ext4"), ("umoci", "umoci raw", "floor")),
    ("repeat-1000x10k-gzip", ("tmpfs", "ext4"), ("umoci", "umoci raw", "floor")),
    ("repeat-2000x25k-gzip", ("tmpfs", "ext4"), ("umoci", "umoci raw", "floor")),
    ("big-zstd", ("tmpfs", "ext4"), ("umoci", "umoci raw", "floor")),
    # For the peak of memory; the peers take minutes here.
    ("layer-4g-gzip", ("tmpfs",), ("floor",)),
    ("entries-2m-gzip", ("tmpfs",), ("floor",)),
]
# Image, file system, formats: a disk beside what umoci and the same mkfs make in two steps.
EXPORT_ROWS = [
    ("big-gzip", "tmpfs", ("erofs", "ext4")),
]
GOALS = {"umoci": 1 / 4, "umoci raw": 1 / 3, "floor": 2.0}
GOAL_STREAM = 1.3
GOAL_RSS_MIB = 96


def say(text):
    print(text, file=sys.stderr, flush=True)


def fail(text):
    sys.exit(f"bench: {text}")


def layer_paths(layout):
    def blob(digest):
        return os.path.join(layout, "blobs", *digest.split(":"))

    with open(os.path.join(layout, "index.json"), encoding="utf-8") as index:
        manifest = blob(json.load(index)["manifests"][0]["digest"])
    with open(manifest, encoding="utf-8") as file:
        return [blob(layer["digest"]) for layer in json.load(file)["layers"]]


class FileSystem:
    """An empty file system, new for each run."""

    def __init__(self, kind, work):
        self.kind = kind
        self.mount_point = os.path.join(work, "mnt")
        self.image = os.path.join(work, "ext4.img")
        self.loop = None
        os.makedirs(self.mount_point, exist_ok=True)

    def __enter__(self):
        if self.kind == "tmpfs":
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=90%,nr_inodes=0", "sluice-bench", self.mount_point],
                           check=True)
        else:
            with open(self.image, "wb") as image:
                os.posix_fallocate(image.fileno(), 0, EXT4_SIZE)
            subprocess.run(["mkfs.ext4", "-q", "-F", "-i", "8192", "-E", "lazy_itable_init=1,nodiscard", self.image],
                           check=True)
            # As on a disk, a page is cached once: without direct I/O writeback copies it into the image's cache as well.
            self.loop = subprocess.run(["losetup", "--find", "--show", "--direct-io=on", self.image], check=True,
                                       stdout=subprocess.PIPE, text=True).stdout.strip()
            # The kernel would fill the inode tables in the background, in somebody's time.
            subprocess.run(["mount", "-o", "noinit_itable", self.loop, self.mount_point], check=True)
        return self.mount_point

    def __exit__(self, *_):
        subprocess.run(["umount", self.mount_point], check=True)
        if self.kind == "ext4":
            subprocess.run(["losetup", "--detach", self.loop], check=True)
            os.unlink(self.image)
            os.sync()


def run(command, stdin=None):
    """(seconds, peak RSS in MiB) of one child process; a failing one ends the bench."""
    with tempfile.TemporaryFile() as errors:
        start = time.monotonic()
        process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            fail(f"{' '.join(command)}: {errors.read()[-500:].decode(errors='replace')}")
        return seconds, usage.ru_maxrss / 1024


def decompress_only(paths):
    seconds = 0.0
    for path in paths:
        tool = ["zstd", "-dc"] if "zstd" in path.split(os.sep)[-4] else ["igzip", "-dc"]
        with open(path, "rb") as blob:
            seconds += run(tool, stdin=blob)[0]
    return seconds


class Bench:
    def __init__(self, options, work):
        self.options = options
        self.work = work

    def sluice(self, layout, directory):
        return [self.options.sluicectl, "unpack", REF, directory, "--layout", layout]

    def umoci(self, layout, directory, raw):
        program = "umoci" if layout.endswith("-gzip") else self.options.umoci_zstd
        verb = ["raw", "unpack"] if raw else ["unpack"]
        return [program, *verb, "--image", f"{layout}:1", directory]

    def contend(self, name, layout, file_system):
        """(seconds, MiB) of one run."""
        if name == "floor":
            return decompress_only(layer_paths(layout)), None
        with FileSystem(file_system, self.work) as mount_point:
            directory = os.path.join(mount_point, "out")
            command = self.sluice(layout, directory) if name == "sluice" else self.umoci(
                layout, directory, name == "umoci raw")
            return run(command)

    def contend_export(self, name, layout, file_system, disk_format):
        """Seconds of one export; the peer's two steps added up."""
        with FileSystem(file_system, self.work) as mount_point:
            disk = os.path.join(mount_point, "disk")
            if name == "sluice":
                return run([self.options.sluicectl, "export", REF, disk, "--format", disk_format, "--layout", layout])[0]
            bundle = os.path.join(mount_point, "bundle")
            rootfs = os.path.join(bundle, "rootfs")
            seconds = run(self.umoci(layout, bundle, raw=False))[0]
            if disk_format == "erofs":
                return seconds + run(["mkfs.erofs", "--quiet", "-zlz4", disk, rootfs])[0]
            kib = int(subprocess.run(["du", "-sk", rootfs], check=True, stdout=subprocess.PIPE).stdout.split()[0])
            with open(disk, "wb") as image:
                image.truncate(kib * 1024 * 3 // 2)
            return seconds + run(["mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "^has_journal", "-E",
                                  "lazy_itable_init=0", "-d", rootfs, disk])[0]

    def print_export_row(self, image, file_system, disk_format):
        layout = os.path.join(self.options.images, image)
        figures = {"sluice": [], "umoci + mkfs": []}
        for repeat in range(self.options.repeats):
            for name, runs in figures.items():
                runs.append(self.contend_export(name, layout, file_system, disk_format))
                say(f"bench: export {image} {disk_format} {repeat + 1}/{self.options.repeats} {name}: {runs[-1]:.2f} s")
        sluice, peer = (statistics.median(runs) for runs in figures.values())
        print(f"| {image} | {file_system} | {disk_format} | {sluice:.2f} | {peer:.2f} | {sluice / peer:.2f} |", flush=True)

    def expect_refusal(self, layout):
        """One byte of each layer flipped: refused, and nothing left."""
        for victim in layer_paths(layout):
            with tempfile.TemporaryDirectory(dir=self.work) as scratch, FileSystem("tmpfs", scratch) as mount_point:
                damaged = os.path.join(scratch, "layout")
                shutil.copytree(layout, damaged, copy_function=os.link)
                blob = os.path.join(damaged, os.path.relpath(victim, layout))
                os.unlink(blob)
                shutil.copyfile(victim, blob)
                with open(blob, "r+b") as file:
                    file.seek(os.path.getsize(blob) // 2)
                    byte = file.read(1)[0]
                    file.seek(-1, os.SEEK_CUR)
                    file.write(bytes((byte ^ 1,)))
                directory = os.path.join(mount_point, "out")
                result = subprocess.run(self.sluice(damaged, directory), stderr=subprocess.PIPE, check=False)
                if result.returncode != 5:  # a bad image
                    fail(f"{layout}: with a byte of {victim} flipped it ended with {result.returncode}")
                if os.path.exists(directory) and os.listdir(directory):
                    fail(f"{layout}: refused, but {directory} is not empty")

    def row(self, image, file_system, contenders):
        layout = os.path.join(self.options.images, image)
        if image.endswith("-zstd") and not os.access(self.options.umoci_zstd, os.X_OK):
            contenders = [name for name in contenders if not name.startswith("umoci")]
        figures = {name: [] for name in ("sluice", *contenders)}
        for repeat in range(self.options.repeats):
            for name in figures:
                figures[name].append(self.contend(name, layout, file_system))
                say(f"bench: {image} {file_system} {repeat + 1}/{self.options.repeats} {name}: "
                    f"{figures[name][-1][0]:.2f} s")
        seconds = {name: statistics.median(s for s, _ in runs) for name, runs in figures.items()}
        rss = max(mib for _, mib in figures["sluice"])
        return seconds, rss

    def print_row(self, image, file_system, seconds, rss):
        cells = [image, file_system, f"{seconds['sluice']:.2f}"]
        for name in ("umoci", "umoci raw", "floor"):
            if name not in seconds:
                cells += ["–", "–"]
                continue
            ratio = seconds["sluice"] / seconds[name]
            missed = image == "big-gzip" and ratio > GOALS[name]
            cells += [f"{seconds[name]:.2f}", f"{ratio:.2f}" + (" (missed)" if missed else "")]
        cells.append(f"{rss:.0f}" + (" (missed)" if rss > GOAL_RSS_MIB else ""))
        print("| " + " | ".join(cells) + " |", flush=True)


class Registry:
    """Debian's docker-registry on loopback with the image in it."""

    def __init__(self, layout, work):
        self.layout = layout
        self.work = work
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.host = f"127.0.0.1:{free.getsockname()[1]}"

    def __enter__(self):
        config = os.path.join(self.work, "registry.yml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
                       f"storage: {{filesystem: {{rootdirectory: {self.work}/registry}}}}\nhttp: {{addr: \"{self.host}\"}}\n")
        self.process = subprocess.Popen(["docker-registry", "serve", config], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        host, port = self.host.split(":")
        for _ in range(200):
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        reference = f"{self.host}/app:1"
        subprocess.run(["skopeo", "--insecure-policy", "copy", "-q", "--dest-tls-verify=false", f"oci:{self.layout}:1",
                        f"docker://{reference}"], check=True)
        return reference

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(os.path.join(self.work, "registry"), ignore_errors=True)


def bench_stream(bench):
    """The same image by `layout` and by `stream`: from a registry on loopback."""
    layout = os.path.join(bench.options.images, "big-gzip")
    figures = {"layout": [], "stream": []}
    with Registry(layout, bench.work) as reference:
        for repeat in range(bench.options.repeats):
            for name in figures:
                with FileSystem("tmpfs", bench.work) as mount_point:
                    directory = os.path.join(mount_point, "out")
                    command = bench.sluice(layout, directory) if name == "layout" else [
                        bench.options.sluicectl, "unpack", reference, directory]
                    figures[name].append(run(command))
                say(f"bench: stream {repeat + 1}/{bench.options.repeats} {name}: {figures[name][-1][0]:.2f} s")
    seconds = {name: statistics.median(s for s, _ in runs) for name, runs in figures.items()}
    ratio = seconds["stream"] / seconds["layout"]
    rss = max(mib for _, mib in figures["stream"])
    print(f"\nFrom a registry on loopback, docker-registry's time included; asked: at most {GOAL_STREAM} of `layout`.\n")
    print("| image | file system | layout | stream | ratio | peak RSS MiB |")
    print("|---|---|--:|--:|--:|--:|")
    print(f"| big-gzip | tmpfs | {seconds['layout']:.2f} | {seconds['stream']:.2f} | {ratio:.2f}"
          f"{' (missed)' if ratio > GOAL_STREAM else ''} | {rss:.0f}{' (missed)' if rss > GOAL_RSS_MIB else ''} |",
          flush=True)


def main():
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--sluicectl", required=True)
    parser.add_argument("--images", required=True)
    parser.add_argument("--umoci-zstd", required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", action="append", help="an image, or \"stream\"; may be given more than once")
    options = parser.parse_args()
    # The scratch tree of an export is to be on the file system that is measured.
    os.environ.pop("TMPDIR", None)

    with tempfile.TemporaryDirectory(dir=os.path.dirname(options.images), prefix="bench-") as work:
        bench = Bench(options, work)
        print(f"Medians of {options.repeats}, seconds of wall time; a ratio is sluice's time divided by the peer's. "
              f"Asked of big-gzip: at most 0.25 of umoci unpack, 0.33 of umoci raw unpack, 2.0 of igzip alone "
              f"(zstd alone for zstd); at most {GOAL_RSS_MIB} MiB everywhere.\n")
        print("| image | file system | sluicectl unpack | umoci unpack | ratio | umoci raw unpack | ratio "
              "| only decompressing | ratio | peak RSS MiB |")
        print("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|", flush=True)
        for image, file_systems, contenders in ROWS:
            if options.only and image not in options.only:
                continue
            layout = os.path.join(options.images, image)
            for path in layer_paths(layout):
                with open(path, "rb") as blob:
                    while blob.read(1 << 20):
                        pass
            bench.expect_refusal(layout)
            for file_system in file_systems:
                bench.print_row(image, file_system, *bench.row(image, file_system, contenders))
        if not options.only or "stream" in options.only:
            bench_stream(bench)
        print("\n| image | file system | format | sluicectl export | umoci unpack + mkfs | ratio |")
        print("|---|---|---|--:|--:|--:|", flush=True)
        for image, file_system, formats in EXPORT_ROWS:
            if options.only and image not in options.only:
                continue
            for disk_format in formats:
                bench.print_export_row(image, file_system, disk_format)


if __name__ == "__main__":
    main()
