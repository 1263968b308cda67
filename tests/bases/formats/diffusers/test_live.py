"""What we write opens in diffusers and draws the same picture; what it writes opens here. Skipped where it is not."""

# ruff: noqa: E402  the imports below make sense only where diffusers is
import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
transformers = pytest.importorskip("transformers")

from keras_booth.bases import export_base, load_base
from keras_booth.bases.formats.diffusers.scheduler import SCHEDULERS, parse_schedule
from tests.helpers.checkpoints.families import FAMILIES, NEGATIVE, PROMPT, draw, inputs, write_checkpoint
from tests.helpers.places import VOCABULARY


@pytest.fixture(scope="module", params=FAMILIES)
def base(request, tmp_path_factory):
    return load_base(write_checkpoint(request.param, tmp_path_factory.mktemp("checkpoint")))


def opened(base, *arguments, method="from_pretrained", **options):
    """diffusers' pipeline of a base's kind."""
    kinds = {1: diffusers.StableDiffusionPipeline, 2: diffusers.StableDiffusionXLPipeline}
    return getattr(kinds[len(base.text_encoders)], method)(*arguments, **options)


def theirs(pipeline, start, steps, negative=NEGATIVE):
    """diffusers' picture of the prompt, from text to pixels."""
    pipeline.set_progress_bar_config(disable=True)
    latents = torch.from_numpy(np.ascontiguousarray(start.transpose(0, 3, 1, 2)))
    return pipeline(
        PROMPT,
        negative_prompt=negative,
        latents=latents,
        num_inference_steps=steps,
        guidance_scale=7.5,
        height=start.shape[1] * pipeline.vae_scale_factor,
        width=start.shape[2] * pipeline.vae_scale_factor,
        output_type="np",
    ).images


def test_folder(base, tmp_path):
    start = inputs("1.x")["start"]
    pipeline = opened(base, export_base(base, tmp_path / "out"))
    assert np.abs(draw(base, start, 20) - theirs(pipeline, start, 20)).max() <= 2 / 255
    if len(base.text_encoders) == 2:
        without = theirs(pipeline, start, 20, negative=None)
        assert np.abs(draw(base, start, 20, negative="") - without).max() <= 2 / 255


def test_folder_in_half_precision(base, tmp_path):
    start = inputs("1.x")["start"]
    folder = export_base(base, tmp_path / "out", dtype="float16")
    pipeline = opened(base, folder)
    assert np.abs(draw(load_base(folder), start, 20) - theirs(pipeline, start, 20)).max() <= 2 / 255


def test_single_file(base, tmp_path):
    start = inputs("1.x")["start"]
    folder = export_base(base, tmp_path / "out")
    path = export_base(base, tmp_path / "out.safetensors", format="safetensors")
    pipeline = opened(base, str(path), config=str(folder), method="from_single_file")
    assert np.abs(draw(base, start, 20) - theirs(pipeline, start, 20)).max() <= 2 / 255


def test_tiny_world(tmp_path):
    """The base of the package, in diffusers."""
    base = load_base("tiny_world")
    start = np.random.default_rng(0).standard_normal((1, *base.latent_shape)).astype("float32")
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(export_base(base, tmp_path / "out"))
    assert np.abs(draw(base, start, 25) - theirs(pipeline, start, 25)).max() <= 2 / 255


def test_what_diffusers_wrote(base, tmp_path):
    """A folder that went through diffusers' own `save_pretrained`, tokenizer included."""
    pipeline = opened(base, export_base(base, tmp_path / "out"))
    pipeline.save_pretrained(tmp_path / "theirs")
    again = load_base(tmp_path / "theirs")
    for name, model in base.components.items():
        for one, two in zip(model.weights, again.components[name].weights, strict=True):
            np.testing.assert_array_equal(one.numpy(), two.numpy())
    np.testing.assert_array_equal(again.tokenize([PROMPT, ""]), base.tokenize([PROMPT, ""]))
    assert again.config.schedule == base.config.schedule


def test_tokenizer(tmp_path):
    base = load_base("tiny_world")
    folder = export_base(base, tmp_path / "out")
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder / "tokenizer")
    prompts = [PROMPT, "", "A red Vase, with stripes!", " ".join(["dog"] * 50)]
    found = tokenizer(prompts, padding="max_length", truncation=True)["input_ids"]
    assert np.array(found).tolist() == base.tokenizer(prompts).tolist()
    assert VOCABULARY.is_file()


def test_schedulers():
    """Every scheduler that is accepted adds the noise that we add."""
    stated = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    ours = parse_schedule(stated).alphas_cumprod
    # One needs a package of its own to be made at all.
    for kind in set(SCHEDULERS) - {"DPMSolverSDEScheduler"}:
        theirs = getattr(diffusers, kind)(**stated).alphas_cumprod
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-4, err_msg=kind)


@pytest.mark.huge
def test_full_size_unet(tmp_path):
    """Stable Diffusion 1.x's own sizes, every weight at random: relative error at most 1e-4."""
    import gc

    from keras_booth.bases.formats.names import DIFFUSERS, tensors_of, unet_layers
    from keras_booth.bases.networks.unet import UNetConfig, build_unet
    from tests.helpers.checkpoints.families import values

    rng = np.random.default_rng(0)
    latents = rng.standard_normal((1, 16, 16, 4), "float32")
    context = rng.standard_normal((1, 77, 768), "float32")
    model = diffusers.UNet2DConditionModel(
        sample_size=16, cross_attention_dim=768, attention_head_dim=8, block_out_channels=(320, 640, 1280, 1280)
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(values(name, tuple(parameter.shape))))
        channels_first = torch.from_numpy(np.ascontiguousarray(latents.transpose(0, 3, 1, 2)))
        golden = model(channels_first, torch.tensor([501]), torch.from_numpy(context)).sample
    golden = golden.numpy().transpose(0, 2, 3, 1)
    del model
    gc.collect()
    config = UNetConfig()
    unet = build_unet(config, (16, 16), 77)
    for tensor in tensors_of(unet_layers(unet, config), DIFFUSERS):
        tensor.assign(values(tensor.name, tensor.shape))
    prediction = np.asarray(unet([latents, np.array([501], "int32"), context]))
    assert np.linalg.norm(prediction - golden) / np.linalg.norm(golden) <= 1e-4
