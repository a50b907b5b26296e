"""The operations that are interrupted: what must be there before, what a client asks, and how one sees that it was done."""
import json
import os
import shutil
import sqlite3

import node
import state_check

REF_LABEL = "containerd.io/snapshot.ref"


class Step:
    """One call of a client. `holds` says of the listing whether its effect is there."""

    def __init__(self, arguments, answers, holds):
        self.arguments, self.answers, self.holds = arguments, answers, holds


class Operation:
    """What is interrupted. `template` names the root that it begins with, `config` the daemon's configuration."""

    def __init__(self, name, template, config, steps):
        self.name, self.template, self.config, self.steps = name, template, config, steps
        self.at_start = not steps  # the daemon's own start, or what it does unasked after it


def prepare(key, parent):
    return Step(["prepare", key, parent], ["OK"],
                lambda listing: key in listing and listing[key]["kind"] == "ACTIVE" and listing[key]["parent"] == parent)


def layer(namespace, number, chain, parent):
    """A pull's Prepare of a layer, whose answer is that it is there."""
    key = f"{namespace}/{number}/extract-{number} {chain}"
    return Step(["prepare", key, parent, f"{REF_LABEL}={chain}"], ["AlreadyExists"],
                lambda listing: chain in listing and listing[chain]["kind"] == "COMMITTED"
                and listing[chain]["parent"] == parent)


def commit(key, name):
    return Step(["commit", key, name, "color=blue"], ["OK"],
                lambda listing: key not in listing and name in listing and listing[name]["kind"] == "COMMITTED"
                and listing[name]["labels"] == {"color": "blue"})


def remove(key):
    return Step(["remove", key], ["OK"], lambda listing: key not in listing)


def update(key, labels):
    return Step(["update", key, *(f"{name}={value}" for name, value in labels.items())], ["OK"],
                lambda listing: key in listing and labels.items() <= listing[key]["labels"].items())


def cleanup():
    return Step(["cleanup"], ["OK"], lambda listing: True)


class Image:
    """The image of trial_layers.py: its layout and its chainIDs, base first."""

    def __init__(self, layout, registry, chain_ids, layers):
        self.layout, self.registry, self.chain_ids, self.layers = layout, registry, chain_ids, layers


class Configurations:
    def __init__(self, containerd, image):
        self.plain = f'[containerd]\naddress = "{containerd}"\n'
        store = f'[[store]]\nkind = "oci-layout"\npath = "{image.layout}"\nregistries = ["{image.registry}"]\n'
        self.layout = store + self.plain
        self.stream = self.plain + self.policy(image, "stream")
        self.cached = self.plain + self.policy(image, "cached")
        self.backfill = store + self.plain + 'content = "backfill"\n'

    @staticmethod
    def policy(image, strategy):
        return f'[[registry.policy]]\nhosts = ["{image.registry}"]\nstrategies = ["{strategy}"]\n'


ONE_WORKER = "[unpack]\nworkers = 1\n"
SYNC = '[unpack]\nsync = "commit"\n'


def operations(programs, image):
    config = Configurations(programs.containerd, image)
    base, top = image.chain_ids
    pull = [layer(programs.namespace, 1, base, ""), layer(programs.namespace, 2, top, base)]
    return [
        Operation("Prepare", "base", config.plain, [prepare("new", "base")]),
        Operation("Prepare, layout", "empty", config.layout, pull),
        Operation("Prepare, layout, 1 worker", "empty", config.layout + ONE_WORKER, pull),
        Operation("Prepare, layout, sync = commit", "empty", config.layout + SYNC, pull),
        Operation("Prepare, stream", "empty", config.stream, pull),
        Operation("Prepare, stream, 1 worker", "empty", config.stream + ONE_WORKER, pull),
        Operation("Prepare, cached", "empty", config.cached, pull),
        Operation("Prepare, cached, 1 worker", "empty", config.cached + ONE_WORKER, pull),
        Operation("Commit", "active", config.plain, [commit("work", "done")]),
        Operation("Remove", "active", config.plain, [remove("work")]),
        Operation("Remove, layer", "layers", config.plain, [remove(top), remove(base)]),
        Operation("Update", "active", config.plain, [update("base", {"a": "1", "b": "2"})]),
        Operation("Cleanup", "active", config.plain, [remove("work"), cleanup()]),
        Operation("Start", "leftovers", config.plain, []),
        Operation("Start, old schema", "old", config.plain, []),
        Backfill("Backfill", "layers", config.backfill, programs, image),
        Backfill("Backfill, 1 worker", "layers", config.backfill + ONE_WORKER, programs, image),
    ]


class Backfill(Operation):
    """The blobs that containerd lacks, put there by a daemon that starts."""

    def __init__(self, name, template, config, programs, image):
        super().__init__(name, template, config, [])
        self.programs, self.image = programs, image

    def reset(self):
        stored = set(self.programs.ctr("content", "ls", "-q").split())
        for digest in stored & set(self.image.layers):
            self.programs.ctr("content", "rm", digest)

    def is_done(self):
        stored = set(self.programs.ctr("content", "ls", "-q").split())
        return set(self.image.layers) <= stored and not self.programs.ctr("leases", "ls", "-q").split()

    def violations(self):
        for line in self.programs.ctr("content", "active").splitlines()[1:]:
            yield f"half a blob is left in containerd: {line}"


