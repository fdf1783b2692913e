# SPDX-License-Identifier: Apache-2.0
"""Who is told of alerts, for tests: a web server that keeps what it is sent, and a real Alertmanager."""
import contextlib
import http.client
import http.server
import json
import shutil
import tempfile
import threading
import time

import ezplane


class Receiver:
    """An HTTP server on loopback that keeps what it is sent and when (monotonic), and answers as it is told."""

    def __init__(self, answer=None):
        self.requests, self.times, self.answer, self.ends = [], [], answer or (lambda handler: handler.reply(200)), threading.Event()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver.times.append(time.monotonic())
                receiver.requests.append((self.path, dict(self.headers), body))
                with contextlib.suppress(OSError):
                    receiver.answer(self)

            def reply(self, status, **headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def hang(self):
                receiver.ends.wait(60)

            def never_end(self, status):
                self.send_response(status)
                self.end_headers()
                while not receiver.ends.is_set():
                    self.wfile.write(b"x" * 4096)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", ezplane.free_port()), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.server.shutdown()
        self.server.server_close()


class Alertmanager:
    """Debian's prometheus-alertmanager, private: its own port and folder, nothing kept."""

    def __enter__(self):
        self.home, self.port = tempfile.mkdtemp(prefix="ez-test."), ezplane.free_port()
        with open(f"{self.home}/config.yml", "w", encoding="utf-8") as file:
            file.write("route: {receiver: none}\nreceivers: [{name: none}]\n")
        self.process = ezplane.Process("/usr/bin/prometheus-alertmanager", [
            f"--config.file={self.home}/config.yml", f"--storage.path={self.home}/data",
            f"--web.listen-address=127.0.0.1:{self.port}", "--cluster.listen-address="], log=f"{self.home}/log")
        ezplane.wait_until(lambda: self.alerts() is not None, "Alertmanager to answer")
        return self

    def alerts(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/api/v2/alerts")
            response = connection.getresponse()
            return json.loads(response.read()) if response.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def __exit__(self, *_):
        self.process.kill()
        shutil.rmtree(self.home, ignore_errors=True)
