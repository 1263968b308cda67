"""Make the golden files with diffusers and transformers: `python -m tests.helpers.checkpoints.make_goldens`."""

import json
import pathlib
import tempfile

import diffusers
import numpy as np
import torch
import transformers

from tests.helpers.checkpoints.families import (
    CLASS_PROMPT,
    FAMILIES,
    HERE,
    INSTANCE_PROMPT,
    NEGATIVE,
    PROMPT,
    WATCHED,
    inputs,
    tokenizer_of,
    training_batch,
    values,
)

SCHEDULER = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
UNETS = {
    "1.x": {"block_out_channels": (32, 64), "attention_head_dim": 8, "cross_attention_dim": 48},
    "2.x": {
        "block_out_channels": (64, 128),
        "attention_head_dim": (1, 2),
        "cross_attention_dim": 64,
        "use_linear_projection": True,
    },
}
TEXTS = {
    "1.x": {"hidden_size": 48, "intermediate_size": 192, "num_attention_heads": 2, "hidden_act": "quick_gelu"},
    "2.x": {"hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 1, "hidden_act": "gelu"},
}
PREDICTIONS = {"1.x": "epsilon", "2.x": "v_prediction"}


def modules(family):
    """diffusers' and transformers' components with the weights of `values`."""
    tokenizer = tokenizer_of(family)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        **UNETS[family],
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(32, 64),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        sample_size=16,
    )
    config = transformers.CLIPTextConfig(
        vocab_size=tokenizer.vocabulary_size,
        num_hidden_layers=2,
        bos_token_id=tokenizer.start,
        eos_token_id=tokenizer.end,
        pad_token_id=tokenizer.pad,
        **TEXTS[family],
    )
    found = {"unet": unet, "vae": vae, "text_encoder": transformers.CLIPTextModel(config)}
    for module in found.values():
        fill(module)
    return found


def fill(module):
    """Give each parameter the value of its name in a file."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(torch.from_numpy(values(name, tuple(parameter.shape))))
    return module.eval()


def chw(array):
    """Channels last -> a tensor with the channels first."""
    return torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))


def hwc(tensor):
    """The inverse of `chw`."""
    return tensor.detach().numpy().transpose(0, 2, 3, 1)


def outputs(family, parts, scheduler):
    """What the components compute of `inputs`, and the whole pipeline."""
    given, tokenizer = inputs(family), tokenizer_of(family)
    tokens = tokenizer([PROMPT, NEGATIVE])
    with torch.no_grad():
        hidden = parts["text_encoder"](torch.from_numpy(tokens.astype("int64"))).last_hidden_state
        prediction = parts["unet"](
            chw(given["latents"]), torch.from_numpy(given["timesteps"]), torch.from_numpy(given["context"])
        )
        moments = parts["vae"]._encode(chw(given["pictures"])) if hasattr(parts["vae"], "_encode") else None
        decoded = parts["vae"].decode(chw(given["latents"])).sample
        pipeline = diffusers.StableDiffusionPipeline(
            parts["vae"],
            parts["text_encoder"],
            None,
            parts["unet"],
            scheduler,
            None,
            None,
            requires_safety_checker=False,
        )
        pipeline.set_progress_bar_config(disable=True)
        picture = pipeline(
            prompt_embeds=hidden[:1],
            negative_prompt_embeds=hidden[1:],
            latents=chw(given["start"]),
            num_inference_steps=20,
            guidance_scale=7.5,
            output_type="np",
        ).images
    return {
        "tokens": tokens,
        "text_encoder": hidden.numpy(),
        "unet": hwc(prediction.sample),
        "moments": hwc(moments),
        "decoder": hwc(decoded),
        "picture": picture.astype("float32"),
    }


def dreambooth(parts, scheduler, tokenizer, count, weight):
    """Loss and gradients of diffusers' `train_dreambooth.py` with prior preservation, and text encoder frozen."""
    batch = training_batch(count)
    unet, vae = parts["unet"], parts["vae"]
    mean, log_variance = vae._encode(chw(batch["images"])).chunk(2, dim=1)
    latents = mean + torch.exp(0.5 * log_variance.clamp(-30.0, 20.0)) * chw(batch["posterior_noise"])
    latents = latents * vae.config.scaling_factor
    noise, timesteps = chw(batch["noise"]), torch.from_numpy(batch["timesteps"].astype("int64"))
    noisy = scheduler.add_noise(latents, noise, timesteps)
    tokens = tokenizer([INSTANCE_PROMPT] * count + [CLASS_PROMPT] * count)
    hidden = parts["text_encoder"](torch.from_numpy(tokens.astype("int64"))).last_hidden_state
    prediction = unet(noisy, timesteps, hidden.detach()).sample
    if scheduler.config.prediction_type == "epsilon":
        target = noise
    else:
        target = scheduler.get_velocity(latents, noise, timesteps)
    prediction, prediction_prior = prediction.chunk(2)
    target, target_prior = target.detach().chunk(2)
    mse = torch.nn.functional.mse_loss
    loss = mse(prediction, target) + weight * mse(prediction_prior, target_prior)
    unet.zero_grad()
    loss.backward()
    parameters = dict(unet.named_parameters())
    return {"loss": loss.detach().numpy()} | {name: parameters[name].grad.numpy().copy() for name in WATCHED}


def main():
    for family in FAMILIES:
        parts = modules(family)
        scheduler = diffusers.DDIMScheduler(prediction_type=PREDICTIONS[family], **SCHEDULER)
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            for name, part in parts.items():
                part.save_pretrained(folder / name)
            scheduler.save_pretrained(folder / "scheduler")
            configs = {
                str(path.relative_to(folder)): json.loads(path.read_text()) for path in sorted(folder.rglob("*.json"))
            }
            shapes = {
                name: {key: list(value.shape) for key, value in part.state_dict().items()}
                for name, part in parts.items()
            }
        described = {"configs": configs, "shapes": shapes}
        (HERE / f"{family}.json").write_text(json.dumps(described, indent=1, sort_keys=True) + "\n")
        arrays = outputs(family, parts, scheduler)
        for count in (1, 3):
            for weight in (0.0, 0.5, 1.0):
                found = dreambooth(parts, scheduler, tokenizer_of(family), count, weight)
                arrays |= {f"dreambooth/{count}/{weight}/{name}": value for name, value in found.items()}
        np.savez_compressed(HERE / f"{family}.npz", **arrays)


if __name__ == "__main__":
    main()
