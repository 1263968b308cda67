"""What can go wrong with a run, said before anything heavy is done."""

import dataclasses

from keras_booth.bases import describe_base
from keras_booth.tools.process.machine import machine_memory
from keras_booth.tools.wording import names
from keras_booth.workflow.doctor.findings import MISTAKE, NOTE, OK, WARNING, Finding
from keras_booth.workflow.doctor.ineffective import without_effect
from keras_booth.workflow.doctor.photographs import inspect_subjects
from keras_booth.workflow.doctor.subject_findings import (
    examine_captions,
    examine_identifier,
    examine_names,
    examine_photos,
    examine_texts,
)
from keras_booth.workflow.memory import cures, estimate
from keras_booth.workflow.subjects import fill_prompts

# Photographs that were shown less often than this are rarely learned; more often, usually by heart (section 3 of the
# paper: 1,000 steps for 3 to 5 photographs; diffusers: 400 to 800).
SHOWN_SELDOM, SHOWN_OFTEN = 60, 400


def diagnose(config, photographs=None, quick=False):
    """Examine a run.

    Args:
        config: `RunConfig` as the user gave it: what is filled in later counts as not given.
        photographs: what `inspect_subjects` found; `None` to have them opened here.
        quick: bool. Leave out what takes more than a moment: the memory of large bases.

    Returns:
        list of `Finding`.

    Raises:
        InputError: if the base or the folder of photographs cannot be had at all.
    """
    given, config = config, fill_prompts(config)
    base_config, tokenizer = describe_base(**dataclasses.asdict(config.base))
    photographs = photographs or inspect_subjects(config)
    findings = [
        dataclasses.replace(finding, text=whose(found, photographs) + finding.text)
        for found in photographs
        for finding in examine_subject(found, config, base_config, tokenizer)
    ]
    findings += [*examine_between(photographs), *examine_texts(all_texts(config, photographs), tokenizer)]
    findings += examine_settings(config)
    findings += [Finding(WARNING, "settings", text) for text in without_effect(given)]
    if not quick:
        findings += examine_memory(config, base_config)
    return findings


def examine_subject(found, config, base_config, tokenizer):
    """All findings on one subject."""
    yield from examine_photos(found, base_config)
    yield from examine_captions(found)
    yield from examine_identifier(found.subject, tokenizer, base_config)
    yield from examine_names(found)
    yield from examine_times(config, found)


def whose(found, photographs):
    """What a finding on a subject begins with: which one it is, where there are several."""
    return f"{found.name}: " if len(photographs) > 1 else ""


def examine_between(photographs):
    """Which photographs are there for two subjects."""
    for place, one in enumerate(photographs):
        for two in photographs[place + 1 :]:
            shared = list(dict.fromkeys(mine for mine, _ in one.inspection.shared(two.inspection)))
            if shared:
                text = f"{one.name} and {two.name} have photographs that show the same ({names(shared)}): the two"
                yield Finding(WARNING, "photos", f"{text} would be mixed up.")


def all_texts(config, photographs):
    """list of str: everything that the text encoder will read."""
    texts = [text for found in photographs for text in found.texts]
    if config.prior.wanted:
        texts += [text for subject in config.subjects for text in config.prior.prompts(subject.class_prompt)]
    return texts + list(config.sampling.prompts or ())


def examine_memory(config, base_config):
    """What the run needs beside what the machine has."""
    needed, (there, whose) = estimate(config, base_config).total, machine_memory()
    text = f"about {needed / 1e9:.1f} GB are needed in training; {whose} has {there / 1e9:.1f} GB."
    if needed <= 0.9 * there:
        yield Finding(OK, "memory", text)
    else:
        yield Finding(WARNING, "memory", f"{text} What takes less: {', '.join(cures(config)[:4])}.")


def examine_times(config, found):
    """How often each photograph of a subject is shown, and each of its class images: subjects take turns."""
    training, prior = config.training, config.prior
    subjects, photos = len(config.subjects), len(found.paths)
    ratio = prior.ratio if prior.wanted else 0.0
    shown = training.steps * training.batch_size / (1 + ratio) / subjects / photos
    text = f"each photo is shown {shown:.0f} times"
    if shown < SHOWN_SELDOM:
        yield Finding(WARNING, "settings", f"{text}, which is seldom: raise training.steps.")
    elif shown > SHOWN_OFTEN:
        yield Finding(WARNING, "settings", f"{text}, which is often: lower training.steps, or look at samples early.")
    else:
        yield Finding(OK, "settings", f"{text}.")
    drawn = prior.wanted and prior.folder is None and found.subject.class_images is None
    if drawn and prior.count < 10 * photos:
        text = f"{prior.count} class images would be learned by heart themselves: 50 times the photos is usual."
        yield Finding(NOTE, "settings", text)


def examine_settings(config):
    """What is likely to go wrong in training."""
    training, prior = config.training, config.prior
    if not prior.wanted:
        text = "without class images every picture of the class will turn into the subject: set prior.loss_weight 1."
        yield Finding(WARNING, "settings", text)
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
