#!/usr/bin/env python3
"""A registry that behaves badly: an HTTP proxy before a real one, with a port for each way to misbehave.

    registry_front.py LOG UPSTREAM PORT=MODE...

Manifests, and the configs they name, are always handed on as they are; other blobs by the MODE:
    up            as they are
    down          the connection is reset when the request has been read
    slow@RATE     as they are, RATE bytes a second
    401           only to those with credentials, and none are good
    wrong-digest  with one byte changed

LOG has a line "ask ID MODE AGENT HOST PATH" for each GET as it comes, HOST being what the client takes the registry
for, and "end ID BYTES BEGUN ENDED" when its body has been sent, or as much of it as the client took; times in seconds.
"""
import http.client
import http.server
import itertools
import json
import re
import socket
import struct
import sys
import threading
import time

CHUNK = 1 << 16
HANDED_ON = ("Content-Type", "Content-Length", "Content-Range", "Docker-Content-Digest", "Accept-Ranges", "Etag")
TLS_HANDSHAKE = b"\x16"


class Log:
    def __init__(self, path):
        self.file = open(path, "a", buffering=1)
        self.lock = threading.Lock()
        self.ids = itertools.count(1)

    def ask(self, *words):
        with self.lock:
            number = next(self.ids)
            print("ask", number, *words, file=self.file)
            return number

    def end(self, *words):
        with self.lock:
            print("end", *words, file=self.file)


class Front(http.server.ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True

    def __init__(self, port, mode, upstream, log):
        super().__init__(("0.0.0.0", port), Handler)
        self.mode, _, rate = mode.partition("@")
        self.rate = int(rate or 0)
        self.upstream = upstream
        self.log = log

    # Without shutdown(2) before it, so that a close can be a reset.
    def shutdown_request(self, request):
        self.close_request(request)

    # Clients come and go in the middle of things.
    def handle_error(self, request, client_address):
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    configs = set()  # digests; of all ports together

    def log_message(self, *_):
        pass

    # As Go's servers answer who speaks TLS to them.
    def handle(self):
        if self.connection.recv(1, socket.MSG_PEEK) == TLS_HANDSHAKE:
            self.connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            return
        super().handle()

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        agent = self.headers.get("User-Agent", "-").split("/")[0]
        self.number = self.server.log.ask(self.server.mode, agent, self.headers.get("Host", "-"), self.bare_path())
        self.sent, begun = 0, time.monotonic()
        try:
            self.answer()
        finally:
            self.server.log.end(self.number, self.sent, f"{begun:.3f}", f"{time.monotonic():.3f}")

    # Mirrors are told by a query whose they are.
    def bare_path(self):
        return self.path.partition("?")[0]

    def answer(self):
        blob = re.search(r"/blobs/(sha256:[0-9a-f]{64})$", self.bare_path())
        mode = self.server.mode if blob and blob[1] not in self.configs else "up"
        # So that every blob is asked for on a connection of its own, and none is lost with an old one.
        self.close_connection = True
        if mode == "down":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif mode == "401":
            self.head(401, {"WWW-Authenticate": 'Basic realm="here"', "Content-Length": "0"})
        else:
            self.hand_on(mode)

    def head(self, status, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()

    def hand_on(self, mode):
        upstream = http.client.HTTPConnection(self.server.upstream)
        wanted = {name: self.headers[name] for name in ("Accept", "Range") if name in self.headers}
        upstream.request(self.command, self.path, headers=wanted)
        response = upstream.getresponse()
        self.head(response.status, {name: response.headers[name] for name in HANDED_ON if name in response.headers})
        if "/manifests/" in self.path:
            self.send(self.noted(response.read()))
        else:
            self.send_blob(response, mode)
        upstream.close()

    def noted(self, manifest):
        try:
            self.configs.add(json.loads(manifest)["config"]["digest"])
        except (ValueError, KeyError):
            pass
        return manifest

    def send_blob(self, response, mode):
        wrong_at = int(response.headers.get("Content-Length", 0)) // 2 if mode == "wrong-digest" else -1
        size = max(1, min(CHUNK, self.server.rate // 20)) if mode == "slow" else CHUNK
        while chunk := bytearray(response.read(size)):
            if 0 <= wrong_at - self.sent < len(chunk):
                chunk[wrong_at - self.sent] ^= 1
            if mode == "slow":
                time.sleep(len(chunk) / self.server.rate)
            self.send(chunk)

    def send(self, body):
        self.wfile.write(body)
        if self.command == "GET":
            self.sent += len(body)


def main():
    log_path, upstream, *ports = sys.argv[1:]
    log = Log(log_path)
    servers = []
    for port in ports:
        number, _, mode = port.partition("=")
        servers.append(Front(int(number), mode, upstream, log))
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    servers[0].serve_forever()


main()
