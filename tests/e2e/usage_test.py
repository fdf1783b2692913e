# SPDX-License-Identifier: Apache-2.0
"""Usage over REST: the twins of Usage.Flush count once by a sequence or by an Idempotency-Key, and live numbers show."""
import unittest

import ezplane
from ezplane import expect_code


class UsageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.plane = ezplane.Plane()
        cls.plane.__enter__()
        cls.made = 0

    @classmethod
    def tearDownClass(cls):
        cls.plane.__exit__(None, None, None)

    def setUp(self):
        UsageTest.made += 1
        self.master = self.made_at("/admin/masters", {"name": f"master-{self.made}"})
        self.key = self.made_at(f"/admin/masters/{self.master['id']}/keys", {"name": "web"})
        self.edge = self.made_at("/admin/data-planes", {"name": f"edge-{self.made}"})["token"]

    def made_at(self, path, body):
        reply = self.plane.post(path, body)
        expect_code(reply, 201)
        return reply.json

    def flush(self, body, path="/internal/stats/flush", headers=None):
        return self.plane.post(path, body, token=self.edge, headers=headers)

    def test_a_sequence_counts_once(self):
        body = {"epoch": 5, "sequence": 1, "keys": [{"id": self.key["id"], "requests": 3, "tokens_in": 7}]}
        for repeated in (False, True):
            reply = self.flush(body)
            expect_code(reply, 200)
            self.assertEqual(reply.json["repeated"], repeated)
        key = self.plane.get(f"/admin/keys/{self.key['id']}").json
        self.assertEqual((key["request_count"], key["tokens_in"], key["quota_used"]), (3, 7, 0))
        reply = self.flush({**body, "sequence": 3})
        expect_code(reply, 400, "SEQUENCE_GAP")
        self.assertIn("2 is expected", reply.json["detail"])

    def test_an_epoch_above_63_bits_is_a_string(self):
        body = {"epoch": 2**64 - 1, "sequence": 1}
        reply = self.flush(body, "/internal/apikey-stats/flush")
        expect_code(reply, 400, "JSON_INVALID")
        self.assertIn("write integers above 9223372036854775807 as strings", reply.json["detail"])
        for repeated in (False, True):
            reply = self.flush({**body, "epoch": str(2**64 - 1)}, "/internal/apikey-stats/flush")
            expect_code(reply, 200)
            self.assertEqual(reply.json["repeated"], repeated)

    def test_an_idempotency_key_counts_once(self):
        group = self.made_at("/admin/provider-groups",
                             {"name": f"group-{self.made}", "type": "openai", "models": ["a"]})
        api_key = self.made_at("/admin/api-keys", {"group_id": group["id"], "name": "one", "api_key": "sk-upstream"})
        body = {"api_keys": [{"id": api_key["id"], "requests": 4, "success": 3, "failure": 1}]}
        for repeated in (False, True):
            reply = self.flush(body, "/internal/apikey-stats/flush", {"Idempotency-Key": "batch-9"})
            expect_code(reply, 200)
            self.assertEqual(reply.json["repeated"], repeated)
        read = self.plane.get(f"/admin/api-keys/{api_key['id']}").json
        self.assertEqual((read["total_requests"], read["success_rate"]), (4, 0.75))
        read = self.plane.get(f"/admin/provider-groups/{group['id']}").json
        self.assertEqual((read["total_requests"], read["failure_rate"]), (4, 0.25))
        summary = self.plane.get("/admin/apikey-stats/summary").json
        self.assertEqual((summary["total_requests"], summary["failure_requests"]), (4, 1))

    def test_live_numbers(self):
        expect_code(self.flush({"keys": [{"id": self.key["id"], "requests": 60}]}), 200)
        path = f"/admin/masters/{self.master['id']}"
        self.assertEqual(self.plane.get(f"{path}/realtime").json["qps_60s"], 1)
        self.assertEqual(self.plane.get(path).json["realtime"]["requests"], 60)
        self.assertNotIn("realtime", self.plane.get("/admin/masters").json["items"][0])
        self.assertEqual(self.plane.get("/v1/realtime", token=self.master["master_key"]).json["requests"], 60)
        report = self.plane.get("/admin/realtime", query={"masters": 1000}).json
        self.assertIn(self.master["id"], [row["master_id"] for row in report["masters"]])

    def test_what_is_refused(self):
        for body in ({"keys": [{"id": self.key["id"], "requests": -1}]},
                     {"keys": [{"id": self.key["id"], "requests": 1e30}]},
                     {"keys": [{"id": self.key["id"], "tokens_in": "many"}]},
                     {"epoch": 1},
                     {"keys": [{"id": self.key["id"], "unheard_of": 1}]}):
            expect_code(self.flush(body), 400)
        expect_code(self.plane.post("/internal/stats/flush", {}), 403)
        reply = self.flush({"keys": [{"id": 4040, "requests": 1}]})
        expect_code(reply, 200)
        self.assertEqual((reply.json["unknown_keys"], reply.json["skipped"]), ([4040], 1))


if __name__ == "__main__":
    unittest.main()
