"""LoRA files of other programs: all that it has been called is read; what is no plain LoRA is refused by its kind."""

import json
import math

import numpy as np
import pytest
from safetensors.numpy import save_file

from keras_booth.bases import load_base
from keras_booth.dreambooth.lora.files import read_lora
from keras_booth.tools.errors import CheckpointError
from tests.helpers import lora_spellings as spellings


@pytest.fixture(scope="module")
def base(folder):
    return load_base(folder)


@pytest.fixture(scope="module")
def lora(family, base):
    return spellings.golden(family, base)


def same(found, lora, alphas=True):
    """Matrices are bit by bit the same; the alphas too, or else nothing said them."""
    assert found.keys() == lora.keys()
    for name, (down, up, alpha) in lora.items():
        np.testing.assert_array_equal(found[name].down.ravel(), down.ravel())
        np.testing.assert_array_equal(found[name].up.ravel(), up.ravel())
        assert found[name].size == (len(down), alpha if alphas else len(down))


def test_all_spellings(base, lora, tmp_path):
    for number, (kind, spell) in enumerate((spellings.DIFFUSERS | spellings.others(base)).items()):
        tensors = spell(lora)
        save_file(tensors, tmp_path / f"{number}.safetensors")
        try:
            found = read_lora(tmp_path / f"{number}.safetensors", base)
        except CheckpointError as error:
            pytest.fail(f"{kind}: {error}")
        same(found, lora, alphas=any(key.endswith(".alpha") for key in tensors))


def test_folders(base, lora, tmp_path):
    """That of diffusers' `save_lora_weights`, and of peft's `save_pretrained`."""
    tensors = spellings.DIFFUSERS["lora_A"](lora)
    for name in ("pytorch_lora_weights.safetensors", "adapter_model.safetensors"):
        (tmp_path / name[:4]).mkdir()
        save_file(tensors, tmp_path / name[:4] / name)
        same(read_lora(tmp_path / name[:4], base), lora, alphas=False)
    for part in ("unet", *base.text_encoders):
        (tmp_path / "both" / part).mkdir(parents=True)
        mine = {name: matrices for name, matrices in lora.items() if name.startswith(f"{part}.")}
        save_file(spellings.peft(mine), tmp_path / "both" / part / "adapter_model.safetensors")
        (tmp_path / "both" / part / "adapter_config.json").write_text(
            json.dumps({"lora_alpha": mine[min(mine)][2].item()})
        )
    same(read_lora(tmp_path / "both", base), lora)
    with pytest.raises(CheckpointError, match="missing"):
        (tmp_path / "empty").mkdir()
        read_lora(tmp_path / "empty", base)


def test_locon_with_a_middle(family, base, lora, tmp_path):
    tensors, whole = spellings.tucker(lora, np.random.default_rng(0))
    assert any("lora_mid" in key for key in tensors) == (family != "1.x")
    save_file(tensors, tmp_path / "lora.safetensors")
    same(read_lora(tmp_path / "lora.safetensors", base), whole)


CONFIG = {
    "peft_type": "LORA",
    "r": 3,
    "lora_alpha": 6,
    # As in peft a regular expression for the end of a name, of which the first counts.
    "alpha_pattern": {r"attn2\.to_[kv]": 9, "to_k": 12},
    "use_rslora": False,
}


def of_unet(lora, base):
    """What a file that names no component may hold: of two text encoders the layers have the same names."""
    return {name: found for name, found in lora.items() if len(base.text_encoders) == 1 or name.startswith("unet.")}


def weighed(name):
    return 9 if name.endswith(("attn2.to_k", "attn2.to_v")) else 12 if name.endswith("to_k") else 6


