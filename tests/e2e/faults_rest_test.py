# SPDX-License-Identifier: Apache-2.0
"""Bad input over REST against a real server behind a real gateway: what a fake one behind it can't show."""
import socket
import time
import unittest

import ezplane
from ezplane import expect_code


class FaultsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.plane = ezplane.Plane(env={"EZ_HTTP_IDLE_TIMEOUT": "1"})
        cls.plane.__enter__()
        expect_code(cls.plane.post("/admin/masters", {"name": "100%_sure"}), 201)
        expect_code(cls.plane.post("/admin/masters", {"name": "100 per cent sure"}), 201)

    @classmethod
    def tearDownClass(cls):
        cls.plane.__exit__(None, None, None)

    def names(self, query):
        reply = self.plane.get("/admin/masters?q=" + query)
        expect_code(reply, 200)
        return [one["name"] for one in reply.json["items"]]

    def test_fault_29_sql_for_a_token(self):
        for token in ("' OR 1=1; DROP TABLE key; --", "eza_' OR '1'='1", "eza_%", "x" * 4000):
            reply = self.plane.get("/admin/masters", token=token)
            expect_code(reply, 401)
            self.assertNotIn(token, str(reply.json))
        self.assertEqual(len(self.names("100")), 2)

    def test_fault_30_search_is_for_the_text_itself(self):
        self.assertEqual(self.names("%25%25%25%25"), [])
        self.assertEqual(self.names("%25"), ["100%_sure"])
        self.assertEqual(self.names("_"), ["100%_sure"])
        self.assertEqual(self.names("%27;%20DROP%20TABLE%20masters;--"), [])

    def test_an_idle_connection_is_closed_and_a_busy_one_is_not(self):
        with socket.create_connection(("127.0.0.1", self.plane.http_port), timeout=20) as peer:
            began = time.monotonic()
            for _ in range(4):  # longer than the limit in all
                peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertIn(b"200 OK", peer.recv(65536))
                time.sleep(0.4)
            self.assertGreater(time.monotonic() - began, 1)
            self.assertEqual(peer.recv(65536), b"", "closed by the gateway")


if __name__ == "__main__":
    unittest.main()
