#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An OAuth token endpoint for tests: token_endpoint.py CERTIFICATE KEY LOG [DELAY_MS [LIFE_S]]

HTTPS on a free port of 127.0.0.1; prints "ready PORT". A refresh token is "rt-ACCOUNT-N"; the good one of an account has
N = how often it was rotated, and each good presentation rotates it. One that is used up is refused
(refresh_token_reused). How an account behaves beyond that is said by the letters its name begins with: see BEHAVIOURS.
Each presentation is a line of LOG: "ACCOUNT N RESULT", written before it is answered; those of accounts that are held
until LOG.release is there have one more, "answered ACCOUNT-N", after it. Forms and JSON are both read; the
project lookup is at /project. In no line and no error of its own are tokens quoted, but by "canary" accounts.
"""
import gzip
import json
import os
import re
import ssl
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOCK = threading.Lock()
CURRENT = {}  # account -> N of its good refresh token
SEEN = {}     # account -> presentations
DELAY_S = float(sys.argv[4]) / 1000 if len(sys.argv) > 4 else 0
LIFE_S = int(sys.argv[5]) if len(sys.argv) > 5 else 3600  # of an access token
SLOW_S = 1    # accounts whose name begins with "slow": the answer, long after the token was rotated
RELEASE = sys.argv[3] + ".release"  # accounts whose name begins with "hold" are answered once it is there
LOG = open(sys.argv[3], "a", encoding="ascii", buffering=1)


class Drop(Exception):
    """The connection is closed without a word."""


def error(status, code, headers=None):
    return status, json.dumps({"error": code}), headers or {}


def tokens(account, number):
    reply = {"access_token": f"at-{account}-{number}", "refresh_token": f"rt-{account}-{number}", "expires_in": LIFE_S}
    return 200, json.dumps(reply), {}


def rotate(account):
    CURRENT[account] += 1
    return tokens(account, CURRENT[account])


def lose(account, seen):
    if seen == 1:
        CURRENT[account] += 1
        raise Drop
    return rotate(account)


def lose_unused(account, seen):
    if seen == 1:
        raise Drop
    return rotate(account)


def widen(account, _seen):
    CURRENT[account] += 1
    return 200, json.dumps({"access_token": "at-new", "refresh_token": "r" * 8193, "expires_in": 3600}), {}


def canary(account, seen):
    text = f"rt-{account}-0 at-{account}-0"
    return 403, json.dumps({"error": {"code": text, "message": text, "type": text}, "error_description": text}), {
        "X-Token": text}


# The first letters of an account's name -> (account, how often it was presented) -> the answer.
BEHAVIOURS = {
    "grant": lambda a, n: error(400, "invalid_grant"),
    "client": lambda a, n: error(401, "invalid_client") if n == 1 else rotate(a),
    "html": lambda a, n: (403, "<html>Just a moment...</html>", {}) if n == 1 else rotate(a),
    "limit": lambda a, n: error(429, "rate_limit_exceeded", {"Retry-After": "5"}) if n == 1 else rotate(a),
    "flaky": lambda a, n: error(503, "server_error") if n < 3 else rotate(a),
    "down": lambda a, n: error(503, "server_error"),
    "lost": lose,
    "unused": lose_unused,
    "never": lambda a, n: (_ for _ in ()).throw(Drop()),
    "keep": lambda a, n: (200, json.dumps({"access_token": f"at-{a}-{n}", "expires_in": LIFE_S}), {}),
    "zip": lambda a, n: (200, gzip.compress(rotate(a)[1].encode()), {"Content-Encoding": "gzip"}),
    "wide": widen,
    "endless": lambda a, n: (200, None, {}),
    "canary": canary,
    "busy": lambda a, n: error(429, "rate_limit_exceeded", {"Retry-After": "300"}),
}


def judge(token):
    match = re.fullmatch(r"rt-(.+)-(\d+)", token)
    if not match:
        return error(400, "invalid_request")
    account, number = match.group(1), int(match.group(2))
    with LOCK:
        CURRENT.setdefault(account, 0)
        SEEN[account] = SEEN.get(account, 0) + 1
        behaviour = BEHAVIOURS.get(re.match("[a-z]*", account).group(0), lambda a, n: rotate(a))
        if number != CURRENT[account]:
            LOG.write(f"{account} {number} reused\n")
            return 401, json.dumps({"error": {"code": "refresh_token_reused", "message": "used", "type": "x"}}), {}
        LOG.write(f"{account} {number} good\n")
        return behaviour(account, SEEN[account])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body, headers):
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def flood(self):
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        while True:
            self.wfile.write(b" " * 65536)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        if self.path == "/project":
            self.reply(200, json.dumps({"cloudaicompanionProject": {"id": "project-7"}}), {})
            return
        is_json = self.headers.get("Content-Type", "").startswith("application/json")
        form = json.loads(body) if is_json else dict(urllib.parse.parse_qsl(body))
        time.sleep(DELAY_S)
        try:
            status, text, headers = judge(form.get("refresh_token", ""))
            while form.get("refresh_token", "").startswith("rt-hold") and not os.path.exists(RELEASE):
                time.sleep(0.01)
            time.sleep(SLOW_S if form.get("refresh_token", "").startswith("rt-slow") else 0)
            if text is None:
                self.flood()
            else:
                self.reply(status, text, headers)
            if form.get("refresh_token", "").startswith("rt-hold"):
                LOG.write(f"answered {form['refresh_token'][3:]}\n")
        except (Drop, OSError):
            self.close_connection = True


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a peer that was killed

    def get_request(self):
        sock, address = super().get_request()
        return CONTEXT.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), address


CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
CONTEXT.load_cert_chain(sys.argv[1], sys.argv[2])
server = Server(("127.0.0.1", 0), Handler)
print("ready", server.server_address[1], flush=True)
server.serve_forever()
