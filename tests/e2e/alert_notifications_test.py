# SPDX-License-Identifier: Apache-2.0
"""Notifications of alerts over REST: channels, their secrets, and the test button, to receivers that are right, to some
that are wrong, and to a real Alertmanager. What is sent of alerts, and when, is tests/unit/notify."""
import contextlib
import hashlib
import hmac
import json
import unittest

import ezplane
from ezplane import expect_code
from receivers import Alertmanager, Receiver

SECRET = "fake-secret-of-sixteen-and-more"
PATH = "/admin/alerts/notifications"


class AlertNotificationsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.plane = cls.enterClassContext(ezplane.Plane(env={"EZ_OUTBOUND_ALLOW": "127.0.0.1"}))

    def set(self, *channels, status=200, **more):
        return expect_code(self.plane.put(PATH, {"channels": list(channels), **more}), status)

    def test_of(self, channel="", status=200):
        return expect_code(self.plane.post(f"{PATH}:test", {"channel": channel} if channel else {}), status)

    def outcome(self, channel=""):
        items = self.test_of(channel).json["items"]
        self.assertEqual(len(items), 1)
        return items[0]

    def newest(self):
        items = expect_code(self.plane.get(f"{PATH}/deliveries"), 200).json["items"]
        return items[0] if items else None

    def test_channels_are_shown_without_their_secrets(self):
        slack = "https://hooks.example/services/T0/B0/p4th"
        reply = self.set({"name": "hook", "kind": "webhook", "url": "https://a.example/h1dden?key=t0ken", "secret": SECRET},
                         {"name": "slack", "kind": "slack", "url": slack, "severities": ["critical", "warning"],
                          "types": ["provider_down"], "send_resolved": False}, cluster="prod")
        shown = expect_code(self.plane.get(PATH), 200)
        self.assertEqual(shown.json, reply.json)
        hook, chat = shown.json["channels"]
        self.assertEqual((hook["shown_url"], hook["has_secret"], hook["enabled"]), ("https://a.example/…", True, True))
        self.assertEqual(chat["shown_url"], "https://hooks.example/…")
        self.assertEqual((chat["severities"], chat["types"], chat["send_resolved"]),
                         (["critical", "warning"], ["provider_down"], False))
        self.assertNotIn("url", hook)
        # What was read may be sent back: nothing changes, no revision is made.
        self.assertEqual(self.set(*shown.json["channels"]).json["revision"], shown.json["revision"])
        # Nor where the same secrets are given again.
        again = self.set({"name": "hook", "kind": "webhook", "url": "https://a.example/h1dden?key=t0ken", "secret": SECRET},
                         {**chat, "url": slack})
        self.assertEqual(again.json["revision"], shown.json["revision"])
        # What a client says of shown_url is neither kept nor written down.
        sent = self.set({**hook, "shown_url": "https://a.example/h1dden?key=t0ken"}, chat)
        self.assertEqual(sent.json["revision"], shown.json["revision"])
        audit = expect_code(self.plane.get("/admin/audit"), 200).body
        changes = expect_code(self.plane.get("/admin/changes", {"since": 0}), 200).body
        with open(f"{self.plane.home}/ezplane.db", "rb") as file:
            kept = file.read()
        for place in (shown.body, reply.body, audit, changes, kept, self.plane.server.log_text().encode()):
            for secret in (b"p4th", b"h1dden", b"t0ken", SECRET.encode()):
                self.assertNotIn(secret, place)

    def test_a_change_may_be_tried_and_compared(self):
        now = self.set({"name": "slack", "kind": "slack", "url": "https://hooks.example/1"}).json["revision"]
        reply = self.plane.patch(f"{PATH}?validate_only=true", {"group_seconds": 30})
        self.assertEqual(expect_code(reply, 200).json["group_seconds"], 30)
        self.assertEqual(self.plane.get(PATH).json["group_seconds"], 60)
        expect_code(self.plane.patch(PATH, {"group_seconds": 30}, headers={"If-Match": f'"{now - 1}"'}), 409, "REVISION_MISMATCH")
        expect_code(self.plane.patch(PATH, {"group_seconds": 0}), 400, "FIELD_INVALID")
        expect_code(self.plane.get(PATH, token=""), 401)

    def test_a_webhook_is_signed(self):
        with Receiver() as receiver:
            self.set({"name": "hook", "kind": "webhook", "url": f"{receiver.url}/hook?key=t0ken", "secret": SECRET},
                     cluster="prod")
            got = self.outcome("hook")
            self.assertEqual((got["delivered"], got["http_status"], got["error"]), (True, 200, ""))
            self.assertEqual(got["url"], f"{receiver.url}/…")
            path, headers, body = receiver.requests[0]
            self.assertEqual(path, "/hook?key=t0ken")
            signed = hmac.new(SECRET.encode(), headers["X-EZ-Timestamp"].encode() + b"." + body, hashlib.sha256)
            self.assertEqual(headers["X-EZ-Signature"], "sha256=" + signed.hexdigest())
            message = json.loads(body)
            self.assertEqual((message["event"], message["cluster"], message["channel"]), ("test", "prod", "hook"))
            self.assertEqual((message["count"], message["more"]), (1, 0))
            self.assertEqual(message["alerts"][0]["event"], "test")
            self.assertEqual(message["alerts"][0]["alert"]["severity"], "info")
            row = ezplane.wait_until(lambda: self.newest() if (self.newest() or {}).get("status") == "delivered" else None)
            self.assertEqual((row["kind"], row["channel"], row["attempts"], row["is_test"]), ("alert", "hook", 1, True))
            for query, is_there in (("channel=hook", True), ("channel=hoo", False), ("status=delivered", True),
                                    ("status=failed", False), ("since=2100-01-01T00:00:00Z", False),
                                    (f"since={row['created_at']}&channel=hook&status=delivered", True)):
                listed = expect_code(self.plane.get(f"{PATH}/deliveries?{query}"), 200).json["items"]
                self.assertEqual(row["id"] in [item["id"] for item in listed], is_there, query)
            expect_code(self.plane.get(f"{PATH}/deliveries?status=lost"), 400, "FIELD_INVALID")
            self.assertNotIn("t0ken", json.dumps(row))
            listed = self.plane.get("/admin/logs/webhook/deliveries").json["items"]
            self.assertEqual(listed, [], "the error webhook has a list of its own")

    def test_slack_gets_a_text(self):
        with Receiver() as receiver:
            self.set({"name": "chat", "kind": "slack", "url": f"{receiver.url}/services/T0/B0/p4th"}, cluster="prod")
            self.assertTrue(self.outcome()["delivered"])
            message = json.loads(receiver.requests[0][2])
            self.assertEqual(list(message), ["text"])
            self.assertTrue(message["text"].startswith("ezplane prod: a test\n• *info* custom: "), message["text"])
            self.assertNotIn("X-EZ-Signature", receiver.requests[0][1])

    def test_an_alertmanager_has_it(self):
        with Alertmanager() as alertmanager:
            self.set({"name": "am", "kind": "alertmanager", "url": f"http://127.0.0.1:{alertmanager.port}"}, cluster="prod")
            self.assertEqual(self.outcome(), {"channel": "am", "kind": "alertmanager", "delivered": True, "error": "",
                                              "url": f"http://127.0.0.1:{alertmanager.port}/…", "http_status": 200})
            alert, = ezplane.wait_until(alertmanager.alerts)
            self.assertEqual(alert["labels"], {"alertname": "ezplane_test", "severity": "info", "source": "ezplane",
                                               "cluster": "prod"})
            self.assertEqual(alert["status"]["state"], "active")

    def test_receivers_that_are_wrong(self):
        hooks = {
            "broken": (lambda handler: handler.reply(500), 500, "HTTP 500"),
            "elsewhere": (lambda handler: handler.reply(302, Location="http://10.0.0.1/"), 302, "redirects"),
            "inside": (lambda handler: handler.reply(307, Location="http://169.254.169.254/latest/"), 307, "redirects"),
            "endless": (lambda handler: handler.never_end(500), 500, "HTTP 500"),
        }
        with contextlib.ExitStack() as stack:
            receivers = {name: stack.enter_context(Receiver(answer)) for name, (answer, _, _) in hooks.items()}
            gone = {"name": "gone", "kind": "slack", "url": f"http://127.0.0.1:{ezplane.free_port()}/"}
            self.set(*({"name": name, "kind": "slack", "url": r.url} for name, r in receivers.items()), gone)
            got = {item["channel"]: item for item in self.test_of().json["items"]}
            self.assertEqual(set(got), {*hooks, "gone"})
            for name, (_, status, error) in hooks.items():
                self.assertFalse(got[name]["delivered"])
                self.assertEqual(got[name]["http_status"], status, name)
                self.assertIn(error, got[name]["error"])
                self.assertEqual(len(receivers[name].requests), 1, "a test is tried once")
            self.assertEqual(got["gone"]["http_status"], 0)
            self.assertIn("connect", got["gone"]["error"])

    def test_one_that_hangs_does_not_hold_the_answer_for_ever(self):
        with Receiver(lambda handler: handler.hang()) as receiver:
            self.set({"name": "dead", "kind": "slack", "url": receiver.url})
            reply = expect_code(self.plane.post(f"{PATH}:test", {}, timeout=60), 200)
            got, = reply.json["items"]
            self.assertFalse(got["delivered"])
            self.assertEqual(got["http_status"], 0)
            expect_code(self.plane.get(PATH), 200)

    def test_what_can_not_be_tested(self):
        self.set({"name": "off", "kind": "slack", "url": "https://hooks.example/1", "enabled": False})
        self.assertEqual(self.test_of("nobody", 404).json["reason"], "CHANNEL_UNKNOWN")
        self.assertEqual(self.test_of(status=412).json["reason"], "CHANNELS_NOT_SET")
        self.assertFalse(self.outcome("off")["delivered"], "one that is not enabled can be tested by its name")

    def test_urls_that_lead_inside_are_refused(self):
        for url in ("http://10.0.0.1/", "https://169.254.169.254/", "https://[::ffff:10.0.0.1]/", "http://hooks.example/"):
            reply = self.set({"name": "a", "kind": "slack", "url": url}, status=400)
            self.assertIn("EZ_OUTBOUND_ALLOW", reply.json["detail"])


if __name__ == "__main__":
    unittest.main()
