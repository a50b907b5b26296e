#!/usr/bin/env python3
"""Plays systemd for one service of Type=notify: starts COMMAND with a notification socket and writes what is said.

    service_manager.py --log FILE [--abstract] [--watchdog SECONDS] [--on-ready SHELL] -- COMMAND...

A line of FILE is "<seconds since the start> <NAME=VALUE>". --on-ready runs when READY=1 arrives, with nothing said in
between; its exit code is written as ON_READY=<code>. SIGTERM and SIGINT are passed on; the exit code is the command's.
"""
import argparse, os, signal, socket, subprocess, sys, tempfile, threading, time

parser = argparse.ArgumentParser()
parser.add_argument("--log", required=True)
parser.add_argument("--abstract", action="store_true")
parser.add_argument("--watchdog", type=float, default=0)
parser.add_argument("--on-ready", default="")
parser.add_argument("command", nargs="+")
options = parser.parse_args()

started = time.monotonic()
log = open(options.log, "w", buffering=1)
directory = tempfile.TemporaryDirectory(prefix="sm-")
address = f"@sluice-notify-{os.getpid()}" if options.abstract else f"{directory.name}/notify"
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.bind(address.replace("@", "\0", 1))


def environment():
    """In the child, whose process WATCHDOG_PID names."""
    if options.watchdog:
        os.environ["WATCHDOG_USEC"] = str(int(options.watchdog * 1e6))
        os.environ["WATCHDOG_PID"] = str(os.getpid())
    os.environ["NOTIFY_SOCKET"] = address


def listen():
    while True:
        for line in notify.recv(65536).decode().split("\n"):
            print(f"{time.monotonic() - started:.3f} {line}", file=log)
            if line == "READY=1" and options.on_ready:
                code = subprocess.run(["sh", "-c", options.on_ready]).returncode
                print(f"{time.monotonic() - started:.3f} ON_READY={code}", file=log)


child = os.fork()
if child == 0:
    environment()
    os.execvp(options.command[0], options.command)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda caught, frame: os.kill(child, caught))
threading.Thread(target=listen, daemon=True).start()
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
time.sleep(0.1)
sys.exit(status if status >= 0 else 128 - status)
