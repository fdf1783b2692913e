# SPDX-License-Identifier: Apache-2.0
"""The token endpoint (token_endpoint.py, a process of its own) for tests in Python, with a certificate of its own. The C twin
is tests/integration/support/token_endpoint.h."""
import os
import shutil
import ssl
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
NAMES = ("CODEX", "CLAUDE_CODE", "GEMINI_CLI", "ANTIGRAVITY")


class OauthEndpoint:
    """delay_ms: before each answer; life_s: what it says of a new access token's life."""

    def __init__(self, delay_ms=0, life_s=3600):
        self.folder = tempfile.mkdtemp(prefix="ez-test.")
        self.certificate, self.log = f"{self.folder}/cert.pem", f"{self.folder}/presented"
        key = f"{self.folder}/key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", key, "-out", self.certificate, "-days", "2", "-subj", "/CN=test", "-addext",
                        "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        self.popen = subprocess.Popen([sys.executable, f"{HERE}/token_endpoint.py", self.certificate, key, self.log,
                                       str(delay_ms), str(life_s)], stdout=subprocess.PIPE, text=True)
        self.port = int(self.popen.stdout.readline().split()[1])

    @property
    def env(self):
        """Settings of a server that asks it for tokens of all types."""
        env = {"EZ_TOKEN_REFRESH": "true", "EZ_OUTBOUND_ALLOW": "127.0.0.1", "EZ_CA_FILE": self.certificate}
        for name in NAMES:
            env[f"EZ_OAUTH_{name}_TOKEN_URL"] = f"https://127.0.0.1:{self.port}/token"
        for name in NAMES[2:]:
            env[f"EZ_OAUTH_{name}_CLIENT_ID"] = "id"
            env[f"EZ_OAUTH_{name}_CLIENT_SECRET"] = "fake-client-secret"
            env[f"EZ_OAUTH_{name}_PROJECT_URL"] = f"https://127.0.0.1:{self.port}/project"
        return env

    def presented(self):
        """(account, number, result) of each token that was presented, in order."""
        with open(self.log, encoding="ascii") as file:
            return [tuple(line.split()) for line in file]

    def tls_context(self):
        return ssl.create_default_context(cafile=self.certificate)

    def end(self):
        self.popen.kill()
        self.popen.wait()
        self.popen.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
