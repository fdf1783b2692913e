# SPDX-License-Identifier: Apache-2.0
"""Real processes for the end-to-end tests: an ezplaned and an ez-gateway on free ports, in a home of their own.

    with Plane() as plane:
        reply = plane.post("/admin/masters", {"name": "acme"})
        assert reply.status == 201, reply

The C twin is tests/support/server.h; both reserve ports the same way, so that tests may run side by side. Programs come
from EZ_TEST_BIN, which tests/support/with_store sets. Every wait has a deadline; nothing here sleeps for a fixed time and
hopes. Standard library only.
"""
import contextlib
import ctypes
import http.client
import json
import os
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

PATIENCE = 15 * max(1, min(20, int(os.environ.get("EZ_TEST_PATIENCE") or 1)))
REPORTS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer", ": runtime error: ")
_reserved = []
_next_port = os.getpid() * 31


def free_port():
    """A port of 127.0.0.1 that no other test gets while this process lives."""
    global _next_port
    for _ in range(10000):
        port = 20000 + _next_port % 10000
        _next_port += 1
        claim = socket.socket(socket.AF_UNIX)
        with contextlib.closing(socket.socket()) as probe:
            try:
                claim.bind(f"\0ez-test-port-{port}")
                probe.bind(("127.0.0.1", port))  # only then: for a moment it has the port, which may be its owner's
            except OSError:
                claim.close()
                continue
        _reserved.append(claim)
        return port
    raise RuntimeError("no free port")


def wait_until(condition, what=""):
    """Looks again until condition() is true and returns what it gave; AssertionError when patience is over."""
    deadline = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {PATIENCE} s for: {what or getattr(condition, '__name__', 'a condition')}")
        time.sleep(0.005)


def expect_code(reply, status, reason=None):
    """That an HTTP reply has this status (and a problem's reason); returns the reply."""
    assert reply.status == status, f"expected {status}, got {reply}"
    if reason is not None:
        assert reply.json.get("reason") == reason, f"expected {reason}, got {reply}"
    return reply


_libc = ctypes.CDLL(None)  # not between fork and exec: other threads may load something meanwhile


