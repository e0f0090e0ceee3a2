"""An API over real HTTP that answers as a test tells it to."""

import http.server
import json
import threading

import pytest


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers what the server was told to, and keeps what was asked."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(body)

    def do_GET(self):
        self._answer(None)

    def _answer(self, body):
        self.server.asked.append((self.command, self.path.removeprefix("/api/v1/"), body))
        status, document = self.server.answer(self.path.removeprefix("/api/v1/"), body)
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def api():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.asked = []
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
