#!/usr/bin/env python3
"""Every state-changing system call of every operation, answered once by SIGKILL and by errors (strace's injection), each
in a trial of its own (trial.py) whose end is judged from outside (state_check.py). Started by crash_trials.sh.

The Nth call is that of any one thread: strace counts so. A trial ends well if after a restart, or after an error without
one, nothing is lost that was answered, nothing is left that no row names, and the same request succeeds.
"""
import argparse
import collections
import concurrent.futures
import itertools
import os
import re
import shutil
import sys

import node
import operations
import report
import trial

# Those that change what is on the disk. A backfill changes containerd's, by what it sends.
CALLS = ["openat", "openat2", "mkdir", "mkdirat", "mknodat", "linkat", "symlinkat", "rename", "renameat", "renameat2",
         "unlink", "unlinkat", "fsetxattr", "setxattr", "lsetxattr", "ftruncate", "fallocate", "pwrite64", "fchmod", "fchown",
         "fchownat", "utimensat", "fsync", "fdatasync", "syncfs"]
BACKFILL_CALLS = ["sendmsg"]
ERRORS = ["ENOSPC", "EIO", "EMFILE"]
TRACE_LINE = re.compile(r"(\d+) +(\w+)\((.*)")


class Counts:
    """What an operation calls when nothing goes wrong: for each call the ordinals that occur in a thread."""

    def __init__(self, trace):
        threads = collections.defaultdict(int)
        self.all, self.creating = collections.defaultdict(set), collections.defaultdict(set)
        for line in trace:
            match = TRACE_LINE.match(line)
            if match is None:
                continue
            thread, call, arguments = match.groups()
            threads[thread, call] += 1
            self.all[call].add(threads[thread, call])
            if call not in ("openat", "openat2") or "O_CREAT" in arguments:
                self.creating[call].add(threads[thread, call])

    def ordinals(self, call, kind):
        """An open that makes nothing changes nothing when it is the last call; when it fails it may."""
        return sorted((self.creating if kind == trial.KILL else self.all)[call])


class Cell:
    """One operation, one call, one kind of fault."""

    def __init__(self, operation, call, kind, ordinals):
        self.operation, self.call, self.kind, self.ordinals = operation, call, kind, ordinals
        self.met = 0
        self.violations = []

    def whens(self, sample):
        """The ordinals to try. All: and then on, until the operation is not met any more (None)."""
        if sample is not None:
            yield self.ordinals[sample % len(self.ordinals)]
            return
        yield from self.ordinals
        if self.kind != trial.KILL:
            yield "1+"  # from the first on: a disk that stays full
        elif self.call not in ("openat", "openat2"):
            yield None
            yield from itertools.count(self.ordinals[-1] + 1)


class Run:
    def __init__(self, programs, templates, directory, jobs):
        self.programs, self.templates, self.directory, self.jobs = programs, templates, directory, jobs
        self.places = itertools.count()
        self.trials = 0

    def trial_of(self, operation):
        return trial.Trial(self.programs, self.templates, operation, f"{self.directory}/{next(self.places)}")

    def count(self, operation):
        one = self.trial_of(operation)
        one.run(None, BACKFILL_CALLS if isinstance(operation, operations.Backfill) else CALLS)
        counts = Counts(one.daemon.trace())
        shutil.rmtree(one.daemon.directory)
        return counts

    def try_cell(self, cell, sample=None):
        one = self.trial_of(cell.operation)
        beyond = False
        for when in cell.whens(sample):
            if when is None:
                beyond = True
                continue
            fault = trial.Fault(cell.call, cell.kind, when)
            self.trials += 1
            try:
                met = one.run(fault)
            except trial.Violation as violation:
                met = True
                cell.violations.append(f"{cell.operation.name}: {fault}: {violation}")
                print(f"VIOLATION: {cell.violations[-1]}", flush=True)
                self.keep_log(one, len(cell.violations))
            cell.met += met
            if beyond and not met:
                break
        shutil.rmtree(one.daemon.directory)
        return cell

    def keep_log(self, one, number):
        kept = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR")
        if kept:
            name = re.sub(r"\W+", "-", one.operation.name)
            shutil.copy(one.daemon.log_path, f"{kept}/{name}-{os.path.basename(one.daemon.directory)}-{number}.log")

    def cells(self, chosen):
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            counted = list(pool.map(self.count, chosen))
        for operation, counts in zip(chosen, counted):
            for call in CALLS + BACKFILL_CALLS:
                for kind in [trial.KILL, *ERRORS]:
                    ordinals = counts.ordinals(call, kind)
                    if ordinals and (call not in BACKFILL_CALLS or kind == trial.KILL):
                        yield Cell(operation, call, kind, ordinals)

    def all(self, cells):
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            return list(pool.map(self.try_cell, cells))

    def sample(self, cells, every):
        """One N of each kill, and one error for each call, further in the ordinals from cell to cell; every k-th of these."""
        chosen = [cell for number, cell in enumerate(cells)
                  if cell.kind == trial.KILL or cell.kind == ERRORS[number // 4 % len(ERRORS)]][::every]
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            return list(pool.map(lambda numbered: self.try_cell(numbered[1], 7 * numbered[0]), enumerate(chosen)))


def parse_arguments():
    parser = argparse.ArgumentParser(description="Interrupts the daemon at its system calls.")
    for name in ("daemon", "sluicectl", "call", "containerd", "namespace", "layout", "registry", "directory"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--all", action="store_true", help="every N of every cell, not a sample")
    parser.add_argument("--every", type=int, default=1, help="of the sample, every k-th trial")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--operation", action="append", help="only these")
    parser.add_argument("--fault", help="only this one, CALL:KIND:N, as a violation names it")
    parser.add_argument("--write", help="the table, as a page")
    return parser.parse_args()


def try_one(run, operation, fault):
    print("met" if run.trial_of(operation).run(trial.Fault(*fault.split(":"))) else "not met")


def main():
    arguments = parse_arguments()
    programs = node.Programs(arguments.daemon, arguments.sluicectl, arguments.call, arguments.containerd,
                             arguments.namespace)
    image = operations.image_of(arguments.layout, arguments.registry)
    templates = operations.Templates(programs, image, f"{arguments.directory}/templates")
    templates.make()
    chosen = [one for one in operations.operations(programs, image)
              if not arguments.operation or one.name in arguments.operation]
    run = Run(programs, templates, arguments.directory, arguments.jobs)
    if arguments.fault:
        for operation in chosen:
            try_one(run, operation, arguments.fault)
        return 0
    cells = list(run.cells(chosen))
    tried = run.all(cells) if arguments.all else run.sample(cells, arguments.every)
    page = report.page(chosen, CALLS + BACKFILL_CALLS, tried)
    print(page)
    if arguments.write:
        with open(arguments.write, "w", encoding="utf-8") as file:
            file.write(page)
    violations = [text for cell in tried for text in cell.violations]
    met = sum(cell.met for cell in tried)
    print(f"{run.trials} trials, {met} met a call, {len(violations)} violations")
    # A sample whose faults meet nothing would prove nothing.
    return 1 if violations or met < run.trials * 0.7 else 0


if __name__ == "__main__":
    sys.exit(main())
