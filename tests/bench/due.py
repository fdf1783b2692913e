# SPDX-License-Identifier: Apache-2.0
"""Token refresh with real servers and a real token endpoint over HTTPS: are all keys refreshed before their tokens end?

The hour is shortened (--faster, ten times unless told otherwise; 1 is the whole hour): whatever has a length is divided by that,
the endpoint's 300 ms too, and the rate multiplied by it. What the server and the disk need for a refresh is not shortened, so
each refresh has a tenth of the time it would have. Three parts, in each both stores at once:

  hour      2,500 keys of each of the four types, whose tokens end spread over an hour, refreshed 10 min before the end,
            the shortest time of any type
  together  as many whose tokens all end at one moment, refreshed 25 min before: at 2/s they need 1,250 s of those
  speed     at the clock's own speed with all settings as they are by default: 200 keys of each type that are due at once

2 a second are 7,200 an hour of each type: 10,000 keys of one type would be out of reach.
"""
import contextlib
import datetime
import http.client
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
import ezplane  # noqa: E402
import oauth_endpoint  # noqa: E402
from ezplane import expect_code  # noqa: E402

TYPES = {"codex": "ok", "claude-code": "fine", "gemini-cli": "keep", "antigravity": "keep-"}  # and its accounts' names
RATE, PLACES = 2, 4  # what a type has by default
HOUR, ANSWER_MS = 3600, 300
SETTLE_S = 20  # until all keys are made
BATCH = 1000


def moment(text):
    return datetime.datetime.fromisoformat(text).timestamp()


