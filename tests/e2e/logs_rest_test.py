# SPDX-License-Identifier: Apache-2.0
"""Request logs, statistics, dashboards, features and the webhook over REST: the forms of JSON and the codes that an HTTP
client meets. What they mean is tested over the binary protocol (tests/integration/logs_test.c)."""
import base64
import datetime
import json
import unittest

import ezplane
from ezplane import expect_code


def at(**ago):
    moment = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(**ago)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class LogsRestTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.plane = cls.enterClassContext(ezplane.Plane(env={"EZ_LOG_SAMPLE_PER_SECOND": "5"}))
        cls.master = expect_code(cls.plane.post("/admin/masters", {"name": "acme"}), 201).json
        cls.data_plane = expect_code(cls.plane.post("/admin/data-planes", {"name": "edge"}), 201).json["token"]

    def ingest(self, records, headers=None, **more):
        return self.plane.post("/internal/logs", {"records": records, **more}, token=self.data_plane, headers=headers)

    def test_a_record_comes_back_as_it_went(self):
        sent = {"time": at(seconds=5), "request_id": "rest-1", "master_id": self.master["id"], "model": "gpt-4o",
                "upstream_model": "gpt-4o-2024", "status_code": 200, "latency_ms": 120, "tokens_in": 3, "stream": True}
        self.assertEqual(expect_code(self.ingest([sent]), 200).json,
                         {"repeated": False, "stored": 1, "refused": [], "refused_count": 0})
        reply = expect_code(self.plane.get("/admin/logs", {"request_id": "rest-1"}), 200).json
        self.assertEqual(len(reply["items"]), 1)
        got = reply["items"][0]
        for name, value in sent.items():
            self.assertEqual(got[name], value, name)
        self.assertNotIn("request_body", got)
        self.assertEqual(reply["next_page_token"], "")
        own = expect_code(self.plane.get("/v1/logs", {"request_id": "rest-1"}, token=self.master["master_key"]), 200).json
        self.assertEqual(own["items"][0]["upstream_model"], "")

    def test_an_idempotency_key_makes_it_count_once(self):
        records = [{"time": at(), "request_id": "rest-2"}]
        self.assertFalse(expect_code(self.ingest(records, {"Idempotency-Key": "k1"}), 200).json["repeated"])
        self.assertTrue(expect_code(self.ingest(records, {"Idempotency-Key": "k1"}), 200).json["repeated"])
        self.assertFalse(expect_code(self.ingest(records, epoch=7, sequence=1), 200).json["repeated"])
        self.assertTrue(expect_code(self.ingest(records, epoch=7, sequence=1), 200).json["repeated"])
        expect_code(self.ingest(records, epoch=7, sequence=3), 400, "SEQUENCE_GAP")
        found = self.plane.get("/admin/logs", {"request_id": "rest-2"}).json["items"]
        self.assertEqual(len(found), 2)

    def test_bad_batches(self):
        expect_code(self.ingest([{"time": at()}] * 5001), 400, "FIELD_INVALID")
        expect_code(self.ingest([{"time": at(), "tokens_in": -1}]), 400, "FIELD_INVALID")
        expect_code(self.ingest([{"time": at(), "colour": "red"}]), 400, "FIELD_INVALID")
        expect_code(self.ingest([{"time": "yesterday"}]), 400, "FIELD_INVALID")
        reply = expect_code(self.ingest([{"time": at(hours=-2)}, {"time": at(minutes=-59)}]), 200).json
        self.assertEqual((reply["stored"], reply["refused"][0]["index"], reply["refused"][0]["reason"]),
                         (1, 0, "TIME_IN_FUTURE"))
        other = expect_code(self.plane.post("/admin/masters", {"name": "globex"}), 201).json
        key = expect_code(self.plane.post(f"/admin/masters/{other['id']}/keys", {"name": "web"}), 201).json
        records = [{"time": at(), "request_id": "foreign", "key_id": key["id"], "master_id": master["id"]}
                   for master in (self.master, other)]
        reply = expect_code(self.ingest(records), 200).json
        self.assertEqual((reply["stored"], reply["refused"]),
                         (1, [{"index": 0, "reason": "KEY_OF_ANOTHER_MASTER",
                               "message": "its key is not a key of its master_id"}]))
        for master, count in ((self.master, 0), (other, 1)):
            own = self.plane.get("/v1/logs", {"request_id": "foreign"}, token=master["master_key"])
            self.assertEqual(len(expect_code(own, 200).json["items"]), count)
        body = base64.b64encode(b"x" * 1_000_000).decode()
        expect_code(self.ingest([{"time": at(), "request_body": body}]), 200)
        expect_code(self.plane.post("/internal/logs", {"records": []}), 403)
        expect_code(self.plane.get("/admin/logs", token=self.master["master_key"]), 403)

    def test_statistics_and_dashboard(self):
        self.ingest([{"time": at(), "key_id": 4242, "model": "counted", "status_code": code} for code in (200, 200, 500)])
        stats = expect_code(self.plane.get("/admin/logs/stats", {"group_by": "model", "model": "counted"}), 200).json
        self.assertEqual([(row["model"], row["requests"], row["errors"]) for row in stats["items"]], [("counted", 3, 1)])
        self.assertEqual(stats["total"]["success"], 2)
        stats = expect_code(self.plane.get("/admin/logs/stats", {"group_by": "minute", "key_id": 4242}), 200).json
        self.assertTrue(stats["items"][0]["time"].endswith(":00Z"))
        expect_code(self.plane.get("/admin/logs/stats", {"group_by": "minute", "since": at(days=7)}), 400, "RANGE_TOO_LONG")
        expect_code(self.plane.get("/admin/logs/stats", {"group_by": "colour"}), 400)
        expect_code(self.plane.get("/v1/logs/stats", {"group_by": "group"}, token=self.master["master_key"]), 400)
        board = expect_code(self.plane.get("/admin/dashboard/summary", {"period": "hour"}), 200).json
        self.assertGreaterEqual(board["requests"]["total"], 3)
        self.assertGreaterEqual(board["masters"]["active"], 1)
        self.assertNotIn("change", board["requests"])
        expect_code(self.plane.get("/admin/dashboard/summary", {"period": "century"}), 400)

    def test_features(self):
        reply = expect_code(self.plane.put("/admin/features", {"flags": {"beta": True, "limit": 5, "who": "me"},
                                                               "log_retention_days": 20}), 200)
        self.assertEqual(reply.json["flags"], {"beta": True, "limit": 5, "who": "me"})
        tag = reply.headers["ETag"]
        reply = expect_code(self.plane.patch("/admin/features", {"flags": {"beta": None, "limit": 2.5}}), 200).json
        self.assertEqual((reply["flags"], reply["log_retention_days"]), ({"limit": 2.5, "who": "me"}, 20))
        expect_code(self.plane.patch("/admin/features", {"log_retention_days": 0}, headers={"If-Match": tag}), 409)
        expect_code(self.plane.patch("/admin/features", {"log_retention_days": 0}), 200)
        expect_code(self.plane.patch("/admin/features", {"flags": {"a": [1]}}), 400, "FIELD_INVALID")
        expect_code(self.plane.patch("/admin/features", {"beta": True}), 400, "FIELD_INVALID")
        self.assertEqual(self.plane.get("/admin/features").json["flags"], {"limit": 2.5, "who": "me"})

    def test_webhook(self):
        secret = "fake-secret-of-sixteen-and-more"
        reply = expect_code(self.plane.put("/admin/logs/webhook", {"enabled": True, "url": "https://example.com/h",
                                                                   "secret": secret}), 200)
        self.assertNotIn(secret.encode(), reply.body)
        self.assertNotIn("secret", reply.json)
        self.assertTrue(reply.json["has_secret"])
        self.assertEqual(reply.json["threshold"], 10)
        expect_code(self.plane.put("/admin/logs/webhook", {"url": "https://169.254.169.254/"}), 400)
        expect_code(self.plane.patch("/admin/logs/webhook", {"enabled": False}), 200)
        self.assertEqual(expect_code(self.plane.get("/admin/logs/webhook/deliveries"), 200).json["items"], [])

    def test_a_sample_is_streamed(self):
        event = self.plane.event_of("logs", lambda _: self.ingest(
            [{"time": at(), "model": "watched", "request_body": "c2VjcmV0"}] * 20))
        records = json.loads(event)["data"]["records"]
        self.assertTrue(1 <= len(records) <= 5, len(records))
        self.assertEqual(records[0]["model"], "watched")
        self.assertNotIn("request_body", records[0])

    def test_what_is_deleted(self):
        self.ingest([{"time": at(days=3), "request_id": "old"}])
        self.assertEqual(len(self.plane.get("/admin/logs", {"request_id": "old"}).json["items"]), 1)
        expect_code(self.plane.request("DELETE", "/admin/logs"), 400)
        expect_code(self.plane.request("DELETE", f"/admin/logs?before={at(days=2)}"), 204)
        self.assertEqual(self.plane.get("/admin/logs", {"request_id": "old"}).json["items"], [])


if __name__ == "__main__":
    unittest.main()
