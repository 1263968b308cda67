"""How a picture was drawn, as AUTOMATIC1111 writes it into a PNG: prompt, negative prompt, and a line of settings."""

import json
import pathlib

from keras_booth.version import __version__

SAMPLERS = {"ddim": "DDIM", "euler": "Euler", "euler_ancestral": "Euler a", "dpmpp_2m": "DPM++ 2M"}


def infotext(prompt, settings, size, schedule, *, seed, index=0, model=None):
    """The text of the field `parameters`, which AUTOMATIC1111, Forge and sites for pictures read.

    Args:
        prompt: str.
        settings: `DrawSettings`.
        size: (height, width) in pixels.
        schedule: `NoiseSchedule` of the model.
        seed, index: int. Seed, and the picture's number among those of the seed.
        model: str or `Path`, what was drawn with.
    """
    sampling = settings.sampling
    sampler = SAMPLERS.get(sampling.sampler, sampling.sampler)
    fields = {
        "Steps": sampling.steps,
        "Sampler": f"{sampler} Karras" if sampling.visits_karras(schedule) else sampler,
        **unusual_levels(sampling, schedule),
        "CFG scale": f"{settings.guidance_scale:g}",
        "Seed": seed,
        "Size": f"{size[1]}x{size[0]}",
        "Model": model_name(model),
        "Denoising strength": f"{settings.strength:g}" if settings.strength < 1 else None,
        # Ours alone: other programs count a batch's seeds up.
        "Index": index or None,
        "Version": f"keras_booth {__version__}",
    }
    lines = [one_line(prompt)]
    if settings.negative_prompt.strip():
        lines.append(f"Negative prompt: {one_line(settings.negative_prompt)}")
    found = [f"{name}: {quoted(value)}" for name, value in fields.items() if value not in (None, "")]
    return "\n".join([*lines, ", ".join(found)])


def unusual_levels(sampling, schedule):
    """Karras's levels, where they are not the usual ones: with these two numbers AUTOMATIC1111 visits the same."""
    if sampling.rho is None or not sampling.visits_karras(schedule):
        return {}
    lowest = sampling.path(schedule).sigmas[-2]
    return {"Schedule min sigma": f"{lowest:.4g}", "Schedule rho": f"{sampling.rho:g}"}


def one_line(text):
    """A prompt on one line: a line break could begin what looks like a negative prompt."""
    return " ".join(text.split())


def quoted(value):
    """A value as AUTOMATIC1111 quotes it, where it would end early."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ',:"\n') else text


def model_name(model):
    """The name of a model as other programs show it: of a file or a folder without the way there."""
    text = str(model or "")
    path = pathlib.PurePath(text)
    return path.stem if path.suffix in (".keras", ".safetensors") else path.name
