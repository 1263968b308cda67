"""LoRA files that we write, in diffusers and peft: the same pictures. Skipped where they are not installed."""

# ruff: noqa: E402  the imports below make sense only where diffusers is
import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
pytest.importorskip("peft")

from keras_booth.bases import export_base
from keras_booth.dreambooth import DreamBooth, LoraConfig
from tests.bases.checkpoints.families import FAMILIES, PROMPT, inputs, write_checkpoint


@pytest.fixture(scope="module", params=FAMILIES)
def written(request, tmp_path_factory):
    """`(family, folder of the base for diffusers, booth with LoRA in UNet and text encoder)`, B not zero."""
    folder = write_checkpoint(request.param, tmp_path_factory.mktemp("checkpoint"))
    lora = LoraConfig(rank=3, alpha=2.0, targets=("attention", "feed_forward", "convolution"))
    booth = DreamBooth.from_preset(str(folder), train_text_encoder=True, lora=lora)
    rng = np.random.default_rng(0)
    for layer in booth.adapters.layers.values():
        layer.lora_kernel_b.assign(0.1 * rng.standard_normal(layer.lora_kernel_b.shape))
    return request.param, export_base(booth.base, tmp_path_factory.mktemp("base") / "out"), booth


@pytest.mark.parametrize("layout", ["diffusers", "kohya"])
def test_load_lora_weights(written, layout, tmp_path):
    family, folder, booth = written
    booth.save_lora(tmp_path / "lora.safetensors", layout=layout)
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(folder)
    given = inputs(family)
    tokens = booth.tokenize([PROMPT])
    ours = (booth.unet([given["latents"], given["timesteps"], given["context"]]), booth.text_encoder(tokens))
    before = outputs(pipeline, given, tokens)
    pipeline.load_lora_weights(tmp_path, weight_name="lora.safetensors")
    for mine, their, base in zip(ours, outputs(pipeline, given, tokens), before, strict=True):
        mine = np.asarray(keras.ops.convert_to_numpy(mine))
        assert np.linalg.norm(mine - their) <= 1e-4 * np.linalg.norm(their)
        assert np.linalg.norm(base - their) >= 0.05 * np.linalg.norm(their)


def outputs(pipeline, given, tokens):
    """Their UNet's and text encoder's output, channels last."""
    latents = torch.from_numpy(np.ascontiguousarray(given["latents"].transpose(0, 3, 1, 2)))
    timesteps, context = (torch.from_numpy(given[name]) for name in ("timesteps", "context"))
    with torch.no_grad():
        prediction = pipeline.unet(latents, timesteps, context).sample.numpy().transpose(0, 2, 3, 1)
        text = pipeline.text_encoder(torch.from_numpy(np.asarray(tokens, "int64")))[0].numpy()
    return prediction, text
