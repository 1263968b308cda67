"""`hf://owner/name` against a small hub on this machine, through huggingface_hub itself."""

import functools
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading

import pytest

from keras_booth.bases import export_base, load_base
from keras_booth.tools.preset_names import LICENCES
from tests.helpers.checkpoints.families import write_checkpoint
from tests.helpers.checkpoints.variants import mix
from tests.helpers.places import ROOT, VOCABULARY

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SCRIPT = f"""
import sys
from keras_booth.bases import describe_base, load_base
for number, address in enumerate(sys.argv[1:]):
    address, _, vae = address.partition(" ")
    options = {{"vae": vae or None, "vocabulary": "{VOCABULARY}", "image_size": 16}}
    try:
        config, _ = describe_base(address, **options)  # it downloads everything, and reads what the tensors are
        weights = () if number else load_base(address, **options).unet.weights[:1]
        print("loaded", config.name, config.latent_scale, *[float(abs(weight.numpy()).sum()) for weight in weights])
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
        path = self.path.partition("?")[0].removeprefix("/api/models")
        owner, name, *rest = path.strip("/").split("/")
        repository = self.folder / owner / name
        files = sorted(str(file.relative_to(repository)) for file in repository.rglob("*") if file.is_file())
        if files and self.path.startswith("/api/models"):
            tree = [{"type": "file", "path": name, "size": 1, "oid": COMMIT} for name in files]
            model = {"id": f"{owner}/{name}", "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
            return self.answer(json.dumps(tree if rest[:1] == ["tree"] else model).encode(), body)
        file = "/".join(rest[2:])
        if rest[:2] in (["resolve", COMMIT], ["resolve", "main"]) and file in files:
            self.asked.append(f"{name}/{file}")
            return self.answer((repository / file).read_bytes(), body)
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
    folder = tmp_path_factory.mktemp("hub")
    small, mixed = (write_checkpoint("1.x", folder / "owner" / name) for name in ("small", "mixed"))
    (small / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"the same, pickled")
    (small / "unet" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"the same, in half")
    (small / "safety_checker").mkdir()
    (small / "safety_checker" / "model.safetensors").write_bytes(b"not needed")
    mix(mixed)
    mix(write_checkpoint("xl", folder / LICENCES["stable_diffusion_xl"][1]))
    vae = shutil.copytree(mixed / "vae", folder / "owner" / "vae") / "config.json"
    vae.write_text(json.dumps(json.loads(vae.read_text()) | {"scaling_factor": 0.5}))
    (folder / "owner" / "single" / "in").mkdir(parents=True)
    export_base(load_base(small), folder / "owner" / "single" / "in" / "one.safetensors", format="safetensors")
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


@pytest.mark.floor
def test_download_cache_and_mistakes(load):
    """In one test, because the steps build on each other."""
    call, asked, server = load
    first, file, again, mixture, vae, preset, *refused = call(
        "hf://owner/small@main",
        "hf://owner/single/in/one.safetensors@main",
        "hf://owner/single@main/in/one.safetensors",
        "hf://owner/mixed",
        "hf://owner/small hf://owner/vae",
        "stable_diffusion_xl",
        "hf://owner/nothing",
        "hf://owner/single",
        "hf://owner/small/unet/diffusion_pytorch_model.bin",
    )
    assert first.startswith("loaded hf://owner/small@main"), first
    unwanted = [name for name in asked if ".bin" in name or "small/unet/diffusion_pytorch_model.fp16" in name]
    assert unwanted == [] and not any(name.startswith("small/safety_checker") for name in asked)
    assert file.startswith("loaded hf://owner/single") and again.startswith("loaded hf://owner/single@main")
    assert mixture.startswith("loaded hf://owner/mixed")
    # One rule for folders and for the hub: `test_variants.py` loads a folder with the same files.
    halves = [f"mixed/unet/diffusion_pytorch_model-0000{number}-of-00002.fp16.safetensors" for number in (1, 2)]
    weights = {name for name in asked if name.startswith("mixed/") and name.endswith(".safetensors")}
    text = "mixed/text_encoder/model.safetensors"
    assert weights == {*halves, "mixed/vae/diffusion_pytorch_model.fp16.safetensors", text}
    assert vae == "loaded hf://owner/small 0.5" and "vae/diffusion_pytorch_model.fp16.safetensors" in asked
    assert preset == "loaded stable_diffusion_xl 0.13025"
    parts = {name.split("/", 1)[1] for name in asked if name.startswith("stable-diffusion-xl-base-1.0/")}
    assert {"text_encoder_2/model.safetensors", "tokenizer_2/vocab.json", "tokenizer_2/merges.txt"} <= parts
    for line, words in zip(
        refused,
        ("hf://owner/nothing", "for one of its files write hf://owner/single/in/one.safetensors", "pickled"),
        strict=True,
    ):
        assert line.startswith("refused") and words in line, line
    server.shutdown()
    server.server_close()
    once_more, offline, one = call(
        "hf://owner/small@main", "hf://owner/other", "hf://owner/single/in/one.safetensors@main"
    )
    assert (once_more, one) == (first, file)
    assert offline.startswith("refused") and "connect to the network" in offline
