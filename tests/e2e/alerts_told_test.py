# SPDX-License-Identifier: Apache-2.0
"""From trouble to whoever is told of it, through everything between: reports and what the detector finds, a webhook, an
Alertmanager, a server that starts again."""
import datetime
import json
import time
import unittest

import ezplane
from ezplane import expect_code, wait_until
from receivers import Alertmanager, Receiver

SECRET = "fake-secret-of-sixteen-and-more"
ENV = {"EZ_OUTBOUND_ALLOW": "127.0.0.1", "EZ_ALERT_SECONDS": "1"}


def told(receiver):
    """(event, alert) of all that a webhook was told, in order."""
    return [(item["event"], item["alert"]) for _, _, body in list(receiver.requests) for item in json.loads(body)["alerts"]]


class AlertsToldTest(unittest.TestCase):
    def setUp(self):
        self.plane = self.enterContext(ezplane.Plane(env=ENV))
        self.data_plane = self.made("/admin/data-planes", {"name": "edge"})["token"]

    def made(self, path, body):
        return expect_code(self.plane.post(path, body), 201).json

    def channels(self, *channels):
        expect_code(self.plane.put("/admin/alerts/notifications", {"group_seconds": 1, "channels": list(channels)}), 200)

    def report(self, **alert):
        return self.report_all([alert])

    def report_all(self, alerts):
        return expect_code(self.plane.post("/internal/alerts/report", {"alerts": alerts}, token=self.data_plane), 200)

    def open_alerts(self, **query):
        return expect_code(self.plane.get("/admin/alerts", {"status": "active", **query}), 200).json["items"]

    def await_told(self, receiver, event, type):
        def find():
            return next((alert for e, alert in told(receiver) if e == event and alert["type"] == type), None)
        return wait_until(find, f"{type} to be told as {event}; told: {[(e, a['type']) for e, a in told(receiver)]}")

    def failing_requests(self, api_key, count):
        moment = datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
        records = [{"time": moment, "api_key_id": api_key, "model": "m", "status_code": 503}] * count
        expect_code(self.plane.post("/internal/logs", {"records": records}, token=self.data_plane), 200)

    def test_what_is_reported_and_resolved(self):
        with Receiver() as hook, Alertmanager() as alertmanager:
            self.channels({"name": "hook", "kind": "webhook", "url": hook.url, "secret": SECRET},
                          {"name": "am", "kind": "alertmanager", "url": f"http://127.0.0.1:{alertmanager.port}"})
            ids = [self.report(type="sync_failed", severity="critical", related_type="depot", related_id=7).json["ids"][0]
                   for _ in range(3)]
            self.assertEqual(len(set(ids)), 1)
            self.await_told(hook, "created", "sync_failed")
            alert, = wait_until(alertmanager.alerts)
            self.assertEqual((alert["labels"]["alertname"], alert["labels"]["related_id"]), ("sync_failed", "7"))
            expect_code(self.plane.post(f"/admin/alerts/{ids[0]}:resolve"), 200)
            self.await_told(hook, "resolved", "sync_failed")
            wait_until(lambda: alertmanager.alerts() == [], "Alertmanager to see it resolved")
            self.assertEqual([event for event, _ in told(hook)], ["created", "resolved"])
            # One that is deleted while it is open is over, too.
            number = self.report(type="custom", title="gone").json["ids"][0]
            wait_until(alertmanager.alerts)
            expect_code(self.plane.delete(f"/admin/alerts/{number}"), 204)
            self.await_told(hook, "deleted", "custom")
            wait_until(lambda: alertmanager.alerts() == [], "Alertmanager to forget it")

    def test_what_the_detector_finds_is_banned_and_resolved(self):
        group = self.made("/admin/provider-groups", {"name": "p", "type": "openai", "base_url": "https://api.example.com"})
        api_key = self.made("/admin/api-keys", {"group_id": group["id"], "name": "one", "api_key": "sk-up", "auto_ban": True})
        with Receiver() as hook:
            self.channels({"name": "hook", "kind": "webhook", "url": hook.url, "secret": SECRET})
            self.failing_requests(api_key["id"], 30)
            alert = self.await_told(hook, "created", "provider_down")
            self.assertEqual((alert["severity"], alert["related_type"], alert["related_id"], alert["related_name"]),
                             ("critical", "api_key", api_key["id"], "one"))
            self.assertEqual((alert["metadata"]["requests"], alert["metadata"]["rate"]), (30, 1))
            self.await_told(hook, "created", "key_disabled")
            banned = expect_code(self.plane.get(f"/admin/api-keys/{api_key['id']}"), 200).json
            self.assertEqual((banned["status"], banned["is_auto_banned"]), ("banned", True))
            # An admin lets it serve again: what was before does not condemn it.
            expect_code(self.plane.post(f"/admin/api-keys/{api_key['id']}:unban"), 200)
            self.await_told(hook, "resolved", "provider_down")
            self.await_told(hook, "resolved", "key_disabled")
            self.assertEqual(self.open_alerts(), [])
            self.assertRegex(self.plane.get("/metrics").body.decode(), r"\nezplane_detector_rounds_total [1-9]")
            resolved = self.plane.get("/admin/alerts", {"type": "provider_down"}).json["items"]
            self.assertEqual([a["resolved_by"] for a in resolved], ["detector"])

    def test_an_alertmanager_learns_again_what_is_open(self):
        with Alertmanager() as alertmanager:
            self.channels({"name": "am", "kind": "alertmanager", "url": f"http://127.0.0.1:{alertmanager.port}"})
            self.report(type="custom", title="still here")
            wait_until(alertmanager.alerts)
            for first in range(0, 1200, 100):  # more than a channel holds
                self.report_all([{"type": "custom", "title": f"alert {first + i}"} for i in range(100)])
        # The server is killed, and whoever comes after it finds an Alertmanager that knows nothing.
        self.plane.server.kill()
        with Alertmanager() as alertmanager:
            self.plane.start_server()
            self.channels({"name": "am", "kind": "alertmanager", "url": f"http://127.0.0.1:{alertmanager.port}"})
            wait_until(alertmanager.alerts, "Alertmanager to be told again")
            wait_until(lambda: len(alertmanager.alerts()) == 1201, "Alertmanager to be told again of all")
            alert, = [a for a in alertmanager.alerts() if a["annotations"]["title"] == "still here"]
            self.assertEqual(alert["annotations"]["title"], "still here")
            now = datetime.datetime.now(datetime.timezone.utc)
            self.assertGreater(alert["endsAt"], now.isoformat())
            self.assertLess(alert["endsAt"], (now + datetime.timedelta(minutes=31)).isoformat(), "an end that is lost is soon over")
        self.assertEqual(len(self.open_alerts(page_size=1000)), 1000)


if __name__ == "__main__":
    unittest.main()