class Templates:
    """The roots that operations begin with, made once by the daemon itself."""

    def __init__(self, programs, image, directory):
        self.programs, self.image, self.directory = programs, image, directory
        self.config = Configurations(programs.containerd, image)
        self.trees = {}  # of the layers, by diffID

    def copy(self, name, target):
        """A root of its own. The copy keeps times, owners, attributes and holes."""
        shutil.rmtree(target, ignore_errors=True)
        node.run("cp", "-a", "--sparse=always", f"{self.directory}/{name}", target)

    def make(self):
        os.makedirs(self.directory)
        self.by_daemon("empty", None, self.config.plain, lambda daemon: None)
        self.by_daemon("base", "empty", self.config.plain, self.make_base)
        self.by_daemon("active", "base", self.config.plain, self.make_active)
        self.by_daemon("layers", "empty", self.config.layout, self.make_layers)
        self.make_leftovers()
        self.make_old()

    def by_daemon(self, name, begin, config, work):
        place = f"{self.directory}/making"
        os.makedirs(place)
        if begin is not None:
            self.copy(begin, f"{place}/root")
        daemon = node.Daemon(self.programs, place)
        daemon.start(config)
        try:
            work(daemon)
            daemon.stop()
        finally:
            daemon.kill()
        os.rename(daemon.root, f"{self.directory}/{name}")
        shutil.rmtree(place)

    def expect(self, daemon, step):
        answer = daemon.call(*step.arguments)
        if answer.code not in step.answers:
            raise RuntimeError(f"template: {step.arguments}: {answer}: {daemon.last_words()}")
        return answer

    def upper_directory(self, mounts):
        for option in mounts.split()[2].split(","):
            if option.startswith("upperdir="):
                return option[len("upperdir="):]
        return mounts.split()[1]  # a bind mount

    def fill(self, directory, count):
        for number in range(count):
            os.makedirs(f"{directory}/{number}/below")
            with open(f"{directory}/{number}/below/file", "w", encoding="utf-8") as file:
                file.write("content\n" * 1000)
            os.symlink("below", f"{directory}/{number}/link")

    def make_base(self, daemon):
        mounts = self.expect(daemon, prepare("making", "")).text
        self.fill(self.upper_directory(mounts), 2)
        self.expect(daemon, Step(["commit", "making", "base"], ["OK"], None))

    def make_active(self, daemon):
        self.fill(self.upper_directory(self.expect(daemon, prepare("work", "base")).text), 3)

    def make_layers(self, daemon):
        for number, chain in enumerate(self.image.chain_ids):
            parent = self.image.chain_ids[number - 1] if number else ""
            self.expect(daemon, layer(self.programs.namespace, number, chain, parent))
        rows = state_check.Rows(daemon.root)
        for directory, row in rows.layers.items():
            self.trees[row["diff_id"]] = state_check.tree_listing(f"{daemon.root}/snapshots/{directory}/fs")
        if len(self.trees) != len(self.image.chain_ids):
            raise RuntimeError(f"template: {len(self.trees)} layers")

    def make_leftovers(self):
        """Everything that an earlier life may have left: Recover's work."""
        root = f"{self.directory}/leftovers"
        self.copy("layers", root)
        for name in ("new-0123456789abcdef", "new-0123456789abcdee", "trash/7-0123456789abcdef", "snapshots/7777",
                     "snapshots/7778", "snapshots/foreign"):
            self.fill(f"{root}/{name}/fs", 2)
        # A layer that nobody has claimed, and whose directory is gone.
        with sqlite3.connect(f"{root}/sluice.db") as database:
            database.execute("INSERT INTO layer SELECT 8888, 'sha256:' || hex(zeroblob(32)), NULL, blob_digest, blob_bytes, "
                             "usage_bytes, usage_inodes, 0, 'another boot', published_ns, tar_bytes FROM layer LIMIT 1")
        database.close()

    def make_old(self):
        """The root as schema 1 wrote it."""
        root = f"{self.directory}/old"
        self.copy("layers", root)
        with sqlite3.connect(f"{root}/sluice.db") as database:
            for line in ("DROP INDEX label_value", "DROP INDEX layer_blob", "DROP INDEX snapshot_adopted",
                         "ALTER TABLE snapshot DROP COLUMN adopted_id", "ALTER TABLE layer DROP COLUMN tar_bytes",
                         "PRAGMA user_version = 1"):
                database.execute(line)
        database.close()


def image_of(layout, registry):
    """Reads the layout of trial_layers.py's image."""
    def blob(digest):
        with open(f"{layout}/blobs/{digest.replace(':', '/')}", encoding="utf-8") as file:
            return json.load(file)

    with open(f"{layout}/index.json", encoding="utf-8") as file:
        manifest = blob(json.load(file)["manifests"][0]["digest"])
    chain_ids = []
    for diff_id in blob(manifest["config"]["digest"])["rootfs"]["diff_ids"]:
        chain_ids.append(node.chain_id(chain_ids[-1], diff_id) if chain_ids else diff_id)
    return Image(layout, registry, chain_ids, [one["digest"] for one in manifest["layers"]])
