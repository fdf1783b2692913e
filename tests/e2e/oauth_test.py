# SPDX-License-Identifier: Apache-2.0
"""Token refresh as an admin meets it: token files imported by ezctl, refreshed over REST, shown and counted."""
import json
import os
import tempfile
import unittest

import ezplane
import oauth_endpoint
from ezplane import expect_code, wait_until


class OauthTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="ez-test.")
        self.addCleanup(self.folder.cleanup)
        self.endpoint = oauth_endpoint.OauthEndpoint()
        self.addCleanup(self.endpoint.end)
        self.plane = ezplane.Plane(env={**self.endpoint.env, "EZ_TOKEN_REFRESH_RATE": "100"})
        self.plane.__enter__()
        self.addCleanup(lambda: self.plane.__exit__(None, None, None))
        reply = self.plane.post("/admin/provider-groups", {"name": "codex", "type": "codex", "models": ["m"]})
        expect_code(reply, 201)
        self.group = reply.json["id"]

    def given_token_file(self, name, **more):
        tokens = {"type": "codex", "access_token": f"at-{name}-0", "refresh_token": f"rt-{name}-0", "account_id": f"acc-{name}",
                  "email": f"{name}@example.org", "expired": "2099-01-02T03:04:05Z", **more}
        os.makedirs(f"{self.folder.name}/tokens", exist_ok=True)
        with open(f"{self.folder.name}/tokens/{name}.json", "w", encoding="utf-8") as file:
            json.dump(tokens, file)

    def import_tokens(self):
        return self.plane.run("ezctl", "api-keys", "import-tokens", f"{self.folder.name}/tokens", "--group", str(self.group))

    def keys(self):
        return {key["name"]: key for key in self.plane.get("/admin/api-keys", {"page_size": 100}).json["items"]}

    def test_token_files_become_api_keys_once(self):
        os.makedirs(f"{self.folder.name}/tokens")
        self.assertIn("no .json files", self.import_tokens().stderr)
        self.given_token_file("ok1")
        self.given_token_file("ok2", email="")
        done = self.import_tokens()
        self.assertEqual((done.returncode, done.stdout), (0, "created 2, updated 0, left alone 0, failed 0\n"), done.stderr)
        keys = self.keys()
        self.assertEqual(set(keys), {"ok1@example.org", "acc-ok2"})
        self.assertEqual(keys["ok1@example.org"]["account_id"], "acc-ok1")
        self.assertEqual(keys["ok1@example.org"]["expires_at"], "2099-01-02T03:04:05Z")
        done = self.import_tokens()
        self.assertEqual((done.returncode, done.stdout), (0, "created 0, updated 0, left alone 2, failed 0\n"))

    def codex(self):
        return next(p for p in self.plane.get("/admin/token-refresh").json["providers"] if p["type"] == "codex")

    def test_bad_token_files_are_named_and_the_others_taken(self):
        self.given_token_file("ok1")
        self.given_token_file("other", type="claude-code")
        self.given_token_file("none", refresh_token="")
        self.given_token_file("end", expired="tomorrow")
        self.given_token_file("number", access_token=5)
        with open(f"{self.folder.name}/tokens/text.json", "w", encoding="utf-8") as file:
            file.write("rt-canary-0")
        done = self.import_tokens()
        self.assertEqual((done.returncode, done.stdout), (1, "created 1, updated 0, left alone 0, failed 5\n"))
        for part in ("other.json: its type is claude-code, the provider group's is codex: a file's type is its group's, word for word, or left out",
                     "end.json: expired is no time", "number.json: access_token is no text",
                     "none.json: it has no refresh_token", "text.json: it is no JSON object"):
            self.assertIn(part, done.stderr)
        self.assertNotIn("canary", done.stderr)
        self.assertEqual(self.plane.run("ezctl", "api-keys", "import-tokens", "/nowhere").returncode, 2)
        self.assertIn("import-tokens", self.plane.run("ezctl", "api-keys", "--help").stdout)

    def test_a_refresh_over_rest(self):
        self.given_token_file("ok1")
        self.given_token_file("grant1", expired="2001-01-01T00:00:00Z")
        self.import_tokens()
        wait_until(lambda: self.keys()["ok1@example.org"]["next_refresh_at"])
        key = self.keys()["ok1@example.org"]
        reply = self.plane.post(f"/admin/api-keys/{key['id']}:refresh", {})
        expect_code(reply, 200)
        self.assertEqual(reply.json["outcome"], "refreshed")
        self.assertNotIn("rt-", str(reply))
        key = self.plane.get(f"/admin/api-keys/{key['id']}").json
        self.assertIsNotNone(key["last_refresh_at"])
        self.assertEqual((key["last_refresh_error"], key["status"]), ("", "active"))
        wait_until(lambda: self.keys()["grant1@example.org"]["status"] == "expired")
        wait_until(lambda: self.codex()["failing"] == [{"class": "terminal", "keys": 1}])  # it follows the feed
        self.assertEqual((self.codex()["keys"], self.codex()["refreshed"]), (2, 1))
        for line in ('ezplane_token_refresh_success_total{type="codex"} 1',
                     'ezplane_token_refresh_failures_total{type="codex",class="terminal"} 1'):
            wait_until(lambda line=line: line in self.plane.get("/metrics").body.decode(), line)
        for name in ("scan", "begin"):
            self.assertRegex(self.plane.get("/metrics").body.decode(),
                             f'_{name}_seconds_bucket{{le="[+]Inf"}} [1-9](?s:.*)_{name}_seconds_sum [0-9]+[.][0-9]+\n.*_count [1-9]')
        self.assertGreaterEqual(self.plane.get("/admin/token-refresh").json["scan_us"], 0)
        done = self.import_tokens()
        self.assertIn("updated 0, left alone 1, failed 1", done.stdout)
        self.assertIn("grant1.json: it holds the tokens whose login has ended", done.stderr)
        # A login that ended is taken from a file again.
        self.given_token_file("grant1", refresh_token="rt-ok9-0", expired="2001-01-01T00:00:00Z")
        self.assertIn("updated 1", self.import_tokens().stdout)
        wait_until(lambda: self.keys()["grant1@example.org"]["status"] == "active")

    def test_whoever_else_reports_it_counts_to_the_same_alert(self):
        self.given_token_file("grant1", expired="2001-01-01T00:00:00Z")
        self.import_tokens()
        wait_until(lambda: self.plane.get("/admin/alerts").json["items"])
        reply = self.plane.post("/admin/alerts", {"type": "token_refresh_failed", "severity": "warning",
                                                  "related_type": "api_key",
                                                  "related_id": self.keys()["grant1@example.org"]["id"]})
        self.assertGreaterEqual(reply.json["count"], 2)
        alerts = [a for a in self.plane.get("/admin/alerts").json["items"] if a["type"] == "token_refresh_failed"]
        self.assertEqual([a["title"] for a in alerts], ["Login ended"])
        self.assertRegex(alerts[0]["fingerprint"], "^[0-9a-f]{64}$")
        self.given_token_file("grant1", refresh_token="rt-ok9-0", access_token="at-ok9-0")
        self.assertIn("updated 1", self.import_tokens().stdout)
        wait_until(lambda: self.plane.get(f"/admin/alerts/{alerts[0]['id']}").json["status"] == "resolved")

    # The first refresh that was asked for was put off with "later", and nothing said what is missing.
    def test_a_type_without_a_client_says_what_to_set(self):
        env = {name: value for name, value in self.endpoint.env.items() if "GEMINI_CLI_CLIENT" not in name}
        with ezplane.Plane(env=env) as plane:
            group = plane.post("/admin/provider-groups", {"name": "g", "type": "gemini-cli", "models": ["m"]}).json["id"]
            key = plane.post("/admin/api-keys", {"group_id": group, "access_token": "at-ok1-0", "refresh_token": "rt-ok1-0",
                                                 "expires_at": "2001-01-01T00:00:00Z"}).json["id"]

            def google():
                return next(p for p in plane.get("/admin/token-refresh").json["providers"] if p["type"] == "gemini-cli")

            wait_until(lambda: google()["failing"] == [{"class": "setting", "keys": 1}])
            self.assertFalse(google()["configured"])
            reply = plane.post(f"/admin/api-keys/{key}:refresh", {})
            self.assertEqual(reply.json["reason"], "OAUTH_CLIENT_MISSING")
            for text in (google()["last_error"], reply.json["detail"]):
                self.assertIn("EZ_OAUTH_GEMINI_CLI_CLIENT_ID and EZ_OAUTH_GEMINI_CLI_CLIENT_SECRET", text)

    def test_what_is_streamed_names_no_token(self):
        event = self.plane.event_of("alerts", lambda i: self.plane.post("/admin/api-keys", {
            "group_id": self.group, "name": f"g{i}", "access_token": f"at-grant{i}-0", "refresh_token": f"rt-grant{i}-0",
            "expires_at": "2001-01-01T00:00:00Z"}))
        self.assertIn("Login ended", event)
        self.assertNotIn("rt-grant", event)
        self.assertNotIn("at-grant", event)


if __name__ == "__main__":
    unittest.main()
