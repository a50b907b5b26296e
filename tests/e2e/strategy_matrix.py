#!/usr/bin/env python3
"""The cells of strategy_matrix.txt: makes what each begins with, and tells from the logs what became of it.

    strategy_matrix.py make CELLS DIR REGISTRY HOSTS_DIR
    strategy_matrix.py observe CELLS DIR SLUICE_LOG FRONT_LOG PULLS CACHE

`make` gives each cell an image of its own, of one layer, in the registry, and writes into DIR what is on this host of
it: layout/ and cache/ (blobs by their hex digests), expected/<name>, the tree. A cell has a registry host of its own,
so that what happens to one tells sluice nothing for another. DIR/cells says of each: name, policy, reference,
"labelled" or "unlabelled", digest, diffID.
`observe` prints the cells with what became of them, as strategy_matrix.txt has it.
"""
import gzip
import hashlib
import http.client
import io
import json
import os
import random
import sys
import tarfile

FRONT = "172.30.0.1"
PORTS = {"up": 5001, "down": 5002, "slow": 5003, "401": 5004, "wrong-digest": 5005}
# Of layers that take their time.
SIZES = {"single": 1 << 15, "shared": 1 << 15, "throttled": 1 << 15, "large": 64 << 20}
PHRASES = {
    "using streaming unpack from layout for local registry image": "layout",
    "using streaming unpack for local registry image": "stream",
    "using cached unpack": "cached",
    "deferring to containerd": "defer",
}
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def read_cells(path):
    with open(path, encoding="ascii") as lines:
        return [line.split() for line in lines if line.strip() and not line.startswith("#")]


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def with_one_byte_changed(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


class Pusher:
    def __init__(self, host):
        self.connection = http.client.HTTPConnection(host)

    def call(self, method, path, body=b"", headers=None):
        self.connection.request(method, path, body, headers or {})
        response = self.connection.getresponse()
        said = response.read()
        if response.status // 100 != 2:
            sys.exit(f"{method} {path}: {response.status} {said!r}")
        return response

    def blob(self, name, content):
        place = self.call("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
        mark = "&" if "?" in place else "?"
        octets = {"Content-Type": "application/octet-stream"}
        self.call("PUT", f"{place}{mark}digest={digest(content)}", content, octets)
        return {"digest": digest(content), "size": len(content)}

    def image(self, name, layer, diff_id):
        config = json.dumps(
            {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
        ).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, **self.blob(name, config)},
            "layers": [{"mediaType": LAYER, **self.blob(name, layer)}],
        }
        self.call("PUT", f"/v2/{name}/manifests/1", json.dumps(manifest).encode(), {"Content-Type": MANIFEST})


def make_layer(name, size, expected):
    content = name.encode() + random.Random(name).randbytes(size)
    entry = tarfile.TarInfo("cell")
    entry.size, entry.mode, entry.uid, entry.gid, entry.mtime = len(content), 0o640, 1000, 2000, 1_600_000_000
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(entry, io.BytesIO(content))
    path = os.path.join(expected, entry.name)
    write(path, content)
    os.chown(path, entry.uid, entry.gid)
    os.chmod(path, entry.mode)
    os.utime(path, (entry.mtime, entry.mtime))
    return tar.getvalue()


# What is on this host of a blob that is `state` there.
def put(path, content, state):
    if state != "miss":
        write(path, with_one_byte_changed(content) if state == "corrupt" else content)


def host_of(number, registry, locality, policy, hosts_dir):
    port = PORTS[registry]
    if locality == "unknown":
        return f"{FRONT}:{port}"
    if locality == "remote":
        # Nobody listens at the registry itself.
        hosts = f'server = "http://{FRONT}:1"\n[host."http://{FRONT}:{port}"]\n'
        write(f"{hosts_dir}/c{number}.example/hosts.toml", hosts.encode())
        return f"c{number}.example"
    own = {"single": "250.1", "shared": "250.2", "throttled": "250.3"}.get(policy, f"{number // 250}.{number % 250 + 1}")
    return f"172.31.{own}:{port}"


def make(cells, directory, registry, hosts_dir):
    pusher = Pusher(registry)
    made = []
    for number, (layout, mode, locality, cache, policy, *_) in enumerate(read_cells(cells)):
        name = f"c{number}"
        # Of a vanishing one there must be more to read than is read at once, 1 MiB.
        size = {"vanish": 5 << 18}.get(layout, SIZES.get(policy, 3000))
        tar = make_layer(name, size, f"{directory}/expected/{name}")
        layer = gzip.compress(tar, 1)
        pusher.image(name, layer, digest(tar))
        hexadecimal = digest(layer)[7:]
        put(f"{directory}/layout/{hexadecimal}", layer, layout)
        put(f"{directory}/cache/{hexadecimal}", layer, cache)
        reference = f"{host_of(number, mode, locality, policy, hosts_dir)}/{name}:1"
        label = "unlabelled" if locality == "unknown" else "labelled"
        made.append(" ".join([name, policy, reference, label, digest(layer), digest(tar)]))
    write(f"{directory}/cells", ("\n".join(made) + "\n").encode())


def observed_phrases(log, blob, chain):
    found = []
    for line in log:
        if blob in line or chain in line:
            for phrase, word in PHRASES.items():
                if phrase in line:
                    found.append((word, line.partition(" kind=")[2].split(" ")[0].strip() or "-"))
    return found


def cached(path, blob):
    try:
        with open(path, "rb") as file:
            return "good" if digest(file.read()) == blob else "bad"
    except FileNotFoundError:
        return "none"


def read_lines(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.readlines()


def observe(cells, directory, sluice_log, front_log, pulls, cache):
    said = [line for line in read_lines(sluice_log) if any(phrase in line for phrase in PHRASES)]
    asked = [line.split() for line in read_lines(front_log) if line.startswith("ask ")]
    came_of = dict(line.split("\t")[:2] for line in read_lines(pulls))
    for cell, made in zip(read_cells(cells), read_lines(f"{directory}/cells")):
        _, _, reference, _, blob, chain = made.split()
        phrases = observed_phrases(said, blob, chain)
        word, kind = phrases[0] if len(phrases) == 1 else (f"{len(phrases)}-phrases", "-")
        agents = [ask[3] for ask in asked if ask[5].endswith(blob)]
        outcome = {"pulled": "pulled", "failed": "fails"}.get(came_of.get(reference), "unknown")
        after = cached(f"{cache}/{blob[7:]}", blob)
        print(*cell[:5], word, kind, outcome, agents.count("sluice"), agents.count("containerd"), after)


if __name__ == "__main__":
    {"make": make, "observe": observe}[sys.argv[1]](*sys.argv[2:])
