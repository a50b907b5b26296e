"""The daemon as a process, strace on it, and a client: what one trial starts and ends."""
import hashlib
import json
import os
import signal
import subprocess
import time

SNAPSHOTTER = "sluice"
CALL_SECONDS = 30  # longer is a hang
START_SECONDS = 30


class Violation(Exception):
    """Something that must never be seen from outside."""


def wait_until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Violation(what)
        time.sleep(0.002)


class Programs:
    """The paths of the binaries, and of what all trials share."""

    def __init__(self, daemon, sluicectl, call, containerd, namespace):
        self.daemon, self.sluicectl, self.call = daemon, sluicectl, call
        self.containerd, self.namespace = containerd, namespace  # its socket, and a namespace in it

    def ctr(self, *arguments):
        done = subprocess.run(["ctr", "-a", self.containerd, "-n", self.namespace, *arguments],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=CALL_SECONDS, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"ctr {arguments}: {done.stderr}")
        return done.stdout


class Answer:
    """What a call came to: code "OK" and what it printed, or a gRPC code and its text."""

    def __init__(self, code, text):
        self.code, self.text = code, text

    def __str__(self):
        return f"{self.code}: {self.text}"


class Daemon:
    """containerd-sluice-grpc with a directory of its own: root, socket, configuration, log."""

    def __init__(self, programs, directory):
        self.programs, self.directory = programs, directory
        self.root, self.socket = f"{directory}/root", f"{directory}/s"
        self.log_path, self.trace_path = f"{directory}/log", f"{directory}/trace"
        self.process = self.tracer = None

    def command(self):
        return [self.programs.daemon, "--config", f"{self.directory}/config", "--root", self.root, "--address", self.socket]

    def configure(self, config):
        with open(f"{self.directory}/config", "w", encoding="utf-8") as file:
            file.write(config)

    def start(self, config):
        self.configure(config)
        self.spawn(self.command())
        self.await_service()

    def spawn(self, command):
        # One that was killed leaves its socket; only a new one says that the new daemon serves.
        if os.path.lexists(self.socket):
            os.unlink(self.socket)
        with open(self.log_path, "ab") as log:
            # pylint: disable-next=consider-using-with
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def serves(self):
        return os.path.exists(self.socket)

    def ended(self):
        return self.process.poll() is not None

    def await_service(self):
        wait_until(lambda: self.serves() or self.ended(), START_SECONDS, "the daemon does not serve")
        if not self.serves():
            raise Violation(f"the daemon does not start: {self.last_words()}")

    def last_words(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            lines = log.read().splitlines()
        return lines[-1] if lines else ""

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(START_SECONDS) != 0:
            raise Violation(f"exit code {self.process.returncode} after SIGTERM: {self.last_words()}")

    def kill(self):
        self.detach()
        if self.process is not None and not self.ended():
            self.process.kill()
            self.process.wait()

    # --- strace ---

    def trace_flags(self, calls, inject):
        flags = ["-f", "-qq", "-e", "signal=none", "-o", self.trace_path, "-e", "trace=" + ",".join(calls)]
        return flags + (["-e", f"inject={inject}"] if inject else [])

    def attach(self, calls, inject=None):
        """From now on the calls are traced, and `inject` (strace's words) happens to them."""
        self.tracer = subprocess.Popen(  # pylint: disable=consider-using-with
            ["strace", *self.trace_flags(calls, inject), "-p", str(self.process.pid)], stderr=subprocess.PIPE)
        wait_until(self.is_traced, START_SECONDS, "strace does not attach")

    def is_traced(self):
        if self.tracer.poll() is not None:
            raise RuntimeError(f"strace: {self.tracer.stderr.read()}")
        tasks = f"/proc/{self.process.pid}/task"
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/status", encoding="utf-8") as status:
                if f"TracerPid:\t{self.tracer.pid}\n" not in status:
                    return False
        return True

    def start_traced(self, config, calls, inject=None):
        """The daemon traced from its first call on; returns at once."""
        self.configure(config)
        self.spawn(["sh", "-c", 'kill -STOP $$; exec "$@"', "sh", *self.command()])
        wait_until(self.is_stopped, START_SECONDS, "the shell does not stop")
        self.attach(calls, inject)
        self.process.send_signal(signal.SIGCONT)

    def is_stopped(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as stat:
            return stat.read().rpartition(") ")[2].startswith("T")

    def detach(self):
        """Nothing happens to the daemon's calls any more."""
        if self.tracer is not None:
            self.tracer.terminate()
            try:
                self.tracer.wait(1)
            except subprocess.TimeoutExpired:
                # It sometimes waits for a thread that has been killed. Without a tracer the others just go on.
                self.tracer.kill()
                self.tracer.wait()
            self.tracer.stderr.close()
            self.tracer = None

    def trace(self):
        try:
            with open(self.trace_path, encoding="utf-8", errors="replace") as trace:
                return trace.read().splitlines()
        except FileNotFoundError:
            return []

    def was_injected(self):
        return any("(INJECTED)" in line for line in self.trace())

    # --- its client ---

    def call(self, *arguments):
        with subprocess.Popen([self.programs.call, self.socket, SNAPSHOTTER, *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as client:
            out, err = self.outcome(client, arguments)
        if client.returncode == 0:
            return Answer("OK", out)
        code, _, text = err.strip().partition(": ")
        return Answer(code, text)

    def outcome(self, client, arguments):
        """What the client prints. One that finds no daemon would dial for a minute."""
        end = time.monotonic() + CALL_SECONDS
        while True:
            try:
                return client.communicate(timeout=0.2)
            except subprocess.TimeoutExpired:
                if self.ended():
                    client.kill()
                    return client.communicate()[0], "Unavailable: the daemon has ended"
                if time.monotonic() > end:
                    client.kill()
                    raise Violation(f"no answer: {arguments}") from None

    def listing(self):
        """name -> what `snapshotter_call list` prints of it."""
        answer = self.call("list")
        if answer.code != "OK":
            raise Violation(f"List: {answer}")
        return {one["name"]: {**one, "kind": one["kind"].upper()} for one in map(json.loads, answer.text.splitlines())}


def run(*command):
    subprocess.run(command, check=True, timeout=CALL_SECONDS)


def chain_id(parent, diff_id):
    """image-spec config.md, Layer ChainID."""
    return "sha256:" + hashlib.sha256(f"{parent} {diff_id}".encode()).hexdigest()
