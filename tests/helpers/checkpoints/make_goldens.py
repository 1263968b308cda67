"""Make the golden files with diffusers and transformers: `python -m tests.helpers.checkpoints.make_goldens [xl]`."""

import contextlib
import json
import pathlib
import sys
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
    tokenizers_of,
    tokens_of,
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
    "xl": {
        "block_out_channels": (64, 128),
        "attention_head_dim": (1, 2),
        "cross_attention_dim": 192,
        "use_linear_projection": True,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 3),
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 96 + 6 * 256,
    },
}
BLOCKS = {
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}
VAES = {"1.x": {}, "2.x": {}, "xl": {"scaling_factor": 0.13025}}
TEXTS = {
    "1.x": {"hidden_size": 48, "intermediate_size": 192, "num_attention_heads": 2, "hidden_act": "quick_gelu"},
    "2.x": {"hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 1, "hidden_act": "gelu"},
}
TEXTS["xl"] = {"hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 1, "hidden_act": "quick_gelu"}
# The projection is no square, so that its axes cannot be mixed up.
SECOND_TEXTS = {
    "xl": {
        **{"hidden_size": 128, "intermediate_size": 512, "num_attention_heads": 2, "hidden_act": "gelu"},
        "projection_dim": 96,
    }
}
PREDICTIONS = {"1.x": "epsilon", "2.x": "v_prediction", "xl": "epsilon"}


def modules(family):
    """diffusers' and transformers' components with the weights of `values`."""
    unet = diffusers.UNet2DConditionModel(sample_size=8, layers_per_block=1, **(BLOCKS | UNETS[family]))
    vae = diffusers.AutoencoderKL(
        block_out_channels=(32, 64),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        sample_size=16,
        **VAES[family],
    )
    first, *second = tokenizers_of(family)
    found = {"unet": unet, "vae": vae, "text_encoder": transformers.CLIPTextModel(text_config(first, TEXTS[family]))}
    for tokenizer in second:
        config = text_config(tokenizer, SECOND_TEXTS[family])
        found["text_encoder_2"] = transformers.CLIPTextModelWithProjection(config)
    for module in found.values():
        fill(module)
    return found


def text_config(tokenizer, sizes):
    """transformers' config of a text encoder."""
    return transformers.CLIPTextConfig(
        vocab_size=tokenizer.vocabulary_size,
        num_hidden_layers=2,
        bos_token_id=tokenizer.start,
        eos_token_id=tokenizer.end,
        pad_token_id=tokenizer.pad,
        **sizes,
    )


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


def encode(family, parts, tokens):
    """`(text embeddings, pooled embedding or None)` of tokens, as the family's pipeline makes them."""
    tokens = torch.from_numpy(tokens.astype("int64"))
    if family != "xl":
        return parts["text_encoder"](tokens).last_hidden_state, None
    first = parts["text_encoder"](tokens[:, 0], output_hidden_states=True)
    second = parts["text_encoder_2"](tokens[:, 1], output_hidden_states=True)
    return torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1), second.text_embeds


def additions(pooled, sizes):
    """What the UNet of XL gets beside the text embeddings."""
    return {} if pooled is None else {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": torch.as_tensor(sizes)}}


def pipeline_of(family, parts, scheduler):
    """diffusers' pipeline, without tokenizers."""
    if family == "xl":
        made = diffusers.StableDiffusionXLPipeline(
            parts["vae"], parts["text_encoder"], parts["text_encoder_2"], None, None, parts["unet"], scheduler
        )
    else:
        made = diffusers.StableDiffusionPipeline(
            *(parts["vae"], parts["text_encoder"], None, parts["unet"], scheduler, None, None),
            requires_safety_checker=False,
        )
    made.set_progress_bar_config(disable=True)
    return made


def outputs(family, parts, scheduler):
    """What the components compute of `inputs`, and the whole pipeline."""
    given, tokens = inputs(family), tokens_of(family, [PROMPT, NEGATIVE])
    with torch.no_grad():
        hidden, pooled = encode(family, parts, tokens)
        prediction = parts["unet"](
            chw(given["latents"]),
            torch.from_numpy(given["timesteps"]),
            torch.from_numpy(given["context"]),
            **additions(None if pooled is None else torch.from_numpy(given["pooled"]), given.get("sizes")),
        )
        moments = parts["vae"]._encode(chw(given["pictures"])) if hasattr(parts["vae"], "_encode") else None
        decoded = parts["vae"].decode(chw(given["latents"])).sample
        pipeline = pipeline_of(family, parts, scheduler)
        prompts = {"prompt_embeds": hidden[:1]} | ({} if pooled is None else {"pooled_prompt_embeds": pooled[:1]})
        negative = {f"negative_{name}": array for name, array in prompts.items()}
        negative = dict(zip(negative, (hidden[1:], None if pooled is None else pooled[1:]), strict=False))
        drawn = {
            "latents": chw(given["start"]),
            **{"num_inference_steps": 20, "guidance_scale": 7.5, "output_type": "np"},
        }
        pictures = {"picture": pipeline(**prompts, **negative, **drawn).images.astype("float32")}
        if family == "xl":
            pictures["picture_of_zeros"] = pipeline(**prompts, **drawn).images.astype("float32")
    return {
        "tokens": tokens,
        "text_encoder": hidden.numpy(),
        "unet": hwc(prediction.sample),
        "moments": hwc(moments),
        "decoder": hwc(decoded),
        **pictures,
        **({} if pooled is None else {"pooled": pooled.numpy()}),
    }


def dreambooth(family, parts, scheduler, count, weight):
    """Loss and gradients of diffusers' `train_dreambooth.py` with prior preservation, and text encoder frozen."""
    loss = objective(family, parts, scheduler, count, weight, train_text=False)
    parts["unet"].zero_grad()
    loss.backward()
    parameters = dict(parts["unet"].named_parameters())
    return {"loss": loss.detach().numpy()} | {name: parameters[name].grad.numpy().copy() for name in WATCHED[family]}


def objective(family, parts, scheduler, count, weight, train_text):
    """The loss of diffusers' `train_dreambooth.py`, and of its sibling for LoRA on XL."""
    batch = training_batch(count, family)
    unet, vae = parts["unet"], parts["vae"]
    mean, log_variance = vae._encode(chw(batch["images"])).chunk(2, dim=1)
    latents = mean + torch.exp(0.5 * log_variance.clamp(-30.0, 20.0)) * chw(batch["posterior_noise"])
    latents = latents * vae.config.scaling_factor
    noise, timesteps = chw(batch["noise"]), torch.from_numpy(batch["timesteps"].astype("int64"))
    noisy = scheduler.add_noise(latents, noise, timesteps)
    tokens = tokens_of(family, [INSTANCE_PROMPT] * count + [CLASS_PROMPT] * count)
    with contextlib.nullcontext() if train_text else torch.no_grad():
        hidden, pooled = encode(family, parts, tokens)
    prediction = unet(noisy, timesteps, hidden, **additions(pooled, batch.get("sizes"))).sample
    if scheduler.config.prediction_type == "epsilon":
        target = noise
    else:
        target = scheduler.get_velocity(latents, noise, timesteps)
    prediction, prediction_prior = prediction.chunk(2)
    target, target_prior = target.detach().chunk(2)
    mse = torch.nn.functional.mse_loss
    return mse(prediction, target) + weight * mse(prediction_prior, target_prior)


def main():
    for family in sys.argv[1:] or FAMILIES:
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
                found = dreambooth(family, parts, scheduler, count, weight)
                arrays |= {f"dreambooth/{count}/{weight}/{name}": value for name, value in found.items()}
        np.savez_compressed(HERE / f"{family}.npz", **arrays)


if __name__ == "__main__":
    main()
