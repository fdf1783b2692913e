# SPDX-License-Identifier: Apache-2.0
"""How long it takes from a trouble to whoever is told of it: a real server and gateway, a webhook on loopback.

Reported ones are spaced, so that each is the first after a quiet time; a detector's round is 60 s, as it is by default, and
troubles begin at any moment of it."""
import datetime
import http.client
import json
import os
import random
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
import ezplane  # noqa: E402
import receivers  # noqa: E402
from ezplane import expect_code  # noqa: E402

REPORTED = 20
DETECTED = 12
SPREAD_S = 110  # within which the detected ones begin: nearly two rounds
LIMIT_S = 90  # until the last of them is given up
WEBHOOK = {"name": "hook", "kind": "webhook", "secret": "fake-secret-of-sixteen-and-more"}


def arrivals(receiver):
    """When each new alert came, by what it is about: (type, related_id)."""
    found = {}
    for (_, _, body), at in zip(list(receiver.requests), list(receiver.times)):
        for item in json.loads(body)["alerts"]:
            if item["event"] == "created":
                found.setdefault((item["alert"]["type"], item["alert"].get("related_id", 0)), at)
    return found


def await_arrival(receiver, what, until):
    while what not in arrivals(receiver):
        assert time.monotonic() < until, f"{what} was not told; told: {list(arrivals(receiver))}"
        time.sleep(0.05)
    return arrivals(receiver)[what]


class Scene:
    def __init__(self, plane, receiver):
        self.plane, self.receiver = plane, receiver
        self.token = self.made("/admin/data-planes", {"name": "bench"})["token"]
        self.group = self.made("/admin/provider-groups", {"name": "p", "type": "openai", "base_url": "https://api.example.com"})
        self.master = self.made("/admin/masters", {"name": "bench", "max_child_keys": 1000})
        expect_code(plane.put("/admin/alerts/notifications",
                              {"group_seconds": 1, "channels": [{**WEBHOOK, "url": receiver.url}]}), 200)

    def made(self, path, body):
        return expect_code(self.plane.post(path, body), 201).json

    def post(self, path, body):
        expect_code(self.plane.post(path, body, token=self.token), 200)

    def report(self, number):
        """Seconds until it came."""
        began = time.monotonic()
        self.post("/internal/alerts/report", {"alerts": [
            {"type": "sync_failed", "severity": "critical", "related_type": "depot", "related_id": number}]})
        return await_arrival(self.receiver, ("sync_failed", number), began + LIMIT_S) - began

    def given_provider(self, number):
        api_key = self.made("/admin/api-keys", {"group_id": self.group["id"], "name": f"up {number}", "api_key": f"sk-{number}",
                                                "auto_ban": False})["id"]

        def begin():
            moment = datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
            self.post("/internal/logs", {"records": [
                {"time": moment, "api_key_id": api_key, "model": "m", "status_code": 503}] * 30})
        return ("provider_down", api_key), begin

    def given_quota(self, number):
        key = self.made(f"/admin/masters/{self.master['id']}/keys", {"name": f"key {number}", "quota_limit": 1000})["id"]

        def begin():
            self.post("/internal/stats/flush", {"keys": [{"id": key, "requests": 950, "quota_used": 950}]})
        return ("quota_exceeded", key), begin


def bare_post_ms(receiver, times):
    took = []
    for _ in range(times):
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", receiver.server.server_port, timeout=10)
        connection.request("POST", "/", b'{"alerts": []}')
        connection.getresponse().read()
        connection.close()
        took.append((time.monotonic() - began) * 1000)
    return took


def measure_detected(scene):
    """(seconds until each came, of each kind how many)."""
    troubles = [scene.given_provider(i) if i % 2 else scene.given_quota(i) for i in range(DETECTED)]
    moments = [(i + random.random()) * SPREAD_S / DETECTED for i in range(DETECTED)]  # at every phase of a round
    start, began = time.monotonic(), {}
    for (what, begin), at in zip(troubles, moments):
        time.sleep(max(0.0, start + at - time.monotonic()))
        began[what] = time.monotonic()
        begin()
    return [await_arrival(scene.receiver, what, time.monotonic() + LIMIT_S) - at for what, at in began.items()]


def bench_told(say):
    with receivers.Receiver() as receiver, ezplane.Plane(env={"EZ_OUTBOUND_ALLOW": "127.0.0.1"}) as plane:
        ezplane.wait_until(lambda: plane.get("/readyz").status == 200, "the gateway is ready")
        bare = bare_post_ms(receiver, 50)
        limit = f"a bare POST to the same receiver: p50 {statistics.median(bare):.2g} ms, worst {max(bare):.2g} ms"
        scene = Scene(plane, receiver)
        reported = []
        for number in range(1, REPORTED + 1):
            time.sleep(random.uniform(1.2, 1.6))  # more than the group's second
            reported.append(scene.report(number))
        say(f"A reported trouble at its receiver, worst of {REPORTED}, s", max(reported), ("most", 2),
            f"p50 {statistics.median(reported):.2f} s, after a quiet time each; {limit}")
        detected = measure_detected(scene)
        say(f"A detected trouble at its receiver, worst of {DETECTED}, s", max(detected), ("most", 70),
            f"p50 {statistics.median(detected):.1f} s, best {min(detected):.1f} s; a round each 60 s; {limit}")
