# SPDX-License-Identifier: Apache-2.0
"""Alerts over REST and ezctl: the forms of JSON, both spellings of a transition, and the codes that an HTTP client meets.
What they mean is tested over the binary protocol (tests/integration/alerts_test.c)."""
import json
import unittest

import ezplane
from ezplane import expect_code


class AlertsRestTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.plane = cls.enterClassContext(ezplane.Plane())
        cls.master = expect_code(cls.plane.post("/admin/masters", {"name": "acme"}), 201).json
        cls.data_plane = expect_code(cls.plane.post("/admin/data-planes", {"name": "edge"}), 201).json["token"]

    def report(self, *alerts, headers=None, **more):
        return self.plane.post("/internal/alerts/report", {"alerts": list(alerts), **more}, token=self.data_plane,
                               headers=headers)

    def reported(self, **alert):
        return expect_code(self.report(alert), 200).json["ids"][0]

    def test_a_report_comes_back_as_an_alert(self):
        sent = {"type": "quota_exceeded", "severity": "critical", "title": "Quota used up", "message": "100 %",
                "related_type": "master", "related_id": self.master["id"], "metadata": {"share": 1.5, "of": ["a", None]}}
        reply = expect_code(self.report(sent), 200).json
        self.assertEqual((reply["repeated"], reply["created"]), (False, 1))
        alert = expect_code(self.plane.get(f"/admin/alerts/{reply['ids'][0]}"), 200).json
        for name, value in sent.items():
            self.assertEqual(alert[name], value, name)
        self.assertEqual((alert["status"], alert["count"], alert["related_name"], alert["related_missing"]),
                         ("active", 1, "acme", False))
        self.assertIsNone(alert["resolved_at"])
        self.assertEqual(alert["first_seen_at"], alert["last_seen_at"])

    def test_transitions_in_both_spellings(self):
        for verb, status in (("acknowledge", "acknowledged"), ("resolve", "resolved"), ("dismiss", "dismissed")):
            for mark in (":", "/"):
                number = self.reported(type="custom", title=f"{verb}{mark}")
                path = f"/admin/alerts/{number}{mark}{verb}"
                self.assertEqual(expect_code(self.plane.post(path), 200).json["status"], status)
                expect_code(self.plane.post(path, {"note": "again"}), 412, "ALERT_STATUS")
        expect_code(self.plane.post("/admin/alerts/999999:resolve"), 404, "NOT_FOUND")

    def test_what_is_not_there(self):
        number = self.reported(type="custom", title="acted on")
        for path in (f"/admin/alerts/{number}:explode", "/admin/alerts/999999:explode"):
            reply = expect_code(self.plane.post(path), 404, "ACTION_UNKNOWN")
            self.assertIn("acknowledge", reply.json["detail"])
        expect_code(self.plane.post(f"/admin/alerts/{number}"), 405)
        for reply in (self.plane.get("/admin/alerts/0"), self.plane.post("/admin/alerts/0:resolve")):
            self.assertIn("at least 1", expect_code(reply, 400, "FIELD_INVALID").json["detail"])

    def test_notes_and_deletion(self):
        number = self.reported(type="custom", title="noted")
        self.assertEqual(expect_code(self.plane.patch(f"/admin/alerts/{number}", {"note": "seen"}), 200).json["note"], "seen")
        self.assertEqual(expect_code(self.plane.put(f"/admin/alerts/{number}", {"note": ""}), 200).json["note"], "")
        expect_code(self.plane.patch(f"/admin/alerts/{number}", {"title": "x"}), 400)
        self.plane.patch(f"/admin/alerts/{number}", {"note": "kept"})
        expect_code(self.plane.patch(f"/admin/alerts/{number}", {}), 400, "FIELD_INVALID")
        self.assertEqual(self.plane.get(f"/admin/alerts/{number}").json["note"], "kept")
        expect_code(self.plane.delete(f"/admin/alerts/{number}"), 204)
        expect_code(self.plane.get(f"/admin/alerts/{number}"), 404, "NOT_FOUND")

    def test_a_batch_and_statistics(self):
        before = expect_code(self.plane.get("/admin/alerts/stats"), 200).json
        ids = [self.reported(type="key_expired", related_type="sensor", related_id=i, severity="info") for i in (1, 2)]
        reply = expect_code(self.plane.post("/admin/alerts:batch", {"ids": ids + [888888], "action": "dismiss"}), 200).json
        self.assertEqual([r["code"] for r in reply["results"]], [0, 0, 5])
        self.assertEqual((reply["succeeded"], reply["failed"]), (2, 1))
        stats = expect_code(self.plane.get("/admin/alerts/stats"), 200).json
        self.assertEqual(stats["by_status"]["dismissed"], before["by_status"]["dismissed"] + 2)
        self.assertEqual(stats["by_type"]["key_expired"], before["by_type"]["key_expired"] + 2)
        self.assertEqual(stats["open"], before["open"])
        expect_code(self.plane.post("/admin/alerts:batch", {"ids": ids, "action": "explode"}), 400)
        expect_code(self.plane.post("/admin/alerts:batch", {"ids": [1] * 101, "action": "resolve"}), 400)

    def test_lists(self):
        number = self.reported(type="data_plane_lost", title="Needle in Größe", related_type="data_plane", related_id=1)
        for query in ({"q": "NEEDLE"}, {"q": "größe"}, {"type": "data_plane_lost"}, {"related_type": "data_plane", "related_id": 1}):
            items = expect_code(self.plane.get("/admin/alerts", query), 200).json["items"]
            self.assertEqual([item["id"] for item in items], [number], query)
        self.assertEqual(self.plane.get("/admin/alerts", {"q": "nee_le"}).json["items"], [])
        ids = {severity: self.reported(type="sync_failed", severity=severity, related_type="filter", related_id=i + 1)
               for i, severity in enumerate(("info", "warning", "critical"))}
        closed = self.reported(type="sync_failed", severity="critical", related_type="filter", related_id=9)
        expect_code(self.plane.post(f"/admin/alerts/{closed}:resolve"), 200)
        expect_code(self.plane.post(f"/admin/alerts/{ids['info']}:acknowledge"), 200)
        base = "/admin/alerts?related_type=filter"
        for query, wanted in (("&open=true", ("critical", "warning", "info")),
                              ("&open=true&severity=info&severity=critical", ("critical", "info")),
                              ("&severity=info,warning", ("warning", "info")),
                              ("&status=active&severity=warning&severity=critical", ("critical", "warning"))):
            items = expect_code(self.plane.get(base + query), 200).json["items"]
            self.assertEqual([item["id"] for item in items], [ids[severity] for severity in wanted], query)
        shown = self.plane.run("ezctl", "alerts", "list", "--open", "--severity", "info", "--severity", "critical",
                               "--related-type", "filter", "-o", "json")
        self.assertEqual([item["id"] for item in json.loads(shown.stdout)["items"]], [ids["critical"], ids["info"]], shown.stderr)
        self.assertEqual(self.plane.get("/admin/alerts", {"since": "2100-01-01T00:00:00Z"}).json["items"], [])
        for query in ({"status": "lost"}, {"severity": "9"}, {"page_size": 1001}, {"page_token": "x"}, {"colour": "red"}):
            expect_code(self.plane.get("/admin/alerts", query), 400)

    def test_bad_reports(self):
        good = {"type": "custom", "title": "never stored"}
        for bad in ({"type": "flood"}, {"title": "no type"}, {"type": "custom", "metadata": "text"},
                    {"type": "custom", "metadata": [1]}, {"type": "custom", "metadata": {"a": "x" * 9216}},
                    {"type": "custom", "severity": "fatal"}, {"type": "custom", "related_id": -1},
                    {"type": "custom", "status": "resolved"}, {"type": "custom", "fingerprint": "f" * 129}):
            expect_code(self.report(good, bad), 400)
        expect_code(self.report(*[good] * 101), 400, "FIELD_INVALID")
        expect_code(self.report(), 400)
        self.assertEqual(self.plane.get("/admin/alerts", {"q": "never stored"}).json["items"], [])

    def test_who_may(self):
        tenant = self.master["master_key"]
        expect_code(self.plane.post("/internal/alerts/report", {"alerts": []}), 403, "WRONG_SCOPE")
        for token in (tenant, self.data_plane):
            expect_code(self.plane.get("/admin/alerts", token=token), 403, "WRONG_SCOPE")
            expect_code(self.plane.post("/admin/alerts/1:resolve", token=token), 403, "WRONG_SCOPE")
        expect_code(self.plane.get("/admin/alerts/stats", token="none"), 401)

    def test_an_idempotency_key_makes_it_count_once(self):
        alert = {"type": "custom", "title": "keyed"}
        first = expect_code(self.report(alert, headers={"Idempotency-Key": "a1"}), 200).json
        self.assertTrue(expect_code(self.report(alert, headers={"Idempotency-Key": "a1"}), 200).json["repeated"])
        made = expect_code(self.plane.post("/admin/alerts", {"type": "custom", "title": "keyed"}), 201).json
        self.assertEqual((made["id"], made["count"]), (first["ids"][0], 2))

    def test_events_are_streamed(self):
        event = self.plane.event_of("alerts", lambda i: self.report({"type": "custom", "title": f"streamed {i}"}))
        data = json.loads(event)["data"]
        self.assertEqual((data["event"], data["alert"]["type"]), ("created", "custom"))

    def test_ezctl(self):
        number = self.reported(type="custom", title="from the shell")
        listed = self.plane.run("ezctl", "alerts", "list", "--q", "the shell")
        self.assertIn("from the shell", listed.stdout, listed.stderr)
        done = self.plane.run("ezctl", "alerts", "acknowledge", str(number), "--note", "mine", "-o", "json")
        self.assertEqual(json.loads(done.stdout)["status"], "acknowledged", done.stderr)
        batch = self.plane.run("ezctl", "alerts", "batch", "--ids", str(number), "--ids", "888888", "--action", "resolve",
                               "-o", "json")
        self.assertEqual((batch.returncode, json.loads(batch.stdout)["failed"]), (1, 1), batch.stderr)
        self.assertIn("1 of 2 failed", batch.stderr)
        self.assertIn("ALERT_STATUS", self.plane.run("ezctl", "alerts", "acknowledge", str(number)).stderr)
        made = self.plane.run("ezctl", "alerts", "create", "--type", "custom", "--title", "made", "--metadata",
                              '{"by":"hand"}', "-o", "json")
        self.assertEqual(json.loads(made.stdout)["metadata"], {"by": "hand"}, made.stderr)


if __name__ == "__main__":
    unittest.main()
