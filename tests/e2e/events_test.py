# SPDX-License-Identifier: Apache-2.0
"""GET /admin/events: what is streamed, how it is resumed, what is told to be lost, who may watch, what is bounded.

EventsTest has a real ezplaned behind the gateway. StreamTest has a core made of a few lines of Python, which speaks SP and
the frames of docs/protocol.md, so that it can lose events, be another server, and say no, when a test wants it to."""
import concurrent.futures
import contextlib
import http.client
import json
import os
import socket
import struct
import threading
import time
import unittest

import ezplane
from ezplane import wait_until


class Stream:
    """One open stream: events as dicts; a comment is {"comment": text}."""

    def __init__(self, port, query="", token="good", last=None, headers=None, timeout=ezplane.PATIENCE):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        sent = {"Authorization": f"Bearer {token}", **(headers or {})}
        if last is not None:
            sent["Last-Event-ID"] = last
        self.connection.request("GET", "/admin/events" + query, headers=sent)
        self.response = self.connection.getresponse()
        self.status, self.headers = self.response.status, self.response.headers
        self.id = None
        if self.status == 200:
            self.id = self.next()["id"]  # the first piece has no event
        else:
            self.problem = json.loads(self.response.read())

    def next(self):
        """The next event or comment; None at the response's end."""
        event = {}
        while True:
            line = self.response.readline()
            if not line:
                return None
            line = line.decode().rstrip("\n")
            if not line:
                if event:
                    self.id = event.get("id", self.id)
                    return event
                continue
            name, _, value = line.partition(": ")
            assert value or not name, f"odd line {line!r}"
            event["comment" if not name else name] = value if name != "data" else json.loads(value)

    def event(self, wanted=None):
        """The next that is no comment; wanted: passes over others."""
        while True:
            event = self.next()
            assert event, f"the stream ended before {wanted or 'an event'}"
            assert event.get("event") != "end" or wanted == "end", f"ended before {wanted or 'an event'}: {event}"
            if "event" in event and wanted in (None, event["event"]):
                return event

    def lost(self):
        event = self.event()
        assert event["event"] == "lost", event
        return event["data"]["reason"]

    def ended(self):
        """The reason of event "end", which must be the next and last."""
        event = self.event("end")
        assert self.next() is None
        return event["data"]["reason"]

    def close(self):
        self.response.close()
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def text_field(number, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def number_field(number, value):
    return varint(number << 3) + varint(value)


def frame(header, message):
    return b"\1" + varint(len(header)) + header + message


class Core:
    """A REP and a PUB socket. All that is said of the server may be changed at any time."""

    def __init__(self):
        self.server_id, self.sequences, self.refused, self.is_away = "server.1", {}, set(), False
        self.said_id = None  # another than that of its events
        self.lock = threading.Lock()
        self.subscribers, self.calls = [], 0
        self.listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]  # they stay: no port to be lost
        self.rpc_port, self.events_port = (listener.getsockname()[1] for listener in self.listeners)
        for listener, serve in zip(self.listeners, (self._serve_calls, self._serve_events)):
            threading.Thread(target=self._accept, args=(listener, serve), daemon=True).start()

    def _accept(self, listener, serve):
        with contextlib.suppress(OSError):
            while True:
                peer = listener.accept()[0]
                threading.Thread(target=self._run, args=(serve, peer), daemon=True).start()

    @staticmethod
    def _run(serve, peer):
        with contextlib.suppress(OSError, struct.error), peer:
            serve(peer)

    @staticmethod
    def _read(peer, count):
        got = b""
        while len(got) < count:
            more = peer.recv(count - len(got))
            if not more:
                raise OSError("closed")
            got += more
        return got

    def _greeted(self, peer, protocol):
        if self._read(peer, 8) != b"\0SP\0\0" + protocol + b"\0\0":
            raise OSError("another protocol")

    def _serve_calls(self, peer):
        peer.sendall(b"\0SP\0\0\x31\0\0")
        self._greeted(peer, b"\x30")
        while True:
            size = struct.unpack(">Q", self._read(peer, 8))[0]
            request = self._read(peer, size)
            with self.lock:
                self.calls += 1
                if self.is_away:
                    continue
                refused = any(f"Bearer {token}".encode() in request for token in self.refused)
                header = number_field(1, 16) + text_field(2, "no") + text_field(3, "TOKEN_INVALID") if refused else b""
                message = text_field(2, self.said_id or self.server_id)
                for topic, sequence in self.sequences.items():
                    message += text_field(3, text_field(1, topic) + number_field(2, sequence))
            reply = request[:4] + frame(header, b"" if refused else message)
            peer.sendall(struct.pack(">Q", len(reply)) + reply)

    def _serve_events(self, peer):
        peer.sendall(b"\0SP\0\0\x20\0\0")
        self._greeted(peer, b"\x21")
        with self.lock:
            self.subscribers.append(peer)
        try:
            self._read(peer, 1)  # a subscriber says nothing
        finally:
            with self.lock:
                self.subscribers.remove(peer)

    def publish(self, topic="stats.flush", message=None, requests=7, is_lost=False):
        """One event; where is_lost, only its number is used up."""
        with self.lock:
            sequence = self.sequences[topic] = self.sequences.get(topic, 0) + 1
            header = text_field(1, self.server_id) + number_field(2, sequence) + text_field(3, number_field(1, 1700000000))
            body = number_field(2, requests) if message is None else message
            event = topic.encode() + b"\0" + frame(header, body)
            if not is_lost:
                self._send(event)
        return sequence

    def send(self, event):
        with self.lock:
            self._send(event)

    def _send(self, event):
        for peer in self.subscribers:
            peer.sendall(struct.pack(">Q", len(event)) + event)

    def cut(self, wait=True):
        """Ends the connections of the events socket; they come back by themselves."""
        with self.lock:
            before = list(self.subscribers)
            for peer in before:
                peer.shutdown(socket.SHUT_RDWR)
        if wait:
            wait_until(lambda: self.subscribers and not set(before) & set(self.subscribers), "subscribers again")

    def close(self):
        for listener in self.listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut(wait=False)


