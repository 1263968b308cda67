"""Settings that change nothing beside the others: said before the long work, so that nobody waits for their effect.

A setting counts as given when it differs from its default.
"""

import dataclasses
import pathlib

from keras_booth.workflow.config import LoraOptions, PriorOptions, TrainingOptions

# Arguments of an optimizer, and the settings that say the same.
OVERRIDDEN = {
    "learning_rate": "learning_rate",
    "weight_decay": "weight_decay",
    "global_clipnorm": "global_clipnorm",
    "gradient_accumulation_steps": "accumulation",
    "use_ema": "ema_momentum",
    "ema_momentum": "ema_momentum",
}


def without_effect(config):
    """What a run's config says in vain.

    Args:
        config: `RunConfig`, as the user gave it or with everything filled in.

    Returns:
        list of str, one sentence each.
    """
    return [
        *without_lora(config),
        *without_text_encoder(config.training),
        *without_prior(config),
        *without_time(config),
        *without_validation(config.training),
        *without_keeping(config.training),
        *without_say(config),
    ]


def given(options, default, *names):
    """Those of the names whose values differ from the defaults."""
    return [name for name in names if getattr(options, name) != getattr(default, name)]


def in_vain(group, names, reason):
    """`["lora.alpha has no effect: …"]`, or nothing without names."""
    if not names:
        return []
    return [f"{' and '.join(f'{group}.{name}' for name in names)} {_have(names)} no effect: {reason}."]


def _have(names):
    return "have" if len(names) > 1 else "has"


def without_lora(config):
    """LoRA's settings at rank 0."""
    if config.lora.rank:
        return []
    return in_vain("lora", given(config.lora, LoraOptions(), "alpha", "targets"), "lora.rank is 0, so there is no LoRA")


def without_text_encoder(training):
    """The text encoder's settings where it is not trained, or not for long."""
    rates = "text_encoder_learning_rate", "text_encoder_2_learning_rate"
    names = given(training, TrainingOptions(), *rates, "text_encoder_until")
    if not training.text_encoder:
        return in_vain("training", names, "the text encoder is not trained; set training.text_encoder true")
    until = training.text_encoder_until
    if until is not None and until >= training.steps:
        return in_vain("training", ["text_encoder_until"], f"the run ends after {training.steps} steps")
    if until is not None and until < training.accumulation:
        text = f"the weights change after {training.accumulation} steps for the first time (training.accumulation)"
        return [f"training.text_encoder_until {until} keeps the text encoder as it is: {text}."]
    return []


def without_prior(config):
    """Settings of class images that are not wanted, or that are the user's own."""
    prior, default = config.prior, PriorOptions()
    sampling = ("count", "settings", "seed", "steps", "guidance_scale", "sampler")
    if not prior.wanted:
        zero = "loss_weight" if not prior.loss_weight else "ratio"
        other = [name for name in ("loss_weight", "ratio") if name != zero and getattr(prior, name)]
        reason = f"prior.{zero} is 0, so there are no class images"
        subjects = []
        for subject in config.subjects:
            subjects += [name for name in ("class_images",) if getattr(subject, name)]
            subjects += ["class_prompt"] if _has_class_prompt(subject) else []
        return [
            *in_vain("prior", given(prior, default, *sampling, "folder", "target", *other), reason),
            *in_vain("subject", list(dict.fromkeys(subjects)), f"{reason} to train on"),
        ]
    if all(subject.class_images or prior.folder for subject in config.subjects):
        return in_vain("prior", given(prior, default, *sampling), "the class images are your own, and none are drawn")
    return []


def _has_class_prompt(subject):
    """Whether a subject's class prompt is the user's, and not filled in."""
    noun = subject.class_noun.strip()
    return subject.class_prompt not in (None, f"a photo of a {noun}", f"a photo of an {noun}")


def without_time(config):
    """What is due after the end of the run, or needs more steps than it has."""
    training, default, found = config.training, TrainingOptions(), []
    steps = training.steps
    if training.checkpoint_every == 0:
        found += in_vain("training", given(training, default, "keep_last"), "training.checkpoint_every is 0")
    elif training.checkpoint_every > steps and given(training, default, "checkpoint_every"):
        found += in_vain("training", ["checkpoint_every"], f"the run ends after {steps} steps")
    if config.sampling.every > steps:
        found += in_vain("sampling", ["every"], f"the run ends after {steps} steps, where samples are drawn anyway")
    if training.warmup_steps >= steps:
        text = f"training.warmup_steps {training.warmup_steps} is longer than the run of {steps} steps"
        found.append(f"{text}: the learning rate never gets to training.learning_rate.")
    momentum = training.ema_momentum
    if momentum is not None and 1 / (1 - momentum) > steps:
        text = f"training.ema_momentum {momentum} averages about {1 / (1 - momentum):.0f} steps, the run has {steps}"
        found.append(f"{text}: what is saved stays near the first step; lower it, or train longer.")
    if training.accumulation > steps:
        text = f"training.accumulation {training.accumulation} is larger than training.steps {steps}"
        found.append(f"{text}: the weights change once, at the end.")
    return found


def without_validation(training):
    """Photographs that are kept for what does not happen."""
    if training.hold_out and not training.validate_every:
        text = f"training.hold_out {training.hold_out} keeps photographs from training, and nothing looks at them"
        return [f"{text}: set training.validate_every, or hold none out."]
    return []


def without_keeping(training):
    """What is said of the best weights in vain."""
    if not training.keep_best:
        names = given(training, TrainingOptions(), "patience")
        return in_vain("training", names, "training.keep_best is 0, so nothing is measured")
    if training.keep_best > training.steps:
        text = f"training.keep_best {training.keep_best} is larger than training.steps {training.steps}"
        return [f"{text}: only the base and the end are measured."]
    return []


def without_say(config):
    """Settings whose place others take."""
    found, base = [], config.base
    for argument, name in OVERRIDDEN.items():
        if argument in config.training.optimizer_arguments:
            found.append(f"training.{name} has no effect: training.optimizer_arguments.{argument} takes its place.")
    if base.vocabulary is not None and (base.preset.startswith("hf://") or pathlib.Path(base.preset).is_dir()):
        found += in_vain("base", ["vocabulary"], "the folder of the base brings its own")
    return list(dict.fromkeys(found))


def drawn_without_effect(options, all_settings, schedule, lora=None, lora_scale=1.0):
    """What is said in vain of the pictures that are drawn.

    Args:
        options: `PictureOptions`.
        all_settings: list of `DrawSettings` that became of them.
        schedule: `NoiseSchedule` of the model.
        lora: path of a LoRA file, or `None`.
        lora_scale: float.

    Returns:
        list of str, one sentence each.
    """
    found = []
    if all(settings.guidance_scale == 1 for settings in all_settings):
        flags = {"--negative-prompt": options.negative_prompt, "--guidance-rescale": options.guidance_rescale}
        found += [f"{flag} has no effect: a guidance scale of 1 is no guidance." for flag in flags if flags[flag]]
    defaults = {field.name: field.default for field in dataclasses.fields(options)}
    if options.image is None and options.strength != defaults["strength"]:
        found.append("--strength has no effect: there is no --image to draw over.")
    if lora is None and lora_scale != 1.0:
        found.append("--lora-scale has no effect: there is no --lora.")
    if options.eta is not None and all(settings.sampling.steps == 1 for settings in all_settings):
        found.append("--eta has no effect: with one step there is no noise to replace.")
    if options.rho is not None and not any(settings.sampling.visits_karras(schedule) for settings in all_settings):
        found.append("--rho has no effect: none of Karras's noise levels are visited; --karras visits them.")
    return found
