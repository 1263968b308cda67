"""A mirror that means harm, or is broken: one sentence, nothing outside of the cache, and an end."""

import functools
import http.server
import json
import threading

import pytest

from keras_booth.bases.formats import hub, hub_guard
from keras_booth.tools.errors import CheckpointError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = ["model_index.json", "unet/config.json"]


class Mirror(http.server.BaseHTTPRequestHandler):
    """A hub on which each repository is bad in its own way, which its name says."""

    protocol_version = "HTTP/1.0"

    def __init__(self, over, *args):
        self.over = over
        super().__init__(*args)

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET(body=False)

    def do_GET(self, body=True):
        how = self.path.removeprefix("/api/models").split("/")[2].partition("?")[0]
        try:
            if how == "silent":
                self.over.wait()
            elif self.path.startswith("/api/"):
                self.listing(how)
            else:
                self.file(how, body)
        except OSError:  # the other side has enough
            pass

    def listing(self, how):
        names = [*FILES, "tokenizer/../../../evil"] if how == "names" else FILES
        model = {"id": f"owner/{how}", "sha": COMMIT, "siblings": [{"rfilename": name} for name in names]}
        content = json.dumps(model).encode()
        self.send_response(200)
        if how != "answer":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content if how != "answer" else b"[")
        self.forever(b"[" * 2**16, how == "answer")

    def file(self, how, body):
        content = b"{}"
        size = {"announced": 10**15, "drip": 100_000}.get(how, len(content))
        self.send_response(200)
        if how != "endless" or not body:
            self.send_header("Content-Length", str(size))
        self.send_header("ETag", '"../../../evil"' if how == "etag" else f'"{COMMIT}"')
        self.send_header("X-Repo-Commit", "../../../../evil" if how == "commit" else COMMIT)
        if how == "linked":
            self.send_header("X-Linked-ETag", '"/tmp/evil"')
        if how == "packed":
            self.send_header("Content-Encoding", "gzip, gzip")
        self.end_headers()
        if body:
            self.wfile.write(content)
            self.forever(b" " * 2**16, how == "endless")
            self.forever(b" ", how == "drip", 0.02)

    def forever(self, part, condition, pause=0.0):
        while condition and not self.over.wait(pause):
            self.wfile.write(part)


@pytest.fixture(scope="module")
def mirror():
    """Address of a bad hub."""
    over = threading.Event()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Mirror, over))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    over.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(mirror, tmp_path, monkeypatch):
    """What the hub's cache is in, with small limits."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", mirror)
    template = mirror + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "in" / "a" / "cache"))
    limits = {"MOST_SMALL": 2**20, "PATIENCE": 0.3, "SILENCE": 0.5}
    for name, limit in limits.items():
        monkeypatch.setattr(hub_guard, name, limit)
    monkeypatch.setattr(hub, "MOST_ANSWER", 2**20)
    return tmp_path


@pytest.mark.parametrize(
    "how, words",
    [
        ("etag", "sent a name that is none, in ETag: '\"../../../evil\"'"),
        ("linked", "sent a name that is none, in X-Linked-ETag: '\"/tmp/evil\"'"),
        ("commit", "sent a name that is none, in X-Repo-Commit: '../../../../evil'"),
        ("names", "names a file that is not in the repository: 'tokenizer/../../../evil'"),
        ("announced", "more than the 1 MiB that a file of this kind may have: '1000000000000000' bytes"),
        ("endless", "more than the 1 MiB that a file of this kind may have"),
        ("answer", "more than the 1 MiB that a file of this kind may have"),
        ("drip", "is too slow: "),
        ("silent", "sent nothing for "),
        ("packed", "sent what was not asked for: 'gzip, gzip' encoding"),
    ],
)
def test_refused(folder, how, words):
    with pytest.raises(CheckpointError) as caught:
        hub.fetch(f"hf://owner/{how}/unet/config.safetensors" if how in ("silent", "drip") else f"hf://owner/{how}")
    assert str(caught.value).startswith("The hub ") and words in str(caught.value)
    assert f"Received: hf://owner/{how}" in str(caught.value)
    assert [path.name for path in folder.iterdir()] in ([], ["in"])
    assert not any("evil" in path.name for path in folder.rglob("*"))


def test_what_is_whole_comes(folder):
    from huggingface_hub.utils import get_session

    before = len(get_session().event_hooks["response"])
    came = hub.fetch_all("hf://owner/good", ["unet/config.json"], None)
    assert (came / "unet" / "config.json").read_bytes() == b"{}" and came.name == COMMIT
    assert len(get_session().event_hooks["response"]) == before


def test_what_links_lead_out_of_the_cache(folder):
    """As from a cache that a mirror wrote into before."""
    (folder / "in" / "a" / "cache").mkdir(parents=True)
    (folder / "secret").write_text("x")
    (folder / "in" / "a" / "cache" / "link").symlink_to(folder / "secret")
    with pytest.raises(CheckpointError, match="lies outside of its cache"):
        hub_guard.require_cached(folder / "in" / "a" / "cache" / "link")
