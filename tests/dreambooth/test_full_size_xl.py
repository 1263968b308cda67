"""Stable Diffusion XL at full size with random weights: a LoRA step in bfloat16 at 256 pixels, and a picture.

Seven gigabytes of weights in half precision; three minutes on two cores, most of them for TensorFlow to trace.
"""

import subprocess
import sys

import pytest

from tests.helpers.places import ROOT, SHARED

VOCABULARY = SHARED / "data" / "clip" / "bpe_simple_vocab_16e6.txt.gz"
PARAMETERS = 3_468_837_867  # UNet 2,567,463,684; text encoders 123,060,480 and 694,659,840; autoencoder 83,653,863
PROGRAM = f"""
import resource
import keras, numpy as np
from keras_booth.bases import load_base
from keras_booth.dreambooth import DreamBooth, LoraConfig

base = load_base("stable_diffusion_xl", weights=None, vocabulary={str(VOCABULARY)!r}, image_size=256, dtype="bfloat16")
print("parameters", sum(part.count_params() for part in base.components.values()))
booth = DreamBooth(base, lora=LoraConfig(4))
batch = {{"moments": booth.encode_moments(np.zeros((1, 256, 256, 3), "float32")) }}
batch |= booth.encode_text(booth.tokenize(["a photo of sks dog"]))
batch["sizes"] = np.array([[1024, 768, 0, 0, 256, 256]], "float32")
booth.compile(keras.optimizers.AdamW(1e-4), gradient_checkpointing=True)
booth.park_encoders()
losses = [booth.train_on_batch(batch)[0] for _ in range(2)]
assert np.isfinite(losses).all()
assert any(np.any(layer.lora_kernel_b.numpy()) for layer in booth.adapters.layers.values())
picture = booth.generate("a photo of sks dog", steps=2)
assert picture.shape == (1, 256, 256, 3) and picture.std() > 1
print("gigabytes", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)
"""


@pytest.mark.huge
@pytest.mark.skipif(not VOCABULARY.is_file(), reason="CLIP's vocabulary is not there")
def test_a_step_and_a_picture():
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = dict(line.split() for line in done.stdout.splitlines() if line.startswith(("parameters", "gigabytes")))
    assert int(said["parameters"]) == PARAMETERS
    assert float(said["gigabytes"]) < 13