def _die_with_parent():
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Process:
    """A program under test: stdout read by lines, stderr kept in log."""

    def __init__(self, program, args=(), env=None, log=None):
        path = program if "/" in program else os.path.join(os.environ["EZ_TEST_BIN"], program)
        self.name, self.log = os.path.basename(path), log
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("EZ_") or k.startswith("EZ_TEST_")}
        with open(log, "ab") as err:
            self.popen = subprocess.Popen([path, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err,
                                          env={**inherited, **(env or {})}, start_new_session=True,
                                          preexec_fn=_die_with_parent)
        self._pending = b""
        self.was_killed = False  # by us, or stopped already: nothing is expected of it any more

    @property
    def pid(self):
        return self.popen.pid

    def is_running(self):
        return self.popen.poll() is None

    def log_text(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def _fail(self, what):
        sys.stderr.write(f"---- end of {self.name}'s log\n{self.log_text()[-4000:]}----\n")
        self.kill()
        raise AssertionError(f"{self.name} {what} (its log is above)")

    def wait_for_line(self, prefix):
        """The first line of stdout from here on that begins with prefix."""
        deadline = time.monotonic() + PATIENCE
        fd = self.popen.stdout.fileno()
        while True:
            while b"\n" in self._pending:
                line, self._pending = self._pending.split(b"\n", 1)
                if line.startswith(prefix.encode()):
                    return line.decode()
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                self._fail(f"did not print a line {prefix!r}… within {PATIENCE} s")
            got = os.read(fd, 65536)
            if not got:
                self._fail(f"ended before it printed {prefix!r}…")
            self._pending = (self._pending + got)[-1 << 20:]

    def wait(self):
        """Its exit status, within patience."""
        try:
            return self.popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._fail(f"did not end within {PATIENCE} s")
        finally:
            self._forget()

    def stop(self):
        """SIGTERM, then expects exit status 0 and no sanitizer's report. One that died before fails here too."""
        self.was_killed = True
        self.popen.terminate()
        status = self.wait()
        text = self.log_text()
        if status != 0 or any(mark in text for mark in REPORTS):
            self._fail(f"did not stop cleanly: exit status {status}")

    def kill(self):
        """kill -9; returns when it is gone."""
        self.was_killed = True
        if self.is_running():
            self.popen.kill()
        self.popen.wait()
        self._forget()

    def _forget(self):
        """What it started itself is of its group and goes too. Once: the number may be another's later."""
        if self.popen.stdout.closed:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.stdout.close()


class Reply:
    """An HTTP reply. Its text form leaves the body of a success out: it may hold a token."""

    def __init__(self, response, body):
        self.status, self.headers, self.body = response.status, response.headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __str__(self):
        return f"HTTP {self.status} {self.body[:500].decode(errors='replace') if self.status >= 400 else ''}"


class RawSocket:
    """A TCP connection to send bytes that no client library would, with a deadline on each step."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)

    def send(self, data):
        self.socket.sendall(data)
        return self

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def reset(self):
        """Closes with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def read_until_closed(self, limit=1 << 20):
        """All that comes until the other side closes or resets; AssertionError where it does not."""
        got = b""
        try:
            while len(got) < limit:
                piece = self.socket.recv(65536)
                if not piece:
                    break
                got += piece
        except ConnectionResetError:
            pass
        except TimeoutError:
            raise AssertionError(f"still open after {PATIENCE} s; so far: {got[:200]!r}") from None
        return got

    def read_reply(self):
        """One HTTP reply."""
        response = http.client.HTTPResponse(self.socket)
        response.begin()
        return Reply(response, response.read())

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Plane:
    """One ezplaned and (unless gateway=False) one ez-gateway before it. env: further settings for both."""

    def __init__(self, env=None, gateway=True, store=None):
        self.home = tempfile.mkdtemp(prefix="ez-test.")
        self.store = store or f"sqlite:{self.home}/ezplane.db"
        self.rpc_port, self.config_port, self.events_port, self.http_port = (free_port() for _ in range(4))
        self.admin_token = "eza_" + _random_base62(43)
        self.env = {
            "EZ_HOME": self.home,
            "EZ_STORE": self.store,
            "EZ_RPC_URL": f"tcp://127.0.0.1:{self.rpc_port}",
            "EZ_CONFIG_URL": f"tcp://127.0.0.1:{self.config_port}",
            "EZ_EVENTS_URL": f"tcp://127.0.0.1:{self.events_port}",
            "EZ_HTTP_ADDR": f"127.0.0.1:{self.http_port}",
            "EZ_ADMIN_TOKEN": self.admin_token,
            "EZ_LOG_LEVEL": "info",
            "EZ_TOKEN_REFRESH": "false",  # no test calls a provider
            **(env or {}),
        }
        self.server = self.gateway = None
        self._wants_gateway = gateway

    def start_server(self):
        self.server = Process("ezplaned", env=self.env, log=f"{self.home}/ezplaned.log")
        self.server.wait_for_line("ready")

    def start_gateway(self):
        env = {k: v for k, v in self.env.items() if k not in ("EZ_ADMIN_TOKEN", "EZ_STORE", "EZ_HOME")}
        self.gateway = Process("ez-gateway", env=env, log=f"{self.home}/ez-gateway.log")
        self.gateway.wait_for_line("ready")

    def run(self, program, *args, env=None, input=None):
        """Another program of this plane, to its end: a CompletedProcess with text."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("EZ_") or k.startswith("EZ_TEST_")}
        return subprocess.run([os.path.join(os.environ["EZ_TEST_BIN"], program), *args], capture_output=True, text=True,
                              input=input, timeout=PATIENCE * 4, check=False, env={**inherited, **self.env, **(env or {})})

    def request(self, method, path, body=None, token=None, headers=None, timeout=PATIENCE):
        """One HTTP call. body: an object (sent as JSON) or bytes. token: None is the admin's, "" is none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=timeout)
        token = self.admin_token if token is None else token
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        try:
            connection.request(method, path, body, {**sent, **(headers or {})})
            response = connection.getresponse()
            return Reply(response, response.read())
        finally:
            connection.close()

    def get(self, path, query=None, **more):
        return self.request("GET", path + (f"?{urllib.parse.urlencode(query)}" if query else ""), **more)

    def post(self, path, body=None, **more):
        return self.request("POST", path, body, **more)

    def put(self, path, body=None, **more):
        return self.request("PUT", path, body, **more)

    def patch(self, path, body=None, **more):
        return self.request("PATCH", path, body, **more)

    def delete(self, path, **more):
        return self.request("DELETE", path, **more)

    def event_of(self, topic, cause):
        """The data of the topic's first event, of what cause(0), cause(1), … do: whoever has just begun to watch may miss the
        first ones."""
        stop = threading.Event()

        def go_on():
            for i in range(10000):
                cause(i)
                if stop.wait(0.1):
                    return

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            return next(e["data"] for e in self.events(f"/admin/events?topics={topic}") if e.get("event") == topic)
        finally:
            stop.set()
            thread.join()

    def events(self, path="/admin/events", headers=None):
        """Server-sent events as dicts, until the caller stops reading; each must come within patience."""
        connection, response = self._open_events(path, headers or {})
        try:
            event = {}
            for line in response:
                name, _, value = line.decode().rstrip("\r\n").partition(":")
                value = value[1:] if value.startswith(" ") else value
                if name:
                    event[name] = f"{event[name]}\n{value}" if name == "data" and name in event else value
                elif event:
                    yield event
                    event = {}
        finally:
            connection.close()

    def _open_events(self, path, headers):
        sent = {"Authorization": f"Bearer {self.admin_token}", "Accept": "text/event-stream", **headers}

        def opened():
            connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=PATIENCE)
            connection.request("GET", path, headers=sent)
            response = connection.getresponse()
            if response.status == 200:
                return connection, response
            refused = Reply(response, response.read())
            connection.close()
            expect_code(refused, 503, "EVENTS_UNAVAILABLE")  # for a moment after the gateway's start
            return None

        return wait_until(opened, "the gateway's connection to the events")

    def raw(self, port=None):
        """A raw connection: to the gateway's port, or another."""
        return RawSocket(port or self.http_port)

    def __enter__(self):
        try:
            self.start_server()
            if self._wants_gateway:
                self.start_gateway()
        except BaseException:
            self._clean()
            raise
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                for process in (self.gateway, self.server):
                    if process and not process.was_killed:
                        process.stop()
        finally:
            self._clean()

    def _clean(self):
        for process in (self.gateway, self.server):
            if process and process.is_running():
                process.kill()
        if os.environ.get("EZ_TEST_KEEP") == "1":
            sys.stderr.write(f"kept: {self.home}\n")
        else:
            shutil.rmtree(self.home, ignore_errors=True)


def _random_base62(count):
    letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    out = ""
    while len(out) < count:
        out += "".join(letters[b] for b in os.urandom(count * 2) if b < len(letters))
    return out[:count]


def tls_context(certificate):
    """A client's TLS context that trusts this one certificate file."""
    return ssl.create_default_context(cafile=certificate)
