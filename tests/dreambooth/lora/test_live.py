"""LoRA files between us and diffusers, peft and LyCORIS: the same numbers. Skipped where they are not installed."""

# ruff: noqa: E402  the imports below make sense only where diffusers is
import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
peft = pytest.importorskip("peft")

from safetensors.numpy import save_file

from keras_booth.bases import export_base
from keras_booth.dreambooth import DreamBooth, LoraConfig
from keras_booth.dreambooth.lora.files import read_lora
from tests.helpers import lora_spellings as spellings
from tests.helpers.checkpoints.families import FAMILIES, PROMPT, inputs, write_checkpoint

RANK, ALPHA = 3, 2.0


@pytest.fixture(scope="module", params=FAMILIES)
def written(request, tmp_path_factory):
    """`(family, folder of the base for diffusers, booth with LoRA in UNet and text encoder)`, B not zero."""
    folder = write_checkpoint(request.param, tmp_path_factory.mktemp("checkpoint"))
    lora = LoraConfig(rank=RANK, alpha=ALPHA, targets=("attention", "feed_forward", "convolution"))
    booth = DreamBooth.from_preset(str(folder), train_text_encoder=True, lora=lora)
    rng = np.random.default_rng(0)
    for layer in booth.adapters.layers.values():
        layer.lora_kernel_b.assign(0.1 * rng.standard_normal(layer.lora_kernel_b.shape))
    return request.param, export_base(booth.base, tmp_path_factory.mktemp("base") / "out"), booth


@pytest.fixture(scope="module")
def pipeline(written):
    kind = diffusers.StableDiffusionXLPipeline if written[0] == "xl" else diffusers.StableDiffusionPipeline
    return kind.from_pretrained(written[1])


def ours(written, scale=1.0):
    """Our UNet's and text encoders' output."""
    family, _, booth = written
    given = inputs(family)
    booth.lora_scale = scale
    made = booth.base.condition([PROMPT])
    found = [booth.base.denoise(given["latents"], given["timesteps"], given), *made.values()]
    booth.lora_scale = 1.0
    return [np.asarray(keras.ops.convert_to_numpy(array)) for array in found]


def outputs(written, pipeline):
    """Their UNet's and text encoders' output, channels last."""
    family, _, booth = written
    given = inputs(family)
    latents = torch.from_numpy(np.ascontiguousarray(given["latents"].transpose(0, 3, 1, 2)))
    timesteps, context = (torch.from_numpy(given[name]) for name in ("timesteps", "context"))
    more = {name: torch.from_numpy(given[name]) for name in ("pooled", "sizes") if name in given}
    more = {"added_cond_kwargs": {"text_embeds": more["pooled"], "time_ids": more["sizes"]}} if more else {}
    with torch.no_grad():
        prediction = pipeline.unet(latents, timesteps, context, **more).sample.numpy().transpose(0, 2, 3, 1)
        made = pipeline.encode_prompt(PROMPT, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False)
    texts = (made[0], made[2]) if family == "xl" else made[:1]
    return prediction, *(text.numpy() for text in texts)


def same(ours, theirs, base):
    """Ours is theirs, which is far from the base."""
    for mine, their, before in zip(ours, theirs, base, strict=True):
        assert np.linalg.norm(mine - their) <= 1e-4 * np.linalg.norm(their)
        assert np.linalg.norm(before - their) >= 0.05 * np.linalg.norm(their)


def test_load_lora_weights(written, pipeline, tmp_path):
    """What we write in both layouts."""
    before = outputs(written, pipeline)
    for layout in ("kohya", "diffusers"):
        written[2].save_lora(tmp_path / "lora.safetensors", layout=layout)
        pipeline.load_lora_weights(tmp_path, weight_name="lora.safetensors")
        same(ours(written), outputs(written, pipeline), before)
        pipeline.unload_lora_weights()


