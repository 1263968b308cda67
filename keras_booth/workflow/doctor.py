"""What can go wrong with a run, said before anything heavy is done."""

import dataclasses

from keras_booth.bases import describe_base, rare_identifiers, rarity
from keras_booth.data import find_photos, inspect_photos
from keras_booth.workflow.memory import estimate, machine_memory

OK, NOTE, WARNING, MISTAKE = "ok", "note", "warning", "mistake"
# Photographs that were shown less often than this are rarely learned; more often, usually by heart (section 3 of the
# paper: 1,000 steps for 3 to 5 photographs; diffusers: 400 to 800).
SHOWN_SELDOM, SHOWN_OFTEN = 60, 400
RARE = 0.6


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of the report.

    Args:
        level: `OK`, `NOTE`, `WARNING` or `MISTAKE`; the last one would end the run.
        topic: str, "photos", "identifier", "memory" or "settings".
        text: str.
    """

    level: str
    topic: str
    text: str

    def __str__(self):
        return f"{self.level:>8}  {self.topic:<10}  {self.text}"


def diagnose(config, quick=False):
    """Examine a run.

    Args:
        config: `RunConfig`.
        quick: bool. Leave out what takes more than a moment: duplicates, and the memory of large bases.

    Returns:
        list of `Finding`.

    Raises:
        InputError: if the base or the folder of photographs cannot be had at all.
    """
    options = config.base
    base_config, tokenizer = describe_base(
        options.preset,
        image_size=options.image_size,
        vocabulary=options.vocabulary,
        prediction_type=options.prediction_type,
        zero_terminal_snr=options.zero_terminal_snr,
        vae=options.vae,
    )
    photos = find_photos(config.subject.photos)
    findings = [*examine_identifier(config.subject, tokenizer), *examine_settings(config, len(photos))]
    if not quick:
        findings = [*examine_photos(photos, base_config), *findings, *examine_memory(config, base_config)]
    return findings


def examine_photos(photos, base_config):
    """Count, sizes, what cannot be read, what is there twice, what is too small."""
    found = inspect_photos(photos)
    side = min(base_config.image_size)
    count = len(found.sizes)
    shorts = [min(size) for size in found.sizes.values()]
    if shorts:
        yield Finding(OK, "photos", f"{count} can be read; short sides of {min(shorts)} to {max(shorts)} pixels.")
    for reason in found.unreadable.values():
        yield Finding(MISTAKE, "photos", reason)
    for path in found.smaller_than(side):
        text = f"{path.name} is smaller than the {side} pixels of the base, and would be blown up: take a larger one."
        yield Finding(WARNING, "photos", text)
    for one, two in found.duplicates:
        yield Finding(WARNING, "photos", f"{one.name} and {two.name} show the same: it would be learned by heart.")
    if count < 3:
        yield Finding(WARNING, "photos", f"{count} are few: the paper uses 3 to 5, with different backgrounds.")
    if count > 30:
        yield Finding(NOTE, "photos", f"{count} are many: train longer, or take the best 5 to 10.")


def examine_identifier(subject, tokenizer):
    """Is it one token, and a rare one?"""
    share = rarity(tokenizer, subject.identifier)
    better = [word for word in rare_identifiers(tokenizer, 6) if word != subject.identifier]
    hint = f" Better: {', '.join(better[:5])}." if better else ""
    if share is None:
        count = len(tokenizer.pieces(subject.identifier))
        text = f"{subject.identifier!r} falls into {count} tokens, each of which means something.{hint}"
        yield Finding(WARNING, "identifier", text)
    elif share < RARE:
        text = f"{subject.identifier!r} is a frequent word, whose meaning gets in the way.{hint}"
        yield Finding(WARNING, "identifier", text)
    else:
        yield Finding(OK, "identifier", f"{subject.identifier!r} is one rare token.")
    if len(tokenizer.pieces(subject.class_noun)) > 3:
        text = f"{subject.class_noun!r} is unusual: a plain word like 'dog' holds more of what the base knows."
        yield Finding(NOTE, "identifier", text)


def examine_memory(config, base_config):
    """What the run needs beside what the machine has."""
    needed, there = estimate(config, base_config).total, machine_memory()
    text = f"about {needed / 1e9:.1f} GB are needed in training; this machine has {there / 1e9:.1f} GB."
    if needed <= 0.9 * there:
        yield Finding(OK, "memory", text)
    else:
        cures = "lora.rank 4, training.optimizer adafactor, a smaller training.batch_size or base.image_size"
        yield Finding(WARNING, "memory", f"{text} Try {cures}.")


def examine_settings(config, photos):
    """What is likely to overfit or underfit."""
    training, prior = config.training, config.prior
    ratio = prior.ratio if prior.wanted else 0.0
    shown = training.steps * training.batch_size / (1 + ratio) / photos
    text = f"each photo is shown {shown:.0f} times"
    if shown < SHOWN_SELDOM:
        yield Finding(WARNING, "settings", f"{text}, which is seldom: raise training.steps.")
    elif shown > SHOWN_OFTEN:
        yield Finding(WARNING, "settings", f"{text}, which is often: lower training.steps, or look at samples early.")
    else:
        yield Finding(OK, "settings", f"{text}.")
    if not prior.wanted:
        text = "without class images every picture of the class will turn into the subject: set prior.loss_weight 1."
        yield Finding(WARNING, "settings", text)
    elif prior.folder is None and prior.count < 10 * photos:
        text = f"{prior.count} class images would be learned by heart themselves: 50 times the photos is usual."
        yield Finding(NOTE, "settings", text)
    if config.base.dtype in ("mixed_float16", "float16") and training.learning_rate > 1e-3:
        yield Finding(WARNING, "settings", "in float16 such a learning rate often ends in NaN: use bfloat16.")


def report(config):
    """The findings of `diagnose` and what the run is, as text.

    Returns:
        `(text, whether there is a mistake)`.
    """
    findings = diagnose(config)
    lines = [str(finding) for finding in findings]
    return "\n".join(lines), any(finding.level == MISTAKE for finding in findings)