@pytest.mark.parametrize("stable", [False, True])
def test_alphas_of_peft(base, lora, tmp_path, stable):
    """rsLoRA weighs by alpha / sqrt(rank), which is another alpha where it is alpha / rank."""
    config, lora = CONFIG | {"use_rslora": stable}, of_unet(lora, base)
    lora = {name: [down, up, weighed(name) * (math.sqrt(3) if stable else 1)] for name, (down, up, _) in lora.items()}
    save_file(spellings.peft(lora), tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    same(read_lora(tmp_path, base), lora)
    prefixed = {f"{part}.{field}": value for part in ("unet", "text_encoder") for field, value in config.items()}
    for fields in (config, prefixed):
        metadata = {"lora_adapter_metadata": json.dumps(fields)}
        save_file(spellings.DIFFUSERS["lora_A"](lora), tmp_path / "lora.safetensors", metadata)
        same(read_lora(tmp_path / "lora.safetensors", base), lora)


@pytest.mark.parametrize("text, words", [('{"peft_type": "LOHA"}', "LOHA"), ("{", "JSON"), ("[]", "JSON")])
def test_configs_of_peft_that_are_refused(base, lora, tmp_path, text, words):
    save_file(spellings.peft(of_unet(lora, base)), tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(text)
    with pytest.raises(CheckpointError, match=f"{words}.*Received: .*adapter_config.json|Received: .*{words}"):
        read_lora(tmp_path, base)


ATTENTION = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
KINDS = (
    ("DoRA", [f"{ATTENTION}.dora_scale"]),
    ("DoRA", ["unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_magnitude_vector"]),
    ("LoHa", [f"{ATTENTION}.hada_w1_a", f"{ATTENTION}.hada_t1"]),
    ("LoKr", [f"{ATTENTION}.lokr_w1", f"{ATTENTION}.lokr_w2_a"]),
    ("OFT", [f"{ATTENTION}.oft_blocks"]),
    ("OFT", [f"{ATTENTION}.oft_diag"]),
    ("OFT", ["oft_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.oft_blocks"]),
    ("BOFT", ["base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.boft_R"]),
    ("IA3", [f"{ATTENTION}.on_input", f"{ATTENTION}.weight"]),
    ("IA3", ["base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.ia3_l"]),
    ("GLoRA", [f"{ATTENTION}.{part}.weight" for part in ("a1", "a2", "b1", "b2")]),
    ("full difference", [f"{ATTENTION}.diff", f"{ATTENTION}.diff_b"]),
    ("full difference", ["lora_unet_down_blocks_0_attentions_0_norm.w_norm"]),
    ("Stable Diffusion XL", ["lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight"]),
    ("Stable Diffusion XL", ["lora_unet_input_blocks_4_1_transformer_blocks_1_attn1_to_k.lora_down.weight"]),
    ("Stable Diffusion XL", ["unet.add_embedding.linear_1.lora_A.weight"]),
    ("Stable Diffusion XL", ["text_encoder_2.text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight"]),
    ("Flux", ["lora_unet_double_blocks_0_img_attn_proj.lora_down.weight"]),
    ("Flux", ["transformer.single_transformer_blocks.0.attn.to_k.lora_A.weight"]),
    ("Stable Diffusion 3", ["transformer.transformer_blocks.0.attn.to_k.lora_A.weight"]),
    ("Stable Diffusion 3", ["lora_unet_joint_blocks_0_context_block_attn_proj.lora_down.weight"]),
    ("diffusion transformer", ["lora_transformer_transformer_blocks_0_attn_to_k.lora_down.weight"]),
    ("diffusion transformer", ["diffusion_model.blocks.0.self_attn.q.lora_A.weight"]),
    ("textual inversion", ["emb_params"]),
    ("textual inversion", ["<my-dog>"]),
    ("textual inversion", ["string_to_param.*"]),
    ("textual inversion", ["clip_l", "clip_g"]),
    ("bundle_emb", ["bundle_emb.dog.string_to_param.*", f"{ATTENTION}.lora_down.weight"]),
    ("checkpoint", ["model.diffusion_model.input_blocks.0.0.weight"]),
    ("checkpoint", ["down_blocks.0.resnets.0.conv1.weight", "conv_in.weight"]),
    ("checkpoint", ["text_model.embeddings.token_embedding.weight"]),
    ("checkpoint", ["decoder.mid.block_1.conv1.weight"]),
    ("ControlNet", ["control_model.input_blocks.0.0.weight"]),
    ("another model", ["lora_unet_down_blocks_7_attentions_0_proj_in.lora_down.weight"]),
)


def test_other_kinds_are_named(base, family, tmp_path):
    for number, (kind, keys) in enumerate(KINDS):
        if kind == "Stable Diffusion XL" and family == "xl":
            continue
        path = tmp_path / f"{number}.safetensors"
        save_file({key: np.zeros((4, 8), "float32") for key in keys}, path)
        with pytest.raises(CheckpointError) as caught:
            read_lora(path, base)
        assert kind in str(caught.value) and str(path) in str(caught.value), (kind, str(caught.value))


def test_an_embedding_by_its_word(base, tmp_path):
    save_file({"mydog": np.zeros((2, 768), "float32")}, tmp_path / "dog.safetensors")
    with pytest.raises(CheckpointError, match="textual inversion"):
        read_lora(tmp_path / "dog.safetensors", base)


@pytest.mark.parametrize("width, model", [(768, "1.x"), (1024, "2.x"), (2048, "XL")])
@pytest.mark.parametrize("name", ["attn2_to_k", "text"])
def test_a_lora_of_the_other_family_is_named(base, tmp_path, width, model, name):
    stem = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    stem = "lora_te_text_model_encoder_layers_0_self_attn_q_proj" if name == "text" else stem
    tensors = {f"{stem}.lora_down.weight": np.zeros((4, width)), f"{stem}.lora_up.weight": np.zeros((32, 4))}
    save_file({key: array.astype("float32") for key, array in tensors.items()}, tmp_path / "lora.safetensors")
    with pytest.raises(CheckpointError, match=f"LoRA for Stable Diffusion {model}.*{width}"):
        read_lora(tmp_path / "lora.safetensors", base)
