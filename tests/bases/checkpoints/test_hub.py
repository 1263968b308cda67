"""`hf://owner/name` against a small hub on this machine, through huggingface_hub itself."""

import functools
import hashlib
import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading

import pytest

from tests.bases.checkpoints.families import write_checkpoint

ROOT = pathlib.Path(__file__).parents[3]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SCRIPT = """
import sys
from keras_booth.bases import load_base
for address in sys.argv[1:]:
    try:
        base = load_base(address)
        print("loaded", base.config.name, float(abs(base.unet.weights[0].numpy()).sum()))
    except ValueError as error:
        print("refused", error)
"""


class Hub(http.server.BaseHTTPRequestHandler):
    """The few addresses of the hub that a download asks for."""

    def __init__(self, folder, asked, *args):
        self.folder, self.asked = folder, asked
        super().__init__(*args)

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET(body=False)

    def do_GET(self, body=True):
        path = self.path.partition("?")[0]
        files = sorted(str(file.relative_to(self.folder)) for file in self.folder.rglob("*") if file.is_file())
        if path.startswith("/api/models/owner/small/tree/"):
            content = [{"type": "file", "path": name, "size": 1, "oid": COMMIT} for name in files]
            return self.answer(json.dumps(content).encode(), body)
        if path.startswith("/api/models/owner/small"):
            content = {"id": "owner/small", "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
            return self.answer(json.dumps(content).encode(), body)
        owner, _, name = path.partition(f"/resolve/{COMMIT}/")
        if owner == "/owner/small" and name in files:
            self.asked.append(name)
            return self.answer((self.folder / name).read_bytes(), body)
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.end_headers()

    def answer(self, content, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(content)


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """A hub with one repository. Returns `(call, asked, stop)`."""
    folder = write_checkpoint("1.x", tmp_path_factory.mktemp("hub"))
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"the same, pickled")
    (folder / "unet" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"the same, in half")
    (folder / "safety_checker").mkdir()
    (folder / "safety_checker" / "model.safetensors").write_bytes(b"not needed")
    asked = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Hub, folder, asked))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = tmp_path_factory.mktemp("home")

    def call(*addresses):
        """A line for each address, all of one process."""
        environment = os.environ | {
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}",
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "PYTHONPATH": str(ROOT),
        }
        line = [sys.executable, "-c", SCRIPT, *addresses]
        done = subprocess.run(line, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    yield call, asked, server
    server.server_close()


def test_download_cache_and_mistakes(load):
    """In one test, because the steps build on each other."""
    call, asked, server = load
    first, refused = call("hf://owner/small@main", "hf://owner/nothing")
    assert first.startswith("loaded hf://owner/small@main"), first
    assert "unet/diffusion_pytorch_model.safetensors" in asked
    unwanted = [name for name in asked if ".bin" in name or "fp16" in name or name.startswith("safety_checker")]
    assert unwanted == []
    assert refused.startswith("refused") and "hf://owner/nothing" in refused
    server.shutdown()
    server.server_close()
    again, offline = call("hf://owner/small@main", "hf://owner/other")
    assert again == first
    assert offline.startswith("refused") and "connect to the network" in offline
