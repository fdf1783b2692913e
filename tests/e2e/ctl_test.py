# SPDX-License-Identifier: Apache-2.0
"""ezctl against a real ezplaned: what is printed, what is changed, and how it ends.

One server for all tests, without a gateway: ezctl speaks to it directly. Each test makes its own resources.
"""
import itertools
import json
import os
import select
import subprocess
import tempfile
import unittest

import ezplane


class CtlTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.plane = ezplane.Plane(gateway=False)
        cls.plane.__enter__()
        cls.made = 0

    @classmethod
    def tearDownClass(cls):
        cls.plane.__exit__(None, None, None)

    def run_ctl(self, *args, env=None, input=None, status=0):
        done = self.plane.run("ezctl", *[str(arg) for arg in args], env=env, input=input)
        self.assertEqual(done.returncode, status, done.stderr)
        for report in ezplane.REPORTS:
            self.assertNotIn(report, done.stderr)
        return done

    def ctl(self, *args, **more):
        """The reply as an object."""
        return json.loads(self.run_ctl(*args, "-o", "json", **more).stdout)

    def given_master(self, **more):
        CtlTest.made += 1
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in more.items()]
        return self.ctl("masters", "create", "--name", f"master-{self.made}", *flags)

    def test_a_key_from_making_to_deleting(self):
        master = self.given_master()["id"]
        key = self.ctl("keys", "create", "--master-id", master, "--name", "web", "--labels", "team=a", "--labels", "tier=b")
        self.assertTrue(key["token"].startswith("sk-"))
        self.assertEqual(key["labels"], {"team": "a", "tier": "b"})
        read = self.ctl("keys", "get", key["id"])
        self.assertNotIn("token", read)
        changed = self.ctl("keys", "update", key["id"], "--quota-limit", 100)
        self.assertEqual((changed["quota_limit"], changed["name"]), (100, "web"))
        self.assertEqual(self.ctl("keys", "update", key["id"], "--labels", "")["labels"], {})
        self.assertEqual([k["id"] for k in self.ctl("keys", "list", master)["items"]], [key["id"]])
        self.assertEqual(self.run_ctl("keys", "delete", key["id"]).stdout, "{}\n")
        done = self.run_ctl("keys", "get", key["id"], status=1)
        self.assertEqual(done.stderr, f"ezctl: NOT_FOUND: there is no key {key['id']}\n")
        self.assertEqual(done.stdout, "")

    def test_quiet_is_for_scripts(self):
        master = self.given_master()["id"]
        token = self.run_ctl("keys", "create", master, "--name", "a", "-q").stdout
        self.assertRegex(token, r"\Ask-\w+\n\Z")
        ids = self.run_ctl("keys", "list", master, "-q").stdout.split()
        self.assertEqual(len(ids), 1)
        self.assertEqual(self.run_ctl("keys", "get", ids[0], "-q").stdout, ids[0] + "\n")

    def test_table(self):
        master = self.given_master()["id"]
        self.run_ctl("keys", "create", master, "--name", "web")
        title, row = self.run_ctl("keys", "list", master, "-o", "table").stdout.splitlines()
        self.assertEqual(title.split()[:4], ["ID", "NAME", "STATUS", "MASTER_ID"])
        self.assertEqual(row.split()[1:4], ["web", "active", str(master)])
        done = self.run_ctl("keys", "create", master, "--name", "b", "-o", "table")
        self.assertRegex(done.stdout, r"(?m)^token +sk-\w+$")
        self.assertIn("shown this once", done.stderr)

    def test_all_follows_the_pages(self):
        master = self.given_master()["id"]
        for name in ("a", "b", "c", "d", "e"):
            self.run_ctl("keys", "create", master, "--name", name)
        first = self.ctl("keys", "list", master, "--page-size", 2)
        self.assertEqual(len(first["items"]), 2)
        self.assertTrue(first["next_page_token"])
        every = self.ctl("keys", "list", master, "--page-size", 2, "--all")
        self.assertEqual([k["name"] for k in every["items"]], ["a", "b", "c", "d", "e"])
        self.assertEqual(every["next_page_token"], "")
        shown = self.run_ctl("keys", "list", master, "--page-size", 2, "-o", "table")
        self.assertIn("--page-token " + first["next_page_token"], shown.stderr)

    def test_cascade_and_violations(self):
        master = self.given_master()["id"]
        self.run_ctl("keys", "create", master, "--name", "web")
        done = self.run_ctl("masters", "delete", master, status=1)
        self.assertIn("FAILED_PRECONDITION", done.stderr)
        self.run_ctl("masters", "delete", master, "--cascade")
        done = self.run_ctl("keys", "create", 1, "--quota-limit", -5, "--allow-ips", "nope", status=1)
        self.assertIn("(FIELD_INVALID)", done.stderr)
        self.assertIn("\n  key.quota_limit: ", done.stderr)

    def test_change_options(self):
        master = self.given_master()
        done = self.run_ctl("masters", "update", master["id"], "--global-qps", 5, "--validate-only")
        self.assertIn("nothing was changed", done.stderr)
        self.assertEqual(self.ctl("masters", "get", master["id"])["global_qps"], 0)
        done = self.run_ctl("masters", "update", master["id"], "--global-qps", 5, "--if-match", master["revision"] + 1000, status=1)
        self.assertIn("ABORTED", done.stderr)
        self.run_ctl("masters", "update", master["id"], "--global-qps", 5, "--if-match", master["revision"])
        done = self.run_ctl("masters", "update", master["id"], "--global-qps", 6, "--wait")
        self.assertRegex(done.stderr, r"\Aezctl: applied on 0 of \d data planes\n\Z")

    def test_wait_counts_live_data_planes(self):
        master, plane = self.given_master(), self.ctl("data-planes", "create", "--name", "edge-1")
        self.addCleanup(self.run_ctl, "data-planes", "delete", plane["id"])
        asks = itertools.count(1)

        def is_counted():
            self.run_ctl("data-planes", "hello", "--process-epoch", 7, "--version", "1.0", env={"EZ_TOKEN": plane["token"]})
            done = self.run_ctl("masters", "update", master["id"], "--global-qps", next(asks), "--wait", "--timeout", "1s", "-q")
            return done.stderr == "ezctl: applied on 0 of 1 data planes\n"  # it never acknowledges

        ezplane.wait_until(is_counted, "a live data plane that is behind")

    def test_json_bodies(self):
        made = self.ctl("masters", "create", "--json", '{"name": "from-json", "max_child_keys": 7}', "--max-child-keys", 8)
        self.assertEqual((made["name"], made["max_child_keys"]), ("from-json", 8))
        made = self.ctl("masters", "create", "--json", "-", input='{"name": "from-input"}')
        self.assertEqual(made["name"], "from-input")
        self.assertEqual(self.ctl("call", "ez.v1.Masters/Get", json.dumps({"id": made["id"]}))["name"], "from-input")
        done = self.run_ctl("masters", "create", "--json", '{"nmae": "x"}', status=2)
        self.assertIn("nmae", done.stderr)

    def test_secrets_from_files_and_input(self):
        group = self.ctl("provider-groups", "create", "--name", "oa", "--type", "openai", "--models", "gpt-4o", "--models", "o3")
        self.assertEqual(group["models"], ["gpt-4o", "o3"])
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("sk-upstream-1234\n")
            file.flush()
            made = self.ctl("api-keys", "create", "--group-id", group["id"], "--api-key", "@" + file.name)
        self.assertEqual(made["api_key_last4"], "1234")
        made = self.ctl("api-keys", "update", made["id"], "--api-key", "-", input="sk-upstream-5678")
        self.assertEqual((made["api_key_last4"], made["secret_version"]), ("5678", 2))

    def test_who_calls(self):
        master = self.given_master()
        no_token = {"EZ_ADMIN_TOKEN": "", "EZ_HOME": "/nonexistent"}
        done = self.run_ctl("keys", "list", env=no_token, status=1)
        self.assertIn("UNAUTHENTICATED", done.stderr)
        self.assertIn("/nonexistent/admin.token", done.stderr)
        self.assertEqual(self.ctl("self", "get", env={"EZ_TOKEN": master["master_key"]})["id"], master["id"])
        with tempfile.TemporaryDirectory() as home:
            with open(os.path.join(home, "admin.token"), "w", encoding="ascii") as file:
                file.write(self.plane.admin_token + "\n")
            self.run_ctl("keys", "list", env={**no_token, "EZ_HOME": home})
        done = self.run_ctl("--token", self.plane.admin_token, "keys", "list", status=2)
        self.assertNotIn(self.plane.admin_token, done.stderr)

    def test_exit_status(self):
        away = f"tcp://127.0.0.1:{ezplane.free_port()}"
        done = self.run_ctl("status", "--timeout", "500ms", env={"EZ_RPC_URL": away}, status=3)
        self.assertIn(away, done.stderr)
        self.run_ctl("--rpc-url", f"{away},{self.plane.env['EZ_RPC_URL']}", "keys", "list")
        done = self.run_ctl("watch", "config", "--timeout", "200ms", env={"EZ_CONFIG_URL": away}, status=3)
        self.assertIn(away, done.stderr)
        for wrong in (["keyz", "list"], ["keys", "lst"], ["keys", "list", "--statu", "x"], ["keys", "get"], []):
            done = self.run_ctl(*wrong, status=2)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.run_ctl("keys", "list", env={"EZ_RPC_URL": "http://127.0.0.1"}, status=2)

    def test_status_version_help_methods(self):
        self.assertEqual(self.ctl("status")["store"], "sqlite")
        version = self.run_ctl("version").stdout
        self.assertEqual(version, self.run_ctl("--version").stdout)
        self.assertTrue(version.startswith("ezctl "))
        self.assertIn("usage: ezctl keys create MASTER_ID", self.run_ctl("help", "keys", "create").stdout)
        self.assertEqual(self.run_ctl("help", "keys").stdout, self.run_ctl("keys", "--help").stdout)
        methods = [json.loads(line) for line in self.run_ctl("methods").stdout.splitlines()]
        get = next(m for m in methods if m["method"] == "ez.v1.Keys/Get")
        self.assertEqual(get, {"method": "ez.v1.Keys/Get", "command": "keys get", "scope": "admin", "effect": "read",
                               "route": "GET /admin/keys/{id}"})

    def test_watch_prints_changes_as_they_come(self):
        log = os.path.join(self.plane.home, "watch.log")
        env = {"EZ_CONFIG_URL": self.plane.env["EZ_CONFIG_URL"]}
        lines = ezplane.Process("ezctl", ["watch", "config", "-o", "table"], env=env, log=log)
        self.addCleanup(lines.kill)
        objects = ezplane.Process("ezctl", ["watch", "config", "-o", "json", "-q"], env=env, log=log + ".json")
        self.addCleanup(objects.kill)
        lines.wait_for_line("REVISION  KIND            ID        OP")
        ezplane.wait_until(lambda: "following from revision" in lines.log_text(), "the first heartbeat")
        master = self.given_master()
        lines.wait_for_line(f"{master['revision']:<8}  master          {master['id']:<8}  put")
        # With -q nothing tells that the other follows too: changes are made until it has seen one.
        qps = itertools.count(1)

        def sees_one():
            self.ctl("masters", "update", master["id"], "--global-qps", next(qps))
            return select.select([objects.popen.stdout], [], [], 0)[0]

        ezplane.wait_until(sees_one, "a change as an object")
        change = json.loads(objects.wait_for_line('{"revision"'))
        self.assertEqual((change["kind"], change["op"]), ("master", "put"))
        self.assertNotIn("master_key", change["master"])
        for process in (lines, objects):
            process.stop()

    def test_watch_data_planes(self):
        log = os.path.join(self.plane.home, "watch-data-planes.log")
        env = {"EZ_EVENTS_URL": self.plane.env["EZ_EVENTS_URL"]}
        lines = ezplane.Process("ezctl", ["watch", "data-planes", "-o", "table"], env=env, log=log)
        self.addCleanup(lines.kill)
        objects = ezplane.Process("ezctl", ["watch", "data-planes", "-o", "json", "-q"], env=env, log=log + ".json")
        self.addCleanup(objects.kill)

        def sees_one(process):
            """With -q nothing tells when it is connected: data planes come and go until it has seen one."""
            while not select.select([process.popen.stdout], [], [], 0)[0]:
                done = self.plane.run("ez-dpsim", "--planes", "1", "--seconds", "1", "--json")
                self.assertEqual(done.returncode, 0, done.stderr)

        lines.wait_for_line("TIME")
        ezplane.wait_until(lambda: "following data-planes" in lines.log_text(), "the connection")
        sees_one(lines)
        sees_one(objects)
        line = lines.wait_for_line("20").split()
        self.assertIn(line[2], ("joined", "stopped", "lost"))
        event = json.loads(objects.wait_for_line('{"time"'))
        self.assertIn(event["type"], ("joined", "stopped", "lost"))
        self.assertNotIn("following", objects.log_text())
        for process in (lines, objects):
            process.stop()

    def test_watch_names_what_it_can(self):
        done = self.run_ctl("watch", "weather", status=2)
        self.assertIn("config, stats, logs, alerts and data-planes can", done.stderr)
        away = f"tcp://127.0.0.1:{ezplane.free_port()}"
        done = self.run_ctl("watch", "stats", "--timeout", "200ms", env={"EZ_EVENTS_URL": away}, status=3)
        self.assertIn(away, done.stderr)

    def test_watch_ends_with_its_reader(self):
        ctl = os.path.join(os.environ["EZ_TEST_BIN"], "ezctl")
        process = subprocess.Popen([ctl, "watch", "config"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env={**os.environ, "EZ_CONFIG_URL": self.plane.env["EZ_CONFIG_URL"]})
        process.stdout.close()
        self.assertEqual(process.wait(ezplane.PATIENCE), 0, process.stderr.read())
        process.stderr.close()

    def test_a_full_output_is_an_error(self):
        ctl = os.path.join(os.environ["EZ_TEST_BIN"], "ezctl")
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([ctl, "methods"], stdout=full, stderr=subprocess.PIPE, text=True, check=False,
                                  timeout=ezplane.PATIENCE)
        self.assertEqual(done.returncode, 1)
        self.assertIn("can't be written", done.stderr)


if __name__ == "__main__":
    unittest.main()
