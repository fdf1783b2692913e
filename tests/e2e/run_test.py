# SPDX-License-Identifier: Apache-2.0
"""tools/run as a newcomer uses it: start, look, stop, start again; and what it says when something is in the way.

It runs the programs of EZ_TEST_BIN rather than building, in a home and on ports of its own.
"""
import json
import os
import shutil
import signal
import socket
import tempfile
import unittest
import urllib.request

import ezplane

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


class RunTest(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="ez test.")  # a blank: paths have to be quoted
        self.addCleanup(shutil.rmtree, self.home, True)
        self.http_port = ezplane.free_port()
        self.env = {
            "EZ_RUN_BIN": os.environ["EZ_TEST_BIN"],
            "EZ_HOME": os.path.join(self.home, "data"),
            "EZ_HTTP_ADDR": f"127.0.0.1:{self.http_port}",
            **{name: f"tcp://127.0.0.1:{ezplane.free_port()}" for name in ("EZ_RPC_URL", "EZ_CONFIG_URL", "EZ_EVENTS_URL")},
        }

    def start(self, *args):
        process = ezplane.Process(os.path.join(ROOT, "tools", "run"), args, env=self.env, log=os.path.join(self.home, "log"))
        self.addCleanup(process.kill)
        return process

    def get(self, path):
        with open(os.path.join(self.env["EZ_HOME"], "admin.token"), encoding="ascii") as file:
            request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}",
                                             headers={"Authorization": f"Bearer {file.read().strip()}"})
        with urllib.request.urlopen(request, timeout=ezplane.PATIENCE) as reply:
            return json.load(reply)

    def stop(self, process, how=signal.SIGTERM):
        process.popen.send_signal(how)
        self.assertEqual(process.wait(), 0, process.log_text()[-2000:])

    def test_starts_stops_and_starts_again(self):
        process = self.start()
        process.wait_for_line("  Ctrl-C")
        self.assertEqual(self.get("/status")["status"], "ok")
        self.stop(process)
        process = self.start()
        process.wait_for_line("  Ctrl-C")
        self.assertEqual(self.get("/admin/masters")["items"], [])
        self.stop(process, signal.SIGINT)

    def test_demo_is_filled_and_followed(self):
        process = self.start("--demo")
        process.wait_for_line("  Ctrl-C")
        names = {m["name"] for m in self.get("/admin/masters")["items"]}
        self.assertLessEqual({"acme", "globex", "initech", "umbrella"}, names)
        ezplane.wait_until(lambda: self.get("/status").get("data_planes_live") == 5, "five live data planes")
        self.assertEqual(os.stat(os.path.join(self.env["EZ_HOME"], "demo-credentials")).st_mode & 0o777, 0o600)
        self.stop(process)

    def test_ports_in_use_are_one_clear_line(self):
        events_port = int(self.env["EZ_EVENTS_URL"].rsplit(":", 1)[1])
        with socket.create_server(("127.0.0.1", self.http_port)), socket.create_server(("127.0.0.1", events_port)):
            process = self.start()
            self.assertEqual(process.wait(), 1)
        lines = process.log_text().splitlines()
        self.assertEqual(len(lines), 1, lines)
        for port, setting in ((self.http_port, "EZ_HTTP_ADDR"), (events_port, "EZ_EVENTS_URL")):
            self.assertIn(f"port {port} is in use ({setting}=", lines[0])


if __name__ == "__main__":
    unittest.main()
