"""The model card of a run: `README.md` in the form that the hub reads (hub-docs, model-cards)."""

import pathlib

import yaml

from keras_booth.tools.preset_names import LICENCES
from keras_booth.version import __version__

USE = """
To draw the subject that it was trained on, for the person to whom the photographs and the subject belong, or with their
consent.

It is not for pictures of people who have not agreed to it, nor to deceive or harm: a model of a face can put a person
where they never were. What it draws is made up, and should be shown as such. It knows of the world what its base knows,
and shares its biases; few photographs teach it one subject, and can make other things of the class like it.
"""


def model_card(config, files):
    """Markdown with YAML at its head.

    Args:
        config: `RunConfig`, filled in.
        files: names of the model's file, and of the LoRA's where there is one.
    """
    subject, training = config.subject, config.training
    prompts = list(config.sampling.prompts)
    head = yaml.safe_dump(front_matter(config), sort_keys=False, allow_unicode=True, width=120)
    way = f"a LoRA of rank {config.lora.rank} on the UNet" if config.lora.rank else "all weights of the UNet"
    way += " and the text encoder" if training.text_encoder else ""
    held = ", held against what the base predicts" if config.prior.target == "base" else ""
    prior = (
        f"{config.prior.count} class images (“{subject.class_prompt}”) kept the class what it was{held}, "
        f"weighed {config.prior.loss_weight:g}."
        if config.prior.wanted
        else "No class images were used: other things of the class may look like the subject now."
    )
    lines = [
        f"---\n{head}---\n",
        f"# {subject.identifier} {subject.class_noun}\n",
        "A [DreamBooth](https://arxiv.org/abs/2208.12242) model of one subject, made with keras_booth "
        f"{__version__} of `{config.base.preset}`. Its prompt is “{subject.instance_prompt}”.\n",
        "![The photographs, and what the model draws](samples.png)\n",
        "## How it was trained\n",
        f"{training.steps} steps of {training.batch_size} pictures, learning rate {training.learning_rate:g}, {way}. "
        f"{prior} All settings are in [config.yaml](config.yaml), curves and pictures in [report.html](report.html).\n",
        "## How to draw with it\n",
        f'```python\nimport keras, keras_booth\n\nbooth = keras.saving.load_model("{files[0]}")\n'
        f"pictures = booth.generate({prompts[0]!r}, count=4, seed=0)\n```\n",
        f"## What it is for, and what not\n{USE}",
        "## Licence\n",
        licence_text(config),
        "",
    ]
    return "\n".join(lines)


def front_matter(config):
    """What the hub reads."""
    licence, address = LICENCES.get(config.base.preset, ("other", None))
    if config.base.preset.startswith("hf://"):
        address = "/".join(config.base.preset.removeprefix("hf://").split("/")[:2])
    tags = ["text-to-image", "stable-diffusion", "dreambooth", "keras", *(["lora"] if config.lora.rank else [])]
    return {
        "license": licence,
        **({"base_model": address} if address else {}),
        "library_name": "keras",
        "pipeline_tag": "text-to-image",
        "tags": tags,
        "instance_prompt": config.subject.instance_prompt,
        "widget": [{"text": prompt} for prompt in config.sampling.prompts],
    }


def licence_text(config):
    """Whose licence it is."""
    name = config.base.preset
    if name in LICENCES:
        return f"That of the base, {LICENCES[name][0]}, with what it restricts."
    return f"That of the base, {pathlib.PurePath(name).name}, with what it restricts; say here which."
