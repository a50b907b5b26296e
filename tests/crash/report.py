"""docs/crash.md: how many trials of each kind there were, and what they found."""
import collections

import trial

HEAD = """# Killed and failed at every system call

Made by `sudo bazel run //tests/crash:crash_trials -- --all --write docs/crash.md`. A cell is one operation and one system
call: *killed / failed*. Killed: the daemon got SIGKILL at the Nth such call of a thread, N = 1, 2, … until the operation
ended untouched. Failed: that call was answered ENOSPC, EIO or EMFILE, once for each N, and from the first on for good. An open that makes
nothing is failed and not killed at.

After each trial, judged by the root's files, its database and List: each row has its directory and each directory its row; each
parent is there and committed; a directory that several use is a layer; List says what the rows say; nothing is half made or
waits to be deleted; what is listed adds up to what the disk holds, in bytes and inodes; each layer's tree is the one of an
undisturbed run; what was answered is there; the same request again succeeds. After an error: all that without a restart, and
once more after one. A start that fails says why in one line, and the next one succeeds.

"""


def table(chosen, calls, tried):
    counts = collections.defaultdict(lambda: [0, 0])
    for cell in tried:
        counts[cell.operation.name, cell.call][cell.kind != trial.KILL] += cell.met
    used = [call for call in calls if any(counts.get((operation.name, call)) for operation in chosen)]
    yield "| operation | " + " | ".join(used) + " |"
    yield "|---|" + "---|" * len(used)
    for operation in chosen:
        shown = [counts.get((operation.name, call)) for call in used]
        yield f"| {operation.name} | " + " | ".join(f"{pair[0]} / {pair[1]}" if pair else "" for pair in shown) + " |"


def page(chosen, calls, tried):
    killed = sum(cell.met for cell in tried if cell.kind == trial.KILL)
    failed = sum(cell.met for cell in tried if cell.kind != trial.KILL)
    violations = [text for cell in tried for text in cell.violations]
    lines = [*table(chosen, calls, tried), "",
             f"{killed} times killed, {failed} times failed, {len(violations)} violations."]
    lines += [f"- {text}" for text in violations]
    return HEAD + "\n".join(lines) + "\n"
