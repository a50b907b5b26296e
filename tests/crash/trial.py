"""One trial: an operation of the daemon, one of its system calls answered by SIGKILL or an error, and what one sees after."""
import os
import re
import sqlite3
import threading

import node
import operations
import state_check
from node import Violation, wait_until

SETTLE_SECONDS = 10
BACKFILL_SECONDS = 60
KILL = "SIGKILL"

# There is one containerd, whose content is what a backfill changes.
backfill_lock = threading.Lock()


class Fault:
    """`when` is strace's: the Nth call of a thread, or "N+"."""

    def __init__(self, call, kind, when):
        self.call, self.kind, self.when = call, kind, when

    def inject(self):
        what = f"signal={KILL}" if self.kind == KILL else f"error={self.kind}"
        return f"{self.call}:{what}:when={self.when}"

    def __str__(self):
        return f"{self.call}:{self.kind}:{self.when}"


class Trial:
    """Of one operation; run() as often as you like, in a directory that nobody else uses."""

    def __init__(self, programs, templates, operation, directory):
        self.templates, self.operation = templates, operation
        self.daemon = node.Daemon(programs, directory)
        os.makedirs(directory, exist_ok=True)

    def run(self, fault, calls=()):
        """Whether the fault met a call; raises Violation. Without a fault `calls` are traced."""
        traced = [fault.call] if fault else list(calls)
        for path in (self.daemon.log_path, self.daemon.trace_path):
            if os.path.exists(path):
                os.unlink(path)
        self.templates.copy(self.operation.template, self.daemon.root)
        try:
            if isinstance(self.operation, operations.Backfill):
                with backfill_lock:
                    self.operation.reset()
                    return self.interrupt_start(traced, fault)
            return self.interrupt_start(traced, fault) if self.operation.at_start else self.interrupt_calls(traced, fault)
        finally:
            self.daemon.kill()

    # --- a client's operation ---

    def interrupt_calls(self, traced, fault):
        self.daemon.start(self.operation.config)
        self.daemon.attach(traced, fault.inject() if fault else None)
        answered = self.ask()
        self.settle()
        if fault is None or fault.kind == KILL:
            touched = self.was_killed()
            self.restart()
            self.verify(self.done(answered))
            self.retry()
            return touched
        self.must_live()
        self.daemon.detach()
        touched = self.daemon.was_injected()
        self.verify(self.done(answered))
        self.give_back(answered)
        self.retry()
        self.restart()
        self.verify(self.operation.steps)
        return touched

    def ask(self):
        """The steps up to the first that is not answered as it should be, with their answers."""
        answered = []
        for step in self.operation.steps:
            answer = self.daemon.call(*step.arguments)
            answered.append((step, answer))
            if answer.code in step.answers:
                continue
            if answer.code not in ("OK", "Unavailable") and ": " not in answer.text:
                raise Violation(f"{step.arguments}: no operation and cause: {answer}")
            break
        return answered

    @staticmethod
    def done(answered):
        return [step for step, answer in answered if answer.code in step.answers]

    def give_back(self, answered):
        """A layer that was left to the client, which would unpack it, or give up."""
        for step, answer in answered:
            if answer.code == "OK" and "OK" not in step.answers:
                self.daemon.call("remove", step.arguments[1])

    def retry(self):
        answers = []
        for step in self.operation.steps:
            answer = self.daemon.call(*step.arguments)
            answers.append(f"{step.arguments[0]}: {answer}")
            if answer.code not in step.answers and answer.code not in ("AlreadyExists", "NotFound"):
                raise Violation(f"the retry fails: {answer}: {self.daemon.last_words()}")
        self.verify(self.operation.steps, f" (the retry: {'; '.join(answers)}; the log: {self.daemon.last_words()})")

    # --- the daemon's start, and what it does unasked ---

    def interrupt_start(self, traced, fault):
        self.daemon.start_traced(self.operation.config, traced, fault.inject() if fault else None)
        wait_until(lambda: self.daemon.serves() or self.daemon.ended(), node.START_SECONDS, "it neither serves nor ends")
        failing = fault is not None and fault.kind != KILL
        if self.daemon.serves():
            self.daemon.call("cleanup")
            if not failing:
                self.await_backfill(or_end=True)
        if not failing:
            touched = self.was_killed()
        else:
            self.settle()
            touched = self.daemon.was_injected()
            if self.daemon.ended():
                self.must_explain()
            else:
                self.daemon.detach()
                self.verify([])
        self.restart()
        self.verify([])
        self.await_backfill()
        return touched

    def await_backfill(self, or_end=False):
        if isinstance(self.operation, operations.Backfill):
            wait_until(lambda: (or_end and self.daemon.ended()) or self.operation.is_done(), BACKFILL_SECONDS,
                       "the blobs don't come, or a lease is left")
            if not self.daemon.ended():
                for violation in self.operation.violations():
                    raise Violation(violation)

    def must_explain(self):
        code, words = self.daemon.process.returncode, self.daemon.last_words()
        if code != 1 or re.match("[IWEF][0-9]{8} ", words) or ": " not in words:
            raise Violation(f"ends with {code} and says '{words}'")

    # --- both ---

    def was_killed(self):
        """Ended by the fault. Anything else that ends a daemon is a violation."""
        self.daemon.detach()
        if not self.daemon.ended():
            if self.daemon.call("stat", "none").code == "NotFound":
                return False
            wait_until(self.daemon.ended, SETTLE_SECONDS, "the daemon does not answer, and lives")
        if self.daemon.process.returncode != -9:
            raise Violation(f"ended with {self.daemon.process.returncode}: {self.daemon.last_words()}")
        return True

    def must_live(self):
        if self.daemon.ended():
            raise Violation(f"the daemon has ended with {self.daemon.process.returncode}: {self.daemon.last_words()}")

    def restart(self):
        self.daemon.kill()
        self.daemon.start(self.operation.config)

    def settle(self):
        """What an operation leaves to the background: layers filled ahead, the usage of what was committed."""
        try:
            wait_until(lambda: self.daemon.ended() or self.is_quiet(), SETTLE_SECONDS, "")
        except Violation:
            pass  # a fault may be why; what is left is seen by verify()

    def is_quiet(self):
        if any(name.startswith("new-") for name in os.listdir(self.daemon.root)):
            return False
        try:
            rows = state_check.Rows(self.daemon.root)
        except sqlite3.Error:
            return False
        return not any(row["usage_bytes"] is None for row in rows.snapshots.values() if row["kind"] == 3)

    def verify(self, done, context=""):
        """Nothing is wrong, and the effect of these steps is there."""
        answer = self.daemon.call("cleanup")
        if answer.code != "OK":
            raise Violation(f"Cleanup: {answer}")
        self.settle()
        listing = self.daemon.listing()
        self.settle()
        wrong = state_check.check_state(self.daemon.root, listing, node.SNAPSHOTTER, self.templates.trees)
        wrong += [f"was answered, and is not there: {step.arguments}" for step in done if not step.holds(listing)]
        if wrong:
            raise Violation("; ".join(wrong[:5]) + context)