LOG_RECORD_ERROR = 24  # LogRecord.error_message


def big_log(size):
    """A message of topic logs with this many bytes of text."""
    return text_field(3, text_field(LOG_RECORD_ERROR, "x" * size))


class StreamTest(unittest.TestCase):
    def setUp(self):
        self.core = Core()
        self.addCleanup(self.core.close)
        self.home = ezplane.tempfile.mkdtemp(prefix="ez-test.")
        self.addCleanup(ezplane.shutil.rmtree, self.home, True)

    def given_gateway(self, **env):
        port = ezplane.free_port()
        gateway = ezplane.Process("ez-gateway", log=f"{self.home}/gateway-{port}.log", env={
            "EZ_HTTP_ADDR": f"127.0.0.1:{port}", "EZ_RPC_URL": f"tcp://127.0.0.1:{self.core.rpc_port}",
            "EZ_EVENTS_URL": f"tcp://127.0.0.1:{self.core.events_port}", "EZ_HTTP_LOOPS": "1",
            "EZ_HTTP_STREAM_CHECK": "1", **env})
        gateway.wait_for_line("ready")
        self.addCleanup(lambda: gateway.was_killed or gateway.stop())
        gateway.port = port

        def has_events():
            with Stream(port) as stream:
                return stream.status == 200

        wait_until(has_events, "the gateway's connection to the events")
        loops = int(env.get("EZ_HTTP_LOOPS", "1"))
        wait_until(lambda: len(self.core.subscribers) >= loops, "a subscriber of each loop")
        return gateway

    def test_what_an_event_is(self):
        gateway = self.given_gateway()
        with Stream(gateway.port) as stream:
            self.assertEqual(stream.headers["Content-Type"], "text/event-stream")
            self.assertEqual(stream.headers["Cache-Control"], "no-store")
            self.assertEqual(stream.id, "server.1/r0/f0/a0/d0/l0")
            self.core.publish(requests=7)
            event = stream.event()
            self.assertEqual((event["event"], event["id"]), ("stats.flush", "server.1/r0/f1/a0/d0/l0"))
            data = event["data"].pop("data")
            self.assertEqual(event["data"], {"topic": "stats.flush", "server_id": "server.1", "sequence": 1,
                                             "time": "2023-11-14T22:13:20Z"})
            self.assertEqual(data["requests"], 7)
            # What can't be read, and topics of a newer server, are passed over.
            self.core.send(b"nonsense")
            self.core.send(b"stats.flush\0\1\x7f")
            self.core.publish("weather", b"")
            self.core.publish("alerts", b"\x0a\x01x")
            event = stream.event()
            self.assertEqual((event["event"], event["data"]["data"]), ("alerts", {"event": "x", "alert": None}))
            # A message that is none is told, and the next comes.
            self.core.publish("dataplanes", b"\xff\xff")
            self.assertEqual(stream.lost(), "EVENT_UNREADABLE")
            self.core.publish()
            self.assertEqual(stream.event()["id"], "server.1/r0/f2/a1/d1/l0")

    def test_topics(self):
        gateway = self.given_gateway()
        with Stream(gateway.port, "?topics=alerts,stats.flush&topics=logs") as some, \
                Stream(gateway.port, "?topics=stats.realtime") as other:
            self.assertEqual(some.id, "server.1/f0/a0/l0")
            for topic in ("stats.realtime", "alerts", "logs", "stats.realtime"):
                self.core.publish(topic, b"")
            self.assertEqual([some.event()["event"] for _ in range(2)], ["alerts", "logs"])
            self.assertEqual([other.event()["id"] for _ in range(2)], ["server.1/r1", "server.1/r2"])

    def test_what_was_dropped_is_told(self):
        gateway = self.given_gateway()
        with Stream(gateway.port, "?topics=stats.flush") as stream:
            self.core.publish()
            stream.event()
            self.core.publish(is_lost=True)
            self.core.publish()
            event = stream.event()
            self.assertEqual(event["data"]["reason"], "EVENTS_DROPPED")
            self.assertEqual((event["data"]["topics"], event["id"]), (["stats.flush"], "server.1/f2"))
            self.assertEqual(stream.event()["data"]["sequence"], 3)
            # The last of all: no event shows it, the server's word does.
            self.core.publish(is_lost=True)
            self.assertEqual(stream.lost(), "EVENTS_DROPPED")
            self.assertEqual(stream.id, "server.1/f4")

    def test_resume(self):
        gateway, other = self.given_gateway(), self.given_gateway()
        with Stream(gateway.port) as stream:
            start = stream.id
            for _ in range(3):
                self.core.publish()
            first = stream.event()["id"]
            self.core.publish("alerts", b"")
            wait_until(lambda: stream.event()["event"] == "alerts", "all events")
            last = stream.id
        for port in (gateway.port, other.port):
            with Stream(port, last=first) as stream:
                self.assertEqual([stream.event()["data"]["sequence"] for _ in range(3)], [2, 3, 1])
            with Stream(port, last=start, query="?topics=alerts") as stream:
                self.assertEqual(stream.event()["event"], "alerts")
            with Stream(port, last=last) as stream:
                self.core.publish(requests=100)
                self.assertEqual(stream.event()["data"]["data"]["requests"], 100)
                last = stream.id

    def test_resume_that_cannot_be(self):
        gateway = self.given_gateway()
        with Stream(gateway.port) as stream:
            start = stream.id
            self.core.publish()
            stream.event()
        for last, reason in (("what is this?", "ID_INVALID"), ("server.1/f", "ID_INVALID"), ("server.1/f1/f1", "ID_INVALID"),
                             ("server.1/f99", "ID_INVALID"), ("server.0/f1", "OTHER_SERVER")):
            with self.subTest(last), Stream(gateway.port, last=last) as stream:
                self.assertEqual(stream.lost(), reason)
                self.core.publish()
                self.assertEqual(stream.event()["event"], "stats.flush")
        self.core.publish("alerts", b"")
        for _ in range(1200):
            self.core.publish()
        with Stream(gateway.port) as stream:  # the gateway has them all once it has the last
            self.core.publish()
            stream.event("stats.flush")
        with Stream(gateway.port, last=start) as stream:
            self.assertEqual(stream.event()["event"], "alerts", "the busy topic pushed the quiet one out")
            self.assertEqual(stream.lost(), "RING_OVERRUN")
            first = stream.event()["data"]["sequence"]
            self.assertGreater(first, 100)
            self.assertEqual(stream.event()["data"]["sequence"], first + 1)

    def test_a_lost_connection(self):
        gateway = self.given_gateway()
        with Stream(gateway.port, "?topics=stats.flush") as stream:
            self.core.publish()
            stream.event()
            self.core.cut()
            self.core.publish()
            self.assertEqual(stream.event()["data"]["sequence"], 2)  # nothing was lost, and nothing is said
            self.core.cut(wait=False)
            wait_until(lambda: not self.core.subscribers, "the cut")
            self.core.publish()
            wait_until(lambda: self.core.subscribers, "a subscriber")
            self.assertEqual(stream.lost(), "EVENTS_DROPPED")
            self.core.publish()
            self.assertEqual(stream.event()["data"]["sequence"], 4)

    def test_a_message_that_is_too_long(self):
        gateway = self.given_gateway()
        with Stream(gateway.port, "?topics=stats.flush") as stream:
            with self.core.lock:
                before = list(self.core.subscribers)
                before[0].sendall(struct.pack(">Q", 1 << 30) + b"x" * 100)
            wait_until(lambda: self.core.subscribers and before[0] not in self.core.subscribers, "another connection")
            self.core.publish()
            self.assertEqual(stream.event()["data"]["sequence"], 1)

    def test_another_server(self):
        gateway = self.given_gateway()
        with Stream(gateway.port, "?topics=stats.flush,logs") as stream:
            self.core.publish()
            stream.event()
            self.core.server_id, self.core.sequences = "server.2", {"stats.flush": 5}
            self.core.cut()
            event = stream.event()
            self.assertEqual((event["data"]["reason"], event["id"]), ("OTHER_SERVER", "server.2/f5/l0"))
            self.core.publish()
            self.assertEqual(stream.event()["id"], "server.2/f6/l0")

    def test_calls_and_events_of_different_servers(self):
        gateway = self.given_gateway()
        with Stream(gateway.port, "?topics=stats.flush") as stream:
            self.core.said_id = "server.1"
            self.core.server_id, self.core.sequences = "server.2", {}
            self.core.publish()
            calls = self.core.calls
            wait_until(lambda: self.core.calls >= calls + 2, "it to be asked again and again; nothing comes of it")
            self.core.said_id = None
            event = stream.event()
            self.assertEqual((event["data"]["reason"], event["id"]), ("OTHER_SERVER", "server.2/f1"))
            self.core.publish()
            self.assertEqual(stream.event()["id"], "server.2/f2")

    def test_who_is_refused_later(self):
        gateway = self.given_gateway()
        with Stream(gateway.port, token="one") as one, Stream(gateway.port, token="two") as two:
            self.core.refused.add("one")
            self.assertEqual(one.ended(), "TOKEN_INVALID")
            self.core.publish()
            self.assertEqual(two.event()["event"], "stats.flush")
        with Stream(gateway.port, token="one") as one:
            self.assertEqual((one.status, one.problem["reason"]), (401, "TOKEN_INVALID"))

    def test_a_core_that_answers_no_more(self):
        gateway = self.given_gateway()
        with Stream(gateway.port, "?timeout=300ms") as stream:
            self.core.is_away = True
            self.assertEqual(stream.ended(), "CORE_UNAVAILABLE")

    def test_no_more_than_so_many(self):
        gateway = self.given_gateway(EZ_HTTP_MAX_STREAMS="2")
        with Stream(gateway.port) as one, Stream(gateway.port) as two:
            self.assertEqual((one.status, two.status), (200, 200))
            with Stream(gateway.port) as three:
                self.assertEqual((three.status, three.problem["reason"]), (503, "STREAMS_MAX"))
                self.assertEqual(three.headers["Retry-After"], "1")

        def is_free():
            with Stream(gateway.port) as again:
                return again.status == 200

        wait_until(is_free, "a stream's place")

    def test_no_events_socket(self):
        nobody = ezplane.free_port()
        port = ezplane.free_port()
        gateway = ezplane.Process("ez-gateway", log=f"{self.home}/gateway.log", env={
            "EZ_HTTP_ADDR": f"127.0.0.1:{port}", "EZ_RPC_URL": f"tcp://127.0.0.1:{self.core.rpc_port}",
            "EZ_EVENTS_URL": f"tcp://127.0.0.1:{nobody}"})
        gateway.wait_for_line("ready")
        self.addCleanup(gateway.stop)

        def reason():
            with Stream(port) as stream:
                self.assertEqual(stream.status, 503)
                return stream.problem["reason"] == "EVENTS_UNAVAILABLE"

        wait_until(reason, "the core's yes")
        self.assertIn("EZ_EVENTS_URL", gateway.log_text())

    def test_not_a_publisher(self):
        """The calls socket in place of the events socket, by mistake."""
        self.core.events_port = self.core.rpc_port
        port = ezplane.free_port()
        gateway = ezplane.Process("ez-gateway", log=f"{self.home}/gateway.log", env={
            "EZ_HTTP_ADDR": f"127.0.0.1:{port}", "EZ_RPC_URL": f"tcp://127.0.0.1:{self.core.rpc_port}",
            "EZ_EVENTS_URL": f"tcp://127.0.0.1:{self.core.rpc_port}"})
        gateway.wait_for_line("ready")
        self.addCleanup(gateway.stop)
        wait_until(lambda: "does not speak the protocol of that socket" in gateway.log_text(), "the complaint")

    def raw(self, gateway, line, *headers):
        peer = socket.create_connection(("127.0.0.1", gateway.port), ezplane.PATIENCE)
        self.addCleanup(peer.close)
        peer.sendall("\r\n".join((line, "Host: x", "Authorization: Bearer good", *headers, "", "")).encode())
        return peer

    def read_until(self, peer, mark):
        got = b""
        while mark not in got:
            more = peer.recv(65536)
            self.assertTrue(more, f"ended before {mark!r}: {got[-500:]!r}")
            got += more
        return got

    def test_http_1_0(self):
        gateway = self.given_gateway()
        peer = self.raw(gateway, "GET /admin/events HTTP/1.0", "Connection: keep-alive")
        got = self.read_until(peer, b"id: ")
        self.core.publish()
        got += self.read_until(peer, b"sequence")
        head, body = got.split(b"\r\n\r\n", 1)
        self.assertNotIn(b"content-length", head.lower())
        self.assertNotIn(b"chunked", head)
        self.assertTrue(body.startswith(b"retry: 2000\nid: "), body)
        gateway.stop()
        self.assertIn(b"GATEWAY_STOPPING", self.read_until(peer, b"event: end") + peer.recv(65536))

    def test_head_cors_and_encoding(self):
        gateway = self.given_gateway(EZ_CORS_ORIGINS="https://a.example")
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=ezplane.PATIENCE)
        self.addCleanup(connection.close)
        origin = {"Authorization": "Bearer good", "Origin": "https://a.example"}
        for _ in range(2):  # the connection is kept
            connection.request("HEAD", "/admin/events", headers=origin)
            head = connection.getresponse()
            self.assertEqual((head.status, head.read()), (200, b""))
            self.assertEqual(head.headers["Content-Type"], "text/event-stream")
            self.assertNotIn("Content-Length", head.headers)
        connection.request("OPTIONS", "/admin/events", headers={**origin, "Access-Control-Request-Method": "GET"})
        allowed = connection.getresponse()
        allowed.read()
        self.assertIn("Last-Event-ID", allowed.headers["Access-Control-Allow-Headers"])
        with Stream(gateway.port, headers={"Origin": "https://a.example", "Accept-Encoding": "gzip"}) as stream:
            self.assertEqual(stream.headers["Access-Control-Allow-Origin"], "https://a.example")
            self.assertNotIn("Content-Encoding", stream.headers)

    def test_what_a_client_sends_meanwhile_is_not_read_for(self):
        gateway = self.given_gateway()
        peer = self.raw(gateway, "GET /admin/events HTTP/1.1")
        self.read_until(peer, b"id: ")
        for _ in range(64):
            peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
        self.core.publish()
        self.assertNotIn(b'"status"', self.read_until(peer, b"stats.flush"))

    def test_clients_that_go(self):
        gateway = self.given_gateway(EZ_HTTP_MAX_STREAMS="1")
        for how in (lambda peer: peer.close(), lambda peer: peer.shutdown(socket.SHUT_WR),
                    lambda peer: (peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"), peer.close())):
            peer = wait_until(lambda: self.watching(gateway), "the one place")
            how(peer)
        wait_until(lambda: self.watching(gateway), "the one place")

    def watching(self, gateway):
        peer = self.raw(gateway, "GET /admin/events HTTP/1.1")
        if b" 200 " in self.read_until(peer, b"\r\n"):
            return peer
        peer.close()
        return None

    def memory_of(self, gateway):
        with open(f"/proc/{gateway.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def test_slow_readers(self):
        gateway = self.given_gateway()
        peers = [self.raw(gateway, "GET /admin/events?topics=logs HTTP/1.0") for _ in range(20)]
        for peer in peers:
            self.read_until(peer, b"id: ")
        before = self.memory_of(gateway)
        with Stream(gateway.port, "?topics=logs") as quick:
            for _ in range(400):  # 80 MB
                sent = self.core.publish("logs", big_log(200000))
                self.assertEqual(quick.event()["data"]["sequence"], sent)
        # The sum of what 20 buffers, the ring and one text may be; without bounds it would be 80 MB and more. A sanitizer
        # keeps what is freed, so there it is not measured.
        with open(f"/proc/{gateway.pid}/maps", encoding="utf-8") as maps:
            is_measured = "libasan" not in maps.read()
        self.assertTrue(not is_measured or self.memory_of(gateway) - before < 40 << 20, "memory is not bounded")
        self.core.publish("logs", big_log(10))
        got = self.read_until(peers[0], b'"sequence":401,')
        self.assertIn(b"RING_OVERRUN", got)
        self.assertLess(len(got), 40 << 20)

    def test_an_idle_stream_lives_and_a_stuck_one_is_cut(self):
        gateway = self.given_gateway(EZ_HTTP_IDLE_TIMEOUT="1", EZ_HTTP_MAX_STREAMS="2", EZ_HTTP_STREAM_BEAT="1")
        peer = socket.socket()
        self.addCleanup(peer.close)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(("127.0.0.1", gateway.port))
        peer.sendall(b"GET /admin/events?topics=logs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n\r\n")
        with Stream(gateway.port, "?topics=alerts", timeout=2 * ezplane.PATIENCE) as idle:
            with Stream(gateway.port) as third:
                self.assertEqual(third.status, 503)
            for _ in range(60):
                self.core.publish("logs", big_log(200000))
            end = time.monotonic() + 60
            beats = 0
            while time.monotonic() < end:
                beats += "comment" in idle.next()  # within patience, or it fails
                with Stream(gateway.port) as third:
                    if third.status == 200 and beats >= 2:
                        break
            self.assertEqual(third.status, 200, "the stuck one was not cut")
            self.assertGreaterEqual(beats, 2)

    def test_a_thousand_idle_streams(self):
        gateway = self.given_gateway(EZ_HTTP_LOOPS="2", EZ_HTTP_STREAM_CHECK="5")
        peers = [self.raw(gateway, "GET /admin/events HTTP/1.1") for _ in range(999)]
        for peer in peers:
            self.read_until(peer, b"id: ")
        with Stream(gateway.port) as last:
            calls = self.core.calls
            self.core.publish()
            self.assertEqual(last.event()["event"], "stats.flush")
            for peer in peers:
                self.read_until(peer, b"stats.flush")
            wait_until(lambda: self.core.calls >= calls + 1000, "every credential to be looked at again")
            gateway.stop()
            self.assertEqual(last.ended(), "GATEWAY_STOPPING")


class EventsTest(unittest.TestCase):
    """With a real core."""

    def run_planes(self, plane, count=2):
        """Simulated data planes that come and go."""
        done = plane.run("ez-dpsim", "--planes", str(count), "--seconds", "1", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)

    def watch(self, plane, query="", **more):
        """A stream that was let in. For a moment after its start the gateway has no events yet, and says so."""
        token = more.pop("token", plane.admin_token)

        def opened():
            stream = Stream(plane.http_port, query, token=token, **more)
            self.addCleanup(stream.close)
            if stream.status != 200:
                self.assertEqual((stream.status, stream.problem["reason"]), (503, "EVENTS_UNAVAILABLE"))
            return stream if stream.status == 200 else None

        return wait_until(opened, "the gateway's connection to the events")

    def test_data_planes(self):
        with ezplane.Plane() as plane:
            with self.watch(plane, "?topics=dataplanes") as stream:
                begun = stream.id
                self.run_planes(plane)
                types = {}
                while len(types.get("stopped", [])) < 2:
                    data = stream.event("dataplanes")["data"]["data"]
                    types.setdefault(data["type"], []).append(data["id"])
                self.assertEqual(sorted(types["joined"]), sorted(types["stopped"]))
            with self.watch(plane, "?topics=dataplanes", last=begun) as again:
                self.assertEqual(again.event()["data"]["data"]["type"], "joined")

    def test_who_may_watch(self):
        with ezplane.Plane({"EZ_HTTP_STREAM_CHECK": "1"}) as plane:
            master = plane.post("/admin/masters", {"name": "acme"}).json
            for token, status in (("", 401), ("eza_" + "0" * 43, 401), (master["master_key"], 403)):
                ezplane.expect_code(plane.get("/admin/events", token=token), status)
            made = ezplane.expect_code(plane.post("/admin/tokens", {"name": "watcher"}), 201).json
            with self.watch(plane, token=made["token"]) as stream:
                ezplane.expect_code(plane.delete(f"/admin/tokens/{made['id']}"), 204)
                self.assertIn(stream.ended(), ("TOKEN_INVALID", "TOKEN_UNKNOWN"))
            self.assertNotIn(made["token"], plane.gateway.log_text() + plane.server.log_text())

    def test_live_numbers(self):
        with ezplane.Plane() as plane:
            master = plane.post("/admin/masters", {"name": "acme"}).json
            key = plane.post(f"/admin/masters/{master['id']}/keys", {"name": "web"}).json
            token = plane.post("/admin/data-planes", {"name": "edge"}).json["token"]
            with self.watch(plane, "?topics=stats.realtime,stats.flush") as stream:
                flush = {"keys": [{"id": key["id"], "requests": 5, "tokens_in": 7}]}
                ezplane.expect_code(plane.post("/internal/stats/flush", flush, token=token), 200)
                flushed = stream.event("stats.flush")["data"]["data"]
                self.assertEqual((flushed["requests"], flushed["tokens_in"]), (5, 7))
                report = stream.event("stats.realtime")["data"]["data"]
                while report["system"]["requests"] == 0:
                    report = stream.event("stats.realtime")["data"]["data"]
                self.assertEqual(report["masters"][0]["master_id"], master["id"])
                self.assertEqual(report["masters"][0]["stats"]["requests"], 5)

    def test_a_core_that_is_started_anew(self):
        with ezplane.Plane() as plane:
            with self.watch(plane, "?topics=dataplanes") as stream:
                self.run_planes(plane, 1)
                stream.event("dataplanes")
                plane.server.stop()
                plane.start_server()
                lost = stream.event("lost")
                self.assertEqual(lost["data"]["reason"], "OTHER_SERVER")
                self.assertEqual(lost["data"]["topics"], ["dataplanes"])
                self.run_planes(plane, 1)
                event = stream.event("dataplanes")
                self.assertEqual(event["data"]["server_id"], event["id"].split("/")[0])
                self.assertNotIn("EVENTS_DROPPED", json.dumps(event))


# Large ones, beside which the others would wait; and those with real servers, which start them anew.
ALONE = ("test_a_thousand_idle_streams", "test_slow_readers")


class SideBySide(unittest.TestSuite):
    """Runs its tests at once, a thread each: nearly all of their time is waiting for the gateway's."""

    def run(self, result, debug=False):
        def run_one(test):
            own = unittest.TestResult()
            test.run(own)
            return own

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for own in pool.map(run_one, self):
                result.testsRun += own.testsRun
                result.errors += own.errors
                result.failures += own.failures
                result.skipped += own.skipped
        return result


def load_tests(_loader, tests, _pattern):
    every = [test for case in tests for test in case]
    alone = [test for test in every if isinstance(test, EventsTest) or test.id().rsplit(".", 1)[1] in ALONE]
    return unittest.TestSuite([SideBySide(test for test in every if test not in alone), *alone])


if __name__ == "__main__":
    unittest.main()
