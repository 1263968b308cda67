"""Stable Diffusion 1.x at full size with random weights, ours and diffusers', and a process for each measurement."""

import gzip
import itertools
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

TOKENS = 49408  # of CLIP's vocabulary


def without_torch():
    """To be called first in our cases: KerasCV would load PyTorch where it is installed, for nothing."""
    sys.modules["torch"] = None


def our_booth(size, dtype="float32", **options):
    """A `DreamBooth` for pictures of so many pixels, in a process that keeps freed memory as the commands' do."""
    import keras_booth
    from keras_booth.tools.process.machine import keep_freed_memory

    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        return keras_booth.DreamBooth.from_preset(
            "stable_diffusion_1.4",
            weights=None,
            image_size=size,
            dtype=dtype,
            vocabulary=write_vocabulary(folder),
            **options,
        )


def write_vocabulary(folder):
    """A vocabulary of CLIP's size in a folder, of pairs of letters."""
    from keras_booth.bases import tiny_world
    from keras_booth.bases.tokenizer import Tokenizer

    letters = list(Tokenizer(tiny_world.VOCABULARY.read_bytes()).ids)[:256]
    pairs = itertools.islice(itertools.product(letters, letters), TOKENS - 2 * len(letters) - 2)
    path = Path(folder, "vocabulary.txt.gz")
    path.write_bytes(gzip.compress("\n".join(["#version", *(f"{a} {b}</w>" for a, b in pairs)]).encode()))
    return path


def their_parts(size):
    """diffusers' `(unet, vae, text_encoder)`."""
    import diffusers
    import transformers

    unet = diffusers.UNet2DConditionModel(
        sample_size=size // 8, cross_attention_dim=768, attention_head_dim=8, block_out_channels=(320, 640, 1280, 1280)
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
    )
    sizes = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12}
    return unet, vae, transformers.CLIPTextModel(transformers.CLIPTextConfig(**sizes))


def peak():
    """Most memory this process ever held, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def measure(script, case, *flags):
    """One case in a process of its own: what `script --case JSON` prints last."""
    line = [sys.executable, script, "--case", json.dumps(case), *map(str, flags)]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{case} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])