def text_of(at):
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).isoformat()


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Scene:
    """One store's server, its keys and their endpoint."""

    def __init__(self, name, store, faster, env):
        self.name, self.rate, self.ends = name, RATE * faster, {}
        self.endpoint = oauth_endpoint.OauthEndpoint(ANSWER_MS / faster, 10 * HOUR)
        self.plane = ezplane.Plane(store=store, env={**self.endpoint.env, **env})

    def __enter__(self):
        try:
            self.plane.__enter__()
        except BaseException:
            self.endpoint.end()
            raise
        ezplane.wait_until(lambda: self.plane.get("/readyz").status == 200, "the gateway is ready")
        return self

    def __exit__(self, *what):
        try:
            self.plane.__exit__(*what)
        finally:
            self.endpoint.end()

    def given_keys(self, count, end_of):
        """count of each type; end_of(i): when the access token of the i-th ends."""
        for kind, account in TYPES.items():
            group = expect_code(self.plane.post("/admin/provider-groups", {"name": kind, "type": kind, "models": ["m"]}), 201)
            for first in range(0, count, BATCH):
                items = [{"create": {
                    "group_id": group.json["id"], "name": f"{account}{i}", "access_token": f"at-{account}{i}-0",
                    "refresh_token": f"rt-{account}{i}-0", "expires_at": text_of(end_of(i)),
                    "project_id": "" if kind == "antigravity" else "project-1"}}
                    for i in range(first, min(first + BATCH, count))]
                reply = expect_code(self.plane.post("/admin/api-keys:batch", {"items": items}), 200).json
                assert reply["succeeded"] == len(items), reply["results"][0]
                for item, result in zip(items, reply["results"]):
                    self.ends[result["api_key"]["id"]] = (kind, moment(item["create"]["expires_at"]))
        self.cpu_s, self.began = cpu_s(self.plane.server.pid), time.time()

    def is_over(self):
        providers = self.plane.get("/admin/token-refresh").json["providers"]
        return sum(one["refreshed"] for one in providers) >= len(self.ends) or time.time() > max(
            end for _, end in self.ends.values()) + 60

    def refreshed(self):
        """Of each key its type, when its token ends and when it was refreshed, or None."""
        token, found = "", []
        while True:
            page = self.plane.get("/admin/api-keys", {"page_size": 1000, "page_token": token}).json
            for key in page["items"]:
                at = key["last_refresh_at"] and moment(key["last_refresh_at"])
                found.append((*self.ends[key["id"]], at))
            token = page.get("next_page_token")
            if not token:
                return found

    def times(self, what):
        """Of what the histogram counts: how often, its mean in ms, and a bound of 99 % and of all, by its buckets."""
        name, found = f"ezplane_token_refresh_{what}_seconds", {}
        for line in self.plane.get("/metrics").body.decode().splitlines():
            if line.startswith(name):
                word, _, value = line[len(name):].partition(" ")
                found[word] = float(value)
        count = found["_count"]
        buckets = [(float(word[len('_bucket{le="'):-2]), value) for word, value in found.items() if word.startswith("_bucket")]
        p99, worst = (min(bound for bound, value in buckets if value >= count * share) * 1000 for share in (0.99, 1))
        return {"count": int(count), "mean": found["_sum"] / count * 1000, "p99": p99, "worst": worst}

    def result(self):
        took, found = time.time() - self.began, self.refreshed()
        used = cpu_s(self.plane.server.pid) - self.cpu_s
        lines = [line for line in self.endpoint.presented() if not line[0].startswith("bare")]
        return {"found": found, "in_time": sum(at is not None and at < end for _, end, at in found),
                "twice": len(lines) - len({line[:2] for line in lines}), "bad": sum(line[2] != "good" for line in lines),
                "nearest": min((end - at for _, end, at in found if at), default=0.0), "scans": self.times("scan"), "begins": self.times("begin"),
                "cpu": used / took, "cpu_ms": used * 1000 / len(found)}

    def share_of_rate(self, found):
        """The least any type made of what it may."""
        shares = []
        for kind in TYPES:
            times = sorted(at for k, _, at in found if k == kind and at)
            shares.append((len(times) - 1) / max(0.001, times[-1] - times[0]) / self.rate if len(times) > 1 else 0)
        return min(shares)

    def bare_rate(self, seconds=3):
        """Answers a second where as many as the server may have under way ask it, with nothing else to do."""
        counts, until = [0] * len(TYPES) * PLACES, time.monotonic() + seconds
        context = self.endpoint.tls_context()

        def ask(at):
            while time.monotonic() < until:
                connection = http.client.HTTPSConnection("127.0.0.1", self.endpoint.port, timeout=30, context=context)
                connection.request("POST", "/token", json.dumps({"refresh_token": f"rt-bare{at}x{counts[at]}-0"}),
                                   {"Content-Type": "application/json"})
                assert connection.getresponse().read()
                connection.close()
                counts[at] += 1
        threads = [threading.Thread(target=ask, args=(at,)) for at in range(len(counts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts) / seconds


def measure(stores, faster, env, count, end_of, settle_s=SETTLE_S):
    """(the scene, what came of it, the endpoint's bare rate) for each store, at once. end_of(i): seconds after the start."""
    with contextlib.ExitStack() as stack:
        scenes = [stack.enter_context(Scene(name, url, faster, env)) for name, url in stores.items()]
        bare = [scene.bare_rate() for scene in scenes]
        start = time.time() + settle_s
        for scene in scenes:
            scene.given_keys(count, lambda i: start + end_of(i))
        assert time.time() < start or settle_s == 0, "the keys were made too slowly"
        while not all([scene.is_over() for scene in scenes]):
            time.sleep(0.5)
        return [(scene, scene.result(), rate) for scene, rate in zip(scenes, bare)]


def tell(say, what, results, faster, wants_rate):
    for scene, got, bare in results:
        name, keys = f"{scene.name}, {what}", len(got["found"])
        say(f"{name}: refreshed before the token ended, of {keys}", got["in_time"], ("least", keys),
            f"{keys - got['in_time']} late; the nearest to its end {got['nearest'] * faster:.0f} s before it"
            f"{f' (told at the clock, {faster} times less here)' if faster > 1 else ''}; "
            f"{got['cpu'] * 100:.1f} % of a core, {got['cpu_ms']:.2f} ms each")
        say(f"{name}: refresh tokens presented twice, or refused", got["twice"] + got["bad"], ("most", 0))
        share = scene.share_of_rate(got["found"])
        say(f"{name}: the slowest type's refreshes a second over those it may make", share, ("least", 0.95) if wants_rate else None,
            f"{share * scene.rate:.2f}/s of {scene.rate}/s; the bare endpoint gives {bare:.0f}/s, four types need {scene.rate * 4}/s")
        scans, begins = got["scans"], got["begins"]
        say(f"{name}: a scan, worst ms (at most)", scans["worst"], ("most", 50),
            f"p99 at most {scans['p99']:.3g} ms, mean {scans['mean']:.3g} ms, {scans['count']} scans; claim and mark of one key, "
            f"the store's commits: p99 at most {begins['p99']:.3g} ms, mean {begins['mean']:.3g} ms")


def shortened(faster, before_s):
    return {"EZ_TOKEN_REFRESH_RATE": str(RATE * faster), "EZ_TOKEN_REFRESH_BEFORE": f"{before_s // faster}s",
            "EZ_TOKEN_REFRESH_INTERVAL": str(max(1, 60 // faster))}


def bench_due(say, databases, faster, parts=("hour", "together", "speed"), count=2500):
    if "hour" in parts:
        first = 660 / faster  # a key's turn is up to a tenth earlier
        results = measure(databases.urls("due_hour"), faster, shortened(faster, 600), count,
                          lambda i: first + i * HOUR / faster / count)
        tell(say, "keys that end spread over an hour", results, faster, False)
    if "together" in parts:
        results = measure(databases.urls("due_together"), faster, shortened(faster, 1500), count, lambda i: 1650 / faster)
        tell(say, "keys that end at one moment", results, faster, True)
    if "speed" in parts:
        results = measure(databases.urls("due_speed"), 1, {}, 200, lambda i: 125, settle_s=0)
        tell(say, "keys that are due at once, as by default", results, 1, True)
