# SPDX-License-Identifier: Apache-2.0
"""ez-gateway alone, on real sockets: what it does with HTTP, good and bad. Behind it stands gateway_peer, which speaks the
frames and does what the id in a call says (tests/unit/gateway/peer.c). Raw sockets wherever a client library would be too
polite. No assertion depends on how long something takes: waits have a deadline of DEADLINE seconds."""
import gzip
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

BIN = os.environ["EZ_TEST_BIN"]
# Programs may come from another build folder than the tests do (those with the thread sanitizer).
PEER = next((path for path in (os.path.join(folder, "..", "tests", "gateway_peer")
                               for folder in (BIN, os.environ.get("EZ_TEST_BIN_DEFAULT", BIN))) if os.path.exists(path)),
            "gateway_peer")
TOKEN = "Bearer eza_good"
DEADLINE = 30
KEY = "/admin/keys/5"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Process:
    """A program that prints a line beginning with "ready"."""

    def __init__(self, argv, env=None):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("EZ_")}
        self.process = subprocess.Popen(argv, env={**clean, **(env or {})}, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.err = []
        self.reader = threading.Thread(target=lambda: self.err.extend(self.process.stderr), daemon=True)
        self.reader.start()
        self.ready = self.process.stdout.readline().strip()
        if not self.ready.startswith("ready"):
            self.stop()
            raise AssertionError("did not start: " + "".join(self.err))

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(DEADLINE)
        self.reader.join(DEADLINE)
        self.process.stdout.close()
        self.process.stderr.close()
        return code

    def log(self):
        return "".join(self.err)


class Gateway(Process):
    def __init__(self, rpc_port, **settings):
        env = {"EZ_HTTP_ADDR": "127.0.0.1:0", "EZ_RPC_URL": f"tcp://127.0.0.1:{rpc_port}", "EZ_LOG_LEVEL": "debug"}
        super().__init__([os.path.join(BIN, "ez-gateway")], {**env, **{k: str(v) for k, v in settings.items()}})
        self.port = int(self.ready.rsplit(":", 1)[1])

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.port), DEADLINE)
        s.settimeout(DEADLINE)
        return s

    def request(self, method, path, body=None, headers=None):
        """One request on its own connection → (status, headers, body, problem or None)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            connection.request(method, path, body, {"Authorization": TOKEN, **(headers or {})})
            response = connection.getresponse()
            data = response.read()
            return response.status, response.headers, data
        finally:
            connection.close()

    def get(self, path=KEY, **headers):
        return self.request("GET", path, None, {k.replace("_", "-"): v for k, v in headers.items()})

    def until(self, wanted, path="/readyz"):
        end = time.monotonic() + DEADLINE
        while True:
            status = self.get(path)[0]
            if status == wanted:
                return
            if time.monotonic() > end:
                raise AssertionError(f"{path} answers {status}, not {wanted}")
            time.sleep(0.02)

    def raw(self, data):
        """Sends bytes, reads to the end of the connection (the request should make it end)."""
        with self.connect() as s:
            try:
                s.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                pass
            return read_all(s)


def read_all(s):
    got = b""
    try:
        while True:
            more = s.recv(65536)
            if not more:
                return got
            got += more
    except ConnectionResetError:
        return got


def read_response(s):
    """One response with Content-Length off a connection → (status, headers as lower-case dict, body)."""
    got = b""
    while b"\r\n\r\n" not in got:
        more = s.recv(1)
        if not more:
            raise AssertionError(f"the connection ended within a response's head: {got!r}")
        got += more
    lines = got.decode().split("\r\n")
    headers = dict((name.lower(), value) for name, value in (line.split(": ", 1) for line in lines[1:] if line))
    body = b""
    while len(body) < int(headers.get("content-length", 0)):
        more = s.recv(int(headers["content-length"]) - len(body))
        if not more:
            raise AssertionError("the connection ended within a response's body")
        body += more
    return int(lines[0].split()[1]), headers, body


def head(line, *headers):
    return "\r\n".join((line, "Host: x", "Authorization: " + TOKEN) + headers + ("", "")).encode()


def statuses(got):
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d\d\d) ", got)]


class Case(unittest.TestCase):
    settings = {"EZ_HTTP_LOOPS": 2}

    @classmethod
    def setUpClass(cls):
        cls.rpc_port = free_port()
        cls.peer = Process([PEER, f"tcp://127.0.0.1:{cls.rpc_port}"])
        cls.gateway = Gateway(cls.rpc_port, **cls.settings)
        cls.gateway.until(200)

    @classmethod
    def tearDownClass(cls):
        code = cls.gateway.stop()
        cls.peer.stop()
        log = cls.gateway.log()
        if code != 0 or "Sanitizer" in log or "runtime error" in log:
            raise AssertionError(f"ez-gateway ended with {code}: {log[-4000:]}")
        if "eza_good" in log or "sk-secret" in log:
            raise AssertionError("a token is in the log")

    def check_alive(self):
        self.assertEqual(self.gateway.get()[0], 200)

    def check_refused(self, data, *wanted):
        """The answer is one of these statuses, it is the only one, and the connection ends."""
        got = self.gateway.raw(data)
        self.assertEqual(len(statuses(got)), 1, got[:300])
        self.assertIn(statuses(got)[0], wanted, got[:300])
        self.check_alive()


class Answers(Case):
    def test_key(self):
        status, headers, body = self.gateway.get(X_Request_ID="my-id.1")
        self.assertEqual(status, 200)
        self.assertEqual(headers["Content-Type"], "application/json")
        self.assertEqual(headers["ETag"], '"42"')
        self.assertEqual(headers["X-EZ-Revision"], "77")
        self.assertEqual(headers["X-Request-ID"], "my-id.1")
        self.assertEqual(headers["Cache-Control"], "no-store")
        self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
        key = json.loads(body)
        self.assertEqual((key["id"], key["labels"]["request_id"], key["labels"]["has_token"]), (5, "my-id.1", "yes"))
        self.assertEqual(key["labels"]["remote"], "127.0.0.1")
        self.assertNotIn("token", key)

    def test_request_ids_are_made(self):
        made = {self.gateway.get(X_Request_ID=bad)[1]["X-Request-ID"] for bad in ("", "a b", "x" * 65, "é".encode())}
        self.assertEqual(len(made), 4)
        for one in made:
            self.assertRegex(one, r"^[A-Za-z0-9._-]{8,64}$")

    def test_problem(self):
        status, headers, body = self.gateway.get("/admin/keys/404")
        problem = json.loads(body)
        self.assertEqual((status, headers["Content-Type"]), (404, "application/problem+json"))
        self.assertEqual(problem["reason"], "KEY_NOT_FOUND")
        self.assertEqual(problem["type"], "urn:ezplane:problem:key_not_found")
        self.assertEqual(problem["request_id"], headers["X-Request-ID"])
        self.assertEqual(set(problem), {"type", "title", "status", "detail", "reason", "violations", "request_id"})

    def test_json_ends_its_line(self):
        for path in (KEY, "/admin/keys?page_size=2", "/admin/keys/404", "/healthz", "/openapi.json"):
            body = self.gateway.get(path)[2]
            self.assertTrue(body.endswith(b"}\n") and not body.endswith(b"\n\n"), (path, body[-20:]))

    def test_violations(self):
        status, _, body = self.gateway.get("/admin/keys/400")
        self.assertEqual(status, 400)
        self.assertEqual(json.loads(body)["violations"],
                         [{"field": "key.name", "description": 'is too "long"'}])

    def test_retry_after_and_credentials(self):
        status, headers, _ = self.gateway.get("/admin/keys/429")
        self.assertEqual((status, headers["Retry-After"]), (429, "3"))
        status, headers, _ = self.gateway.get(Authorization="Bearer eza_other")
        self.assertEqual((status, headers["WWW-Authenticate"]), (401, 'Bearer realm="ezplane"'))

    def test_change(self):
        status, headers, body = self.gateway.request(
            "PATCH", KEY + "?wait=applied&timeout=2s&validate_only=true", '{"name":"n"}',
            {"Content-Type": "application/json", "If-Match": '"42"', "Idempotency-Key": "k-1", "User-Agent": "t/1",
             "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
        self.assertEqual(status, 200)
        self.assertEqual(headers["X-EZ-Applied"], "2/3")
        labels = json.loads(body)["labels"]
        self.assertEqual({k: labels[k] for k in ("timeout_ms", "idempotency_key", "client", "if_match", "validate_only",
                                                 "wait", "mask")},
                         {"timeout_ms": "2000", "idempotency_key": "k-1", "client": "t/1", "if_match": "42",
                          "validate_only": "yes", "wait": "applied", "mask": "name"})
        self.assertTrue(labels["traceparent"].startswith("00-0af7"))

    def test_if_match(self):
        send = lambda tag: self.gateway.request("PATCH", KEY, "{}", {"If-Match": tag})[0]
        self.assertEqual([send('"41"'), send('"42"'), send('W/"42"'), send("*"), send("42")],
                         [409, 200, 200, 200, 400])

    def test_created(self):
        status, headers, body = self.gateway.request("POST", "/admin/masters/1/keys", '{"name":"n"}')
        self.assertEqual((status, headers["Location"]), (201, "/admin/keys/5"))
        self.assertIn("token", json.loads(body))

    def test_deleted(self):
        status, headers, body = self.gateway.request("DELETE", KEY)
        self.assertEqual((status, body, headers["Content-Type"], headers["Content-Length"]), (204, b"", None, None))

    def test_not_modified(self):
        status, headers, body = self.gateway.get(If_None_Match='"42"')
        self.assertEqual((status, body, headers["ETag"]), (304, b"", '"42"'))
        self.assertEqual(self.gateway.get(If_None_Match='"41"')[0], 200)

    def test_head(self):
        with self.gateway.connect() as s:
            s.sendall(head(f"HEAD {KEY} HTTP/1.1") + head("HEAD /healthz HTTP/1.1") +
                      head(f"GET {KEY} HTTP/1.1", "Connection: close"))
            got = read_all(s)
        parts = got.split(b"HTTP/1.1 200 OK\r\n")[1:]
        self.assertEqual(len(parts), 3)
        self.assertTrue(parts[0].endswith(b"\r\n\r\n") and parts[1].endswith(b"\r\n\r\n"))
        self.assertRegex(parts[0], rb"Content-Length: [1-9]")
        self.assertIn(b'{"id":5', parts[2])

    def test_gzip(self):
        status, headers, body = self.gateway.get("/admin/keys?page_size=200", Accept_Encoding="gzip")
        self.assertEqual((status, headers["Content-Encoding"], headers["Vary"]), (200, "gzip", "Accept-Encoding"))
        self.assertEqual(len(json.loads(gzip.decompress(body))["items"]), 200)
        status, headers, plain = self.gateway.get("/admin/keys?page_size=200")
        self.assertEqual((status, headers["Content-Encoding"]), (200, None))
        self.assertEqual(gzip.decompress(body), plain)
        self.assertIsNone(self.gateway.get("/healthz", Accept_Encoding="gzip")[1]["Content-Encoding"])
        for path in ("/docs", "/openapi.json"):
            packed = self.gateway.get(path, Accept_Encoding="gzip")
            self.assertEqual(gzip.decompress(packed[2]), self.gateway.get(path)[2])

    def test_big_reply(self):
        status, _, body = self.gateway.get("/admin/keys?page_size=1000&q=" + "x" * 255)
        self.assertEqual((status, len(json.loads(body)["items"])), (200, 1000))

    def test_methods(self):
        status, headers, _ = self.gateway.request("POST", KEY)
        self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"))
        self.assertEqual(self.gateway.request("POST", "/docs")[0], 405)
        self.assertEqual(self.gateway.get("/nope")[0], 404)
        status, headers, _ = self.gateway.request("OPTIONS", KEY)
        self.assertEqual((status, headers["Allow"]), (204, "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"))
        self.assertIsNone(headers["Access-Control-Allow-Origin"])
        self.assertEqual(self.gateway.request("OPTIONS", "*")[0], 204)
        self.assertEqual(self.gateway.request("OPTIONS", "/nope")[0], 404)

    def test_content_type(self):
        send = lambda kind: self.gateway.request("PATCH", KEY, '{"name":"n"}', {"Content-Type": kind})[0]
        self.assertEqual([send("application/json; charset=utf-8"), send("application/merge-patch+json"),
                          send("text/plain"), send("application/x-www-form-urlencoded")], [200, 200, 415, 200])

    def test_queries(self):
        self.assertIn("page_sise", json.loads(self.gateway.get("/admin/keys?page_sise=1")[2])["detail"])
        self.assertEqual(self.gateway.get("/admin/keys?timeout=never")[0], 400)

    def test_pages(self):
        self.assertEqual(json.loads(self.gateway.get("/healthz")[2]), {"status": "ok"})
        self.assertIn("paths", json.loads(self.gateway.get("/openapi.json")[2]))
        for path in ("/", "/docs"):
            status, headers, body = self.gateway.get(path)
            self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
            self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
            self.assertNotRegex(body, rb"(?i)(?:src|href|action)=.?(?:https?:|//)|url\(|<script")
        self.assertIn(b"/admin/keys/{id}", self.gateway.get("/docs")[2])

    def test_metrics(self):
        status, headers, body = self.gateway.get("/metrics")
        self.assertEqual(status, 200)
        self.assertTrue(headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        self.assertIn(b"ez_peer_up 1", body)
        self.assertIn(b'ez_gateway_requests_total{status="2xx"}', body)
        self.assertIn(b"ez_gateway_core_connections 2\n", body)
        self.assertEqual(self.gateway.get("/metrics", Authorization="Bearer no")[0], 401)


class Connections(Case):
    def test_pipelining(self):
        with self.gateway.connect() as s:
            s.sendall(b"".join(head(f"GET /admin/keys/{n} HTTP/1.1") for n in (10120, 7, 404, 8)))
            got = [read_response(s) for _ in range(4)]
        self.assertEqual([status for status, _, _ in got], [200, 200, 404, 200])
        self.assertEqual([json.loads(got[i][2])["id"] for i in (0, 1, 3)], [10120, 7, 8])

    def test_keepalive(self):
        with self.gateway.connect() as s:
            for n in range(20):
                s.sendall(head(f"GET /admin/keys/{n + 1} HTTP/1.1"))
                self.assertEqual(json.loads(read_response(s)[2])["id"], n + 1)
            body = b'{"name":"n"}'
            s.sendall(head(f"PATCH {KEY} HTTP/1.1", "Transfer-Encoding: chunked") + b"5\r\n" + body[:5] + b"\r\n7\r\n" +
                      body[5:] + b"\r\n0\r\n\r\n")
            self.assertEqual(json.loads(read_response(s)[2])["name"], "n")

    def test_http_1_0_ends(self):
        got = self.gateway.raw(head(f"GET {KEY} HTTP/1.0"))
        self.assertTrue(got.startswith(b"HTTP/1.0 200"))

    def test_expect_continue(self):
        with self.gateway.connect() as s:
            s.sendall(head(f"PATCH {KEY} HTTP/1.1", "Content-Length: 12", "Expect: 100-continue"))
            got = b""
            while b"\r\n\r\n" not in got:
                got += s.recv(1)
            self.assertTrue(got.startswith(b"HTTP/1.1 100"), got)
            s.sendall(b'{"name":"n"}')
            self.assertEqual(read_response(s)[0], 200)

    def test_upgrade_is_ignored(self):
        with self.gateway.connect() as s:
            s.sendall(head(f"GET {KEY} HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket"))
            self.assertEqual(read_response(s)[0], 200)
            s.sendall(head(f"GET {KEY} HTTP/1.1", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"))
            self.assertEqual(read_response(s)[0], 200)

    def test_who_hangs_up(self):
        for n in range(30):
            s = self.gateway.connect()
            s.sendall(head("GET /admin/keys/10050 HTTP/1.1")[: 40 if n % 3 == 0 else None])
            if n % 2:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # RST
            s.close()
        self.check_alive()

    def test_absolute_target(self):
        with self.gateway.connect() as s:
            s.sendall(head(f"GET http://other.example{KEY} HTTP/1.1"))
            self.assertEqual(read_response(s)[0], 200)
        with self.gateway.connect() as s:
            s.sendall(head("GET //admin/keys/5 HTTP/1.1"))
            self.assertEqual(read_response(s)[0], 404)


class BadInput(Case):
    def test_fault_24_escapes(self):
        with self.gateway.connect() as s:
            for target, wanted in (("%", 400), ("%4", 400), ("%00", 400), ("%zz", 400), ("%ff", 400), ("%35", 200),
                                   ("%41", 400)):
                s.sendall(head(f"GET /admin/keys/{target} HTTP/1.1"))
                status, _, body = read_response(s)
                self.assertEqual(status, wanted, target)
                if target == "%41":  # decoded, and then no number
                    self.assertIn("id", json.loads(body)["violations"][0]["field"])
        self.check_alive()

    def test_fault_25_chunked_and_length(self):
        inner = head("GET /healthz HTTP/1.1")
        self.check_refused(head(f"PATCH {KEY} HTTP/1.1", "Content-Length: 5", "Transfer-Encoding: chunked") +
                           b"0\r\n\r\n" + inner, 400)
        self.check_refused(head(f"PATCH {KEY} HTTP/1.1", "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n" + inner,
                           400, 501)
        self.check_refused(head(f"PATCH {KEY} HTTP/1.1", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked") +
                           b"0\r\n\r\n" + inner, 400)
        self.check_refused(head(f"PATCH {KEY} HTTP/1.0", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + inner, 501)
        self.check_refused(head(f"PATCH {KEY} HTTP/1.1", "Transfer-Encoding: chunked") + b"zz\r\n" + inner, 400, 413)
        self.check_refused(head(f"PATCH {KEY} HTTP/1.1", "Transfer-Encoding: chunked") + b"-1\r\n" + inner, 400, 413)

    def test_fault_26_lengths(self):
        inner = head("GET /healthz HTTP/1.1")
        for lengths in (("2", "2"), ("2", "30"), ("-1",), ("+2",), ("2x",), ("2, 2",), ("",),
                        ("99999999999999999999999",)):
            self.check_refused(head(f"PATCH {KEY} HTTP/1.1", *("Content-Length: " + n for n in lengths)) + b"{}" +
                               inner, 400, 413)

    def test_fault_27_headers(self):
        self.assertEqual(self.gateway.get(X_Big="x" * 9000)[0], 200)
        self.check_refused(head(f"GET {KEY} HTTP/1.1", "X-Big: " + "x" * 20000), 400, 431)
        self.check_refused(head(f"GET {KEY} HTTP/1.1", *(f"X-{n}: {'x' * 100}" for n in range(400))), 400, 431)
        self.check_refused(head(f"GET /{'x' * 20000} HTTP/1.1"), 400, 414, 431)

    def test_fault_28_json(self):
        for body in ("[" * 10000 + "]" * 10000, '{"labels":' * 10000 + "}" * 10000, '{"name":"a","name":"b"}',
                     '{"nope":1}', '{"name":1}', "{", "null", '"x"', "[]", '{"name":"\\u0000"}', '{"name":"\ud800"}'):
            status, _, answer = self.gateway.request("PATCH", KEY, body.encode("utf-8", "surrogatepass"))
            self.assertEqual(status, 400, body[:40])
            self.assertTrue(json.loads(answer)["detail"])
        self.check_alive()

    def test_fault_29_authorization(self):
        self.assertEqual(self.gateway.get(Authorization="' OR 1=1; DROP TABLE key; --")[0], 401)
        self.assertEqual(self.gateway.get(Authorization="Bearer " + "x" * 4000)[0], 401)
        self.check_refused(head(f"GET {KEY} HTTP/1.1", "Authorization: Bearer two"), 400)

    def test_fault_30_search(self):
        self.assertEqual(self.gateway.get("/admin/keys?q=%%%%")[0], 400)
        items = json.loads(self.gateway.get("/admin/keys?q=%25%25%25%25")[2])["items"]
        self.assertEqual(items[0]["name"], "%%%%")

    def test_body_too_large(self):
        body = b'{"name":"' + b"x" * (5 << 20) + b'"}'
        status, headers, _ = self.gateway.request("PATCH", KEY, body)
        self.assertEqual(status, 413)
        got = self.gateway.raw(head(f"PATCH {KEY} HTTP/1.1", "Transfer-Encoding: chunked") + b"%x\r\n" % len(body) + body)
        self.assertEqual(statuses(got), [413])
        self.check_alive()

    def test_body_just_below(self):
        body = b'{"name":"n"' + b" " * ((4 << 20) - (17 << 10)) + b"}"
        self.assertEqual(self.gateway.request("PATCH", KEY, body)[0], 200)

    def test_methods(self):
        inner = head("GET /healthz HTTP/1.1")
        for method in ("BREW", "TRACE", "PROPFIND"):
            body = b"5\r\n" + inner
            self.check_refused(head(f"{method} {KEY} HTTP/1.1", f"Content-Length: {len(body)}") + body, 501)
        self.check_refused(head("CONNECT x:1 HTTP/1.1"), 501)
        self.check_refused(head(f"HEAD {KEY} HTTP/1.1", f"Content-Length: {len(inner)}") + inner, 400)

    def test_malformed(self):
        for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/2.0\r\n\r\n",
                     b"GET / HTTP/9\r\n\r\n", b"\0\0SP\0\0\0\0\r\n\r\n", b"GET / HTTP/1.1\r\n: x\r\n\r\n",
                     b"GET / HTTP/1.1\r\nno colon\r\n\r\n", head(f"GET {KEY} HTTP/1.1", "Content-Length : 3") + b"abc",
                     head("GET / HTTP/1.1", "Host: again"), head("GET / HTTP/1.1", "X\x01Y: 1")):
            got = self.gateway.raw(data)
            self.assertLessEqual(len(statuses(got)), 1, got)
            self.assertNotIn(b" 200 ", got, data)
        self.check_alive()

    def test_noise(self):
        noise = b"".join(bytes([(n * 7919 + n // 251) & 255]) for n in range(4000))
        for start in range(0, 4000, 160):
            with self.gateway.connect() as s:
                s.sendall(noise[start:start + 160])
                s.shutdown(socket.SHUT_WR)
                read_all(s)
        self.check_alive()


class Limits(Case):
    settings = {"EZ_HTTP_LOOPS": 1, "EZ_HTTP_MAX_CONNECTIONS": 6, "EZ_HTTP_REQUEST_TIMEOUT": 1, "EZ_HTTP_MAX_CALLS": 2}

    def test_half_requests_are_cut_and_idle_ones_are_not(self):
        with self.gateway.connect() as idle, self.gateway.connect() as half, self.gateway.connect() as body:
            idle.sendall(head(f"GET {KEY} HTTP/1.1"))
            self.assertEqual(read_response(idle)[0], 200)
            half.sendall(b"GET /admin/keys/5 HT")
            body.sendall(head(f"PATCH {KEY} HTTP/1.1", "Content-Length: 100") + b"{")
            self.assertEqual(read_all(half), b"")
            self.assertEqual(read_all(body), b"")
            idle.sendall(head(f"GET {KEY} HTTP/1.1"))
            self.assertEqual(read_response(idle)[0], 200)

    def test_a_byte_at_a_time_is_cut(self):
        with self.gateway.connect() as slow:
            end = time.monotonic() + DEADLINE
            slow.settimeout(0.2)
            with self.assertRaises((BrokenPipeError, ConnectionResetError, EOFError)):
                while time.monotonic() < end:
                    slow.sendall(b"G" if end else b"")
                    try:
                        if slow.recv(1) == b"":
                            raise EOFError
                    except socket.timeout:
                        pass

    def test_connections_are_bounded(self):
        held = []
        try:
            for _ in range(6):
                held.append(self.gateway.connect())
                held[-1].sendall(head(f"GET {KEY} HTTP/1.1"))
                self.assertEqual(read_response(held[-1])[0], 200)
            got = self.gateway.raw(b"")
            self.assertIn(statuses(got), ([503], []))
        finally:
            for s in held:
                s.close()
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            try:
                if self.gateway.get()[0] == 200:
                    break
            except (OSError, http.client.HTTPException):
                pass
        self.assertIn(b"ez_gateway_connections_refused_total", self.gateway.get("/metrics")[2])

    def test_calls_are_bounded(self):
        with self.gateway.connect() as one, self.gateway.connect() as two:
            for s in (one, two):
                s.sendall(head("GET /admin/keys/12000 HTTP/1.1"))
            end = time.monotonic() + DEADLINE
            status, headers = 0, {}
            while status != 503 and time.monotonic() < end:  # until both are in flight
                status, headers, _ = self.gateway.get()
            self.assertEqual((status, headers["Retry-After"]), (503, "1"))
            self.assertEqual(self.gateway.get("/healthz")[0], 200)
            self.assertEqual([read_response(s)[0] for s in (one, two)], [200, 200])
        self.check_alive()


class Cors(Case):
    settings = {"EZ_CORS_ORIGINS": "https://admin.example,http://127.0.0.1:5173"}

    def test_preflight(self):
        status, headers, _ = self.gateway.request("OPTIONS", KEY, None, {
            "Origin": "https://admin.example", "Access-Control-Request-Method": "PATCH"})
        self.assertEqual((status, headers["Access-Control-Allow-Origin"]), (204, "https://admin.example"))
        self.assertIn("PATCH", headers["Access-Control-Allow-Methods"])
        self.assertIn("Idempotency-Key", headers["Access-Control-Allow-Headers"])

    def test_requests(self):
        headers = self.gateway.get(Origin="http://127.0.0.1:5173")[1]
        self.assertEqual(headers["Access-Control-Allow-Origin"], "http://127.0.0.1:5173")
        self.assertIn("ETag", headers["Access-Control-Expose-Headers"])
        for path in (KEY, "/admin/keys/404", "/nope"):
            headers = self.gateway.get(path, Origin="https://evil.example")[1]
            self.assertIsNone(headers["Access-Control-Allow-Origin"])
            self.assertIn("Origin", headers["Vary"])


class Core(Case):
    settings = {"EZ_HTTP_LOOPS": 1}  # each loop has a connection of its own: one, so that waiting for it is enough

    def test_lost_connections(self):
        self.assertEqual(self.gateway.get("/admin/keys/5000")[0], 200)  # tried again
        status, _, body = self.gateway.request("POST", "/admin/keys/5000:rotate")
        self.assertEqual((status, json.loads(body)["reason"]), (503, "CORE_LOST"))  # not tried again
        self.gateway.until(200)
        self.assertEqual(self.gateway.request("POST", "/admin/keys/5000:rotate")[0], 200)  # an even call
        status, _, body = self.gateway.request("POST", "/admin/keys/5000:rotate", None, {"Idempotency-Key": "k"})
        self.assertEqual((status, json.loads(body)["labels"]["idempotency_key"]), (200, "k"))

    def test_no_answer(self):
        self.gateway.until(200)
        status, _, body = self.gateway.get("/admin/keys/4000?timeout=100ms")
        self.assertEqual((status, json.loads(body)["reason"]), (504, "DEADLINE_EXCEEDED"))

    def test_away_and_back(self):
        port = free_port()
        gateway = Gateway(port)
        try:
            status, headers, body = gateway.get()
            self.assertEqual((status, headers["Retry-After"]), (503, "1"))
            self.assertEqual(json.loads(body)["reason"], "CORE_UNAVAILABLE")
            self.assertEqual((gateway.get("/readyz")[0], gateway.get("/healthz")[0]), (503, 200))
            # Nobody is there to check a credential: what is shown are the gateway's counters and nothing else.
            status, _, body = gateway.get("/metrics", Authorization="Bearer no")
            self.assertEqual(status, 200)
            self.assertIn(b"ez_gateway_core_connections 0\n", body)
            self.assertEqual([line for line in body.splitlines() if not line.startswith((b"#", b"ez_gateway_"))], [])
            for how in (signal.SIGTERM, signal.SIGKILL):
                peer = Process([PEER, f"tcp://127.0.0.1:{port}"])
                gateway.until(200)
                gateway.until(200, KEY)
                peer.stop(how)
                gateway.until(503)
        finally:
            self.assertEqual(gateway.stop(), 0)


class Stop(unittest.TestCase):
    def setUp(self):
        self.rpc_port = free_port()
        self.peer = Process([PEER, f"tcp://127.0.0.1:{self.rpc_port}"])
        self.addCleanup(self.peer.stop)
        self.gateway = Gateway(self.rpc_port)
        self.addCleanup(lambda: self.gateway.process.poll() is None and self.gateway.stop(signal.SIGKILL))
        self.gateway.until(200)
        self.gateway.until(200)

    def test_what_is_under_way_finishes(self):
        with self.gateway.connect() as slow, self.gateway.connect() as idle:
            idle.sendall(head(f"GET {KEY} HTTP/1.1"))
            self.assertEqual(read_response(idle)[0], 200)
            slow.sendall(head("GET /admin/keys/11500 HTTP/1.1"))
            end = time.monotonic() + DEADLINE
            while b"ez_gateway_calls_in_flight 1\n" not in self.gateway.get("/metrics")[2]:
                self.assertLess(time.monotonic(), end)
            self.gateway.process.send_signal(signal.SIGTERM)
            status, headers, body = read_response(slow)
            self.assertEqual((status, headers["connection"], json.loads(body)["id"]), (200, "close", 11500))
            self.assertEqual(read_all(slow), b"")
            self.assertEqual(read_all(idle), b"")
        self.assertEqual(self.gateway.stop(), 0)

    def test_fault_59_sigterm_under_load(self):
        stop, counts, faults = threading.Event(), [0] * 8, []

        def load(slot):
            while not stop.is_set():
                try:
                    with self.gateway.connect() as s:
                        while not stop.is_set():
                            s.sendall(head(f"GET /admin/keys/{slot + 1} HTTP/1.1"))
                            status, headers, body = read_response(s)
                            if status != 200 or json.loads(body)["id"] != slot + 1:
                                faults.append((status, body[:200]))
                            counts[slot] += 1
                            if headers.get("connection") == "close":
                                break
                except ConnectionRefusedError:
                    return
                except (OSError, AssertionError) as e:  # a connection that was still in the listener's queue
                    if "within a response's body" in str(e):
                        faults.append(str(e))

        threads = [threading.Thread(target=load, args=(slot,)) for slot in range(8)]
        for t in threads:
            t.start()
        end = time.monotonic() + DEADLINE
        while min(counts) < 20 and time.monotonic() < end:
            time.sleep(0.01)
        code = self.gateway.stop()
        stop.set()
        for t in threads:
            t.join(DEADLINE)
        self.assertEqual((code, faults), (0, []))
        self.assertGreaterEqual(min(counts), 20)
        self.assertNotIn("Sanitizer", self.gateway.log())

    def test_sigint(self):
        self.gateway.process.send_signal(signal.SIGINT)
        self.assertEqual(self.gateway.stop(), 0)


class Start(unittest.TestCase):
    def run_gateway(self, *argv, **env):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("EZ_")}
        return subprocess.run([os.path.join(BIN, "ez-gateway"), *argv], env={**clean, **env}, capture_output=True,
                              text=True, timeout=DEADLINE)

    def test_help_and_version(self):
        shown = self.run_gateway("--help")
        self.assertEqual(shown.returncode, 0)
        self.assertIn("EZ_RPC_URL", shown.stdout)
        self.assertEqual(self.run_gateway("--version").returncode, 0)

    def test_bad_settings(self):
        for env in ({"EZ_HTTP_ADDR": "nonsense"}, {"EZ_HTTP_ADDR": "127.0.0.1:99999"}, {"EZ_RPC_URL": "nonsense"},
                    {"EZ_EVENTS_URL": "ipc:///tmp/x"}, {"EZ_HTTP_LOOPS": "x"}, {"EZ_CORS_ORIGINS": "example.org"}):
            ended = self.run_gateway(**{"EZ_HTTP_ADDR": "127.0.0.1:0", **env})
            self.assertNotEqual(ended.returncode, 0, env)
            self.assertIn(next(iter(env)), ended.stderr)
            self.assertNotIn("ready", ended.stdout)

    def test_address_in_use(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            ended = self.run_gateway(EZ_HTTP_ADDR=f"127.0.0.1:{s.getsockname()[1]}")
        self.assertEqual(ended.returncode, 1)
        self.assertIn("EZ_HTTP_ADDR", ended.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
