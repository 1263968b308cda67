"""From a config: the model, its optimizer, and the config that says all that the run depends on."""

import dataclasses
import os

import keras

from keras_booth.bases import PRESETS
from keras_booth.dreambooth import DreamBooth, LoraConfig
from keras_booth.tools.errors import InputError, require
from keras_booth.workflow.config import sample_prompts
from keras_booth.workflow.settings.kinds import describe, is_of_kind
from keras_booth.workflow.subjects import fill_prompts

# Arguments of optimizers that are counted in steps.
COUNTS = ("ema_overwrite_frequency", "gradient_accumulation_steps")


def build_booth(config):
    """Makes the model of a run."""
    base, subject, training = config.base, config.subject, config.training
    booth = DreamBooth.from_preset(
        **dataclasses.asdict(base),
        identifier=subject.identifier,
        class_noun=subject.class_noun,
        instance_prompt=subject.instance_prompt,
        class_prompt=subject.class_prompt,
        train_text_encoder=training.text_encoder,
        lora=LoraConfig(config.lora.rank, config.lora.alpha, config.lora.targets) if config.lora.rank else None,
        seed=training.seed,
    )
    for described in config.subjects:
        check_words(described, booth.base.tokenizer)
    return booth


def check_words(subject, tokenizer):
    """Refuses words for a subject that its prompts would be cut in."""
    room = tokenizer.max_length - 2  # beside start and end
    tokens = len(tokenizer.pieces(f"{subject.identifier} {subject.class_noun}"))
    require(
        tokens <= room,
        "subject.identifier",
        f"a rare word: with class_noun it has {tokens} tokens, where a prompt has {room}",
        subject.identifier,
    )


def compile_booth(config, booth):
    """Gives the model its optimizer."""
    training = config.training
    rate, second = training.text_encoder_learning_rate, training.text_encoder_2_learning_rate
    booth.compile(
        optimizer=make_optimizer(training),
        prior_loss_weight=config.prior.loss_weight,
        prior_target=config.prior.target if config.prior.wanted else "images",
        min_snr_gamma=training.min_snr_gamma,
        noise_offset=training.noise_offset,
        text_encoder_rate=1.0 if rate is None else rate / training.learning_rate,
        text_encoder_2_rate=None if second is None else second / training.learning_rate,
        text_encoder_until=training.text_encoder_until,
        gradient_checkpointing=training.gradient_checkpointing,
    )


def make_optimizer(training):
    """The Keras optimizer of a run."""
    options = {
        "learning_rate": learning_rate(training),
        "weight_decay": training.weight_decay,
        "global_clipnorm": training.global_clipnorm,
    }
    if training.accumulation > 1:
        options["gradient_accumulation_steps"] = training.accumulation
    if training.ema_momentum is not None:
        options |= {"use_ema": True, "ema_momentum": training.ema_momentum}
    options |= training.optimizer_arguments
    check_arguments(training)
    try:
        return keras.optimizers.get({"class_name": training.optimizer, "config": options})
    except (TypeError, ValueError) as error:
        raise InputError(
            f"training.optimizer_arguments must be arguments of {training.optimizer}: {error}. "
            f"Received: training.optimizer_arguments={training.optimizer_arguments}"
        ) from error


def check_arguments(training):
    """Refuses arguments of an optimizer that Keras takes and stumbles over in the first step."""
    own = keras.optimizers.get(training.optimizer).get_config()
    for name, value in training.optimizer_arguments.items():
        # What is null by itself is a number where it is set.
        kind = type(own.get(name)) if isinstance(own.get(name), (bool, str)) else float
        field = f"training.optimizer_arguments.{name}"
        require(name not in own or is_of_kind(value, kind), field, describe(kind), value)
        if name in COUNTS:
            require(value >= 1 and value == int(value), field, "a whole number >= 1", value)


def learning_rate(training):
    """The learning rate of a run: a float, or a Keras schedule over its steps."""
    rate, warmup = training.learning_rate, training.warmup_steps
    # From one step's share, not from 0, so that the first step is not lost.
    first = rate / (warmup + 1)
    if training.learning_rate_schedule == "cosine":
        rest = max(training.steps - warmup, 1)
        warm = {"warmup_target": rate, "warmup_steps": warmup} if warmup else {}
        return keras.optimizers.schedules.CosineDecay(first, rest, **warm)
    if warmup:
        return keras.optimizers.schedules.PolynomialDecay(first, warmup, end_learning_rate=rate)
    return rate


def resolve(config, booth):
    """Fills in what the config leaves open, so that it says all that the run depends on."""
    config = fill_prompts(config)
    pairs = [(subject.instance_prompt, subject.class_prompt) for subject in config.subjects]
    prompts = config.sampling.prompts or sample_prompts(pairs)
    config = config.replace("base", image_size=tuple(booth.image_size), dtype=booth.dtype_policy.name)
    config = config.replace("sampling", prompts=tuple(prompts))
    own = all(subject.class_images or config.prior.folder for subject in config.subjects)
    for group in ("sampling",) if own or not config.prior.wanted else ("sampling", "prior"):
        options, base = getattr(config, group), booth.base.config
        steps = base.sampling_steps if options.steps is None else options.steps
        guidance_scale = base.guidance_scale if options.guidance_scale is None else options.guidance_scale
        sampler = options.sampler or base.sampler
        config = config.replace(group, steps=steps, guidance_scale=guidance_scale, sampler=sampler)
    return config


def with_whole_paths(config):
    """The config with paths that mean the same from any folder."""

    def whole(path):
        return path and os.path.abspath(path)

    def of_subject(subject):
        return dataclasses.replace(subject, photos=whole(subject.photos), class_images=whole(subject.class_images))

    def of_base(name):
        return whole(name) if name and name not in PRESETS and os.path.exists(name) else name

    config = dataclasses.replace(
        config, subject=of_subject(config.subject), more_subjects=tuple(map(of_subject, config.more_subjects))
    )
    base = config.base
    config = config.replace(
        "base", preset=of_base(base.preset), vae=of_base(base.vae), vocabulary=whole(base.vocabulary)
    )
    config = config.replace("prior", folder=whole(config.prior.folder))
    return config.replace("output", folder=whole(config.output.folder))