@pytest.mark.large
def test_spellings(written, pipeline, tmp_path):
    """The names that `test_layouts.py` has us read are read by diffusers, too, and mean the same."""
    booth = written[2]
    booth.save_lora(tmp_path / "lora.safetensors")
    lora = read_lora(tmp_path / "lora.safetensors", booth.base)
    lora = {name: [m.down, m.up, np.array(m.alpha, "float32")] for name, m in lora.items()}
    before, mine = outputs(written, pipeline), {scale: ours(written, scale) for scale in (1.0, RANK / ALPHA)}
    for spell in spellings.DIFFUSERS.values():
        tensors = spell(lora)
        save_file(tensors, tmp_path / "lora.safetensors")
        pipeline.load_lora_weights(tmp_path, weight_name="lora.safetensors")
        # Without alphas they take the rank for one.
        says_alpha = any(key.endswith(".alpha") for key in tensors)
        same(mine[1.0 if says_alpha else RANK / ALPHA], outputs(written, pipeline), before)
        pipeline.unload_lora_weights()


def test_lycoris(written, pipeline, tmp_path, monkeypatch):
    """LyCORIS' loader finds a module for each of our layers, and computes the same."""
    lycoris = pytest.importorskip("lycoris")
    booth, before = written[2], outputs(written, pipeline)
    booth.save_lora(tmp_path / "lora.safetensors")
    # Since transformers 5 the text encoder's layers do not lie in `text_model` any more.
    text = "lora_te" if hasattr(pipeline.text_encoder, "text_model") else "lora_te_text_model"
    networks = []
    if written[0] == "xl":
        pytest.skip("its own loader does not know the original names of the UNet's layers")
    for prefix, module in (("lora_unet", pipeline.unet), (text, pipeline.text_encoder)):
        monkeypatch.setattr(lycoris.LycorisNetwork, "LORA_PREFIX", prefix)
        network, _ = lycoris.create_lycoris_from_weights(1.0, str(tmp_path / "lora.safetensors"), module)
        network.apply_to()
        networks.append(network)
    try:
        assert sum(len(network.loras) for network in networks) == len(booth.adapters.layers)
        same(ours(written), outputs(written, pipeline), before)
    finally:
        for network in networks:
            network.restore()


@pytest.mark.parametrize("stable", [False, True], ids=["lora", "rslora"])
def test_what_peft_and_diffusers_save(written, pipeline, tmp_path, stable):
    """Ranks and alphas by patterns, and rsLoRA's scale: as peft computes them."""
    family, _, booth = written
    config = peft.LoraConfig(
        r=4,
        lora_alpha=6,
        target_modules=["to_q", "to_k", "to_v", "to_out.0", "ff.net.2"],
        rank_pattern={r"attn2\.to_k": 2},
        alpha_pattern={"to_v": 3},
        use_rslora=stable,
    )
    unet = pipeline.unet
    unet.add_adapter(config)
    try:
        rng = np.random.default_rng(1)
        expected = {}
        for name, module in unet.named_modules():
            if hasattr(module, "lora_B") and "default" in module.lora_B:
                up = module.lora_B["default"].weight
                up.data = torch.from_numpy(0.1 * rng.standard_normal(up.shape).astype("float32"))
                expected[f"unet.{name}"] = (
                    module.scaling["default"] * up.detach() @ module.lora_A["default"].weight.detach()
                ).numpy()
        type(pipeline).save_lora_weights(
            tmp_path / "diffusers",
            unet_lora_layers=peft.utils.get_peft_model_state_dict(unet),
            unet_lora_adapter_metadata=unet.peft_config["default"].to_dict(),
        )
        state = {f"base_model.model.{key}": value for key, value in peft.get_peft_model_state_dict(unet).items()}
        (tmp_path / "peft").mkdir()
        save_file(
            {key: value.detach().numpy() for key, value in state.items()}, tmp_path / "peft/adapter_model.safetensors"
        )
        unet.peft_config["default"].save_pretrained(tmp_path / "peft")
    finally:
        unet.delete_adapters("default")
    assert len({matrix.shape for matrix in expected.values()}) > 1
    for folder in ("diffusers", "peft"):
        found = read_lora(tmp_path / folder, booth.base)
        assert found.keys() == expected.keys()
        for name, matrices in found.items():
            rank, alpha = matrices.size
            np.testing.assert_allclose(alpha / rank * matrices.up @ matrices.down, expected[name], rtol=1e-5, atol=1e-6)
