# SPDX-License-Identifier: Apache-2.0
"""The end-to-end helpers, tried on the shell: one that does not notice a failure makes tests that can't fail."""
import contextlib
import io
import os
import socket
import tempfile
import threading
import unittest

import ezplane


class ProcessTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.log = os.path.join(folder.name, "log")
        self.quiet = contextlib.redirect_stderr(io.StringIO())

    def start(self, script, env=None):
        return ezplane.Process("/bin/sh", ("-c", script), env=env, log=self.log)

    def test_ready_line_is_found_among_others(self):
        process = self.start("echo one; echo ready at once; sleep 60 & wait")
        self.assertEqual(process.wait_for_line("ready "), "ready at once")
        process.kill()
        self.assertFalse(process.is_running())

    def test_end_before_ready_is_noticed(self):
        process = self.start("echo almost; exit 3")
        with self.quiet, self.assertRaises(AssertionError):
            process.wait_for_line("ready")

    def test_clean_and_unclean_stops_differ(self):
        clean = self.start("trap 'exit 0' TERM; echo ready; sleep 60 & wait")
        clean.wait_for_line("ready")
        clean.stop()
        unclean = self.start("trap 'exit 9' TERM; echo ready; sleep 60 & wait")
        unclean.wait_for_line("ready")
        with self.quiet, self.assertRaises(AssertionError):
            unclean.stop()

    def test_report_in_the_log_is_noticed(self):
        process = self.start("trap 'exit 0' TERM; echo 'WARNING: ''ThreadSanitizer: data race' >&2; echo ready; sleep 60 & wait")
        process.wait_for_line("ready")
        with self.quiet, self.assertRaises(AssertionError):
            process.stop()

    def test_settings_of_the_tester_do_not_leak(self):
        os.environ["EZ_STORE"] = "sqlite:/nowhere"
        self.addCleanup(os.environ.pop, "EZ_STORE")
        process = self.start('echo "got $EZ_HOME,$EZ_STORE"', env={"EZ_HOME": "here"})
        self.assertEqual(process.wait_for_line("got"), "got here,")
        self.assertEqual(process.wait(), 0)


class SocketTest(unittest.TestCase):
    def test_ports_differ(self):
        ports = {ezplane.free_port() for _ in range(50)}
        self.assertEqual(len(ports), 50)
        self.assertTrue(all(1024 <= p < 32768 for p in ports))

    def test_reset_reaches_the_other_side(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            raw = ezplane.RawSocket(server.getsockname()[1])
            peer, _ = server.accept()
            with peer:
                raw.send(b"half a request").reset()
                with self.assertRaises(ConnectionResetError):
                    while peer.recv(100):
                        pass

    def test_reads_what_came_before_the_close(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            with ezplane.RawSocket(server.getsockname()[1]) as raw:
                peer, _ = server.accept()
                peer.sendall(b"bye")
                peer.close()
                self.assertEqual(raw.read_until_closed(), b"bye")


class WaitTest(unittest.TestCase):
    def test_looks_again(self):
        event = threading.Event()
        threading.Timer(0.02, event.set).start()
        self.assertTrue(ezplane.wait_until(event.is_set))


if __name__ == "__main__":
    unittest.main()
