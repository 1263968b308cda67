"""What is odd about a subject: its photographs, captions, prompts and names."""

import re

from keras_booth.bases import known_classes, rare_identifiers, rarity
from keras_booth.tools.wording import names, plural
from keras_booth.workflow.doctor.findings import MISTAKE, NOTE, OK, WARNING, Finding

RARE = 0.6


def examine_photos(found, base_config):
    """Count, sizes, what cannot be read, what is there twice, what is too small.

    Args:
        found: `SubjectPhotos`.
        base_config: `BaseConfig`.
    """
    inspection, side = found.inspection, min(base_config.image_size)
    count = len(inspection.sizes)
    shorts = [min(size) for size in inspection.sizes.values()]
    if shorts:
        yield Finding(OK, "photos", f"{count} can be read; short sides of {min(shorts)} to {max(shorts)} pixels.")
    for reason in found.mistakes:
        yield Finding(MISTAKE, "photos", reason)
    small = inspection.smaller_than(side)
    if small:
        text = f"{names(small)} {plural(small, 'is', 'are')} smaller than the {side} pixels of the base, and would be"
        yield Finding(WARNING, "photos", f"{text} blown up: take larger ones.")
    for group in groups(inspection.duplicates):
        same = names(group) if len(group) > 2 else f"{group[0].name} and {group[1].name}"
        yield Finding(WARNING, "photos", f"{same} show the same: it would be learned by heart.")
    if count < 3:
        yield Finding(WARNING, "photos", f"{count} are few: the paper uses 3 to 5, with different backgrounds.")
    if count > 30:
        yield Finding(NOTE, "photos", f"{count} are many: train longer, or take the best 5 to 10.")


def groups(pairs):
    """list of lists of what hangs together by pairs: the frames of a film make thousands of pairs."""
    first = {}
    for one, two in pairs:
        first.setdefault(two, first.setdefault(one, one))
    return [[path for path in first if first[path] == leader] for leader in dict.fromkeys(first.values())]


def examine_captions(found):
    """Which captions are used, which are not, and which photographs have none."""
    subject = found.subject
    if found.unused:
        text = f"{names(found.unused)} {plural(found.unused, 'is', 'are')} there, but not used: captions is false, and"
        yield Finding(WARNING, "captions", f"{text} all photographs get {subject.instance_prompt!r}.")
    if found.captions is None:
        return
    count = len(found.captions.texts)
    if count:
        yield Finding(OK, "captions", f"{count} of {len(found.paths)} photographs have one.")
    for complaint in found.captions.complaints(subject.instance_prompt):
        yield Finding(WARNING, "captions", complaint)


def examine_identifier(subject, tokenizer, base_config):
    """Is it one token, and a rare one? Is the class one that the base knows?"""
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
    known = known_classes(base_config)
    if known and not any(holds(subject.class_noun, noun) for noun in known):
        text = f"{subject.class_noun!r} is nothing that {base_config.name} knows: it draws {', '.join(known)}."
        yield Finding(WARNING, "identifier", text)


def examine_names(found):
    """Is the identifier where it belongs, and only there?"""
    subject, texts = found.subject, found.texts
    word = subject.identifier.strip()
    nameless = [path for path, text in zip(found.paths, texts, strict=True) if not holds(text, word)]
    where = "caption" if found.captions and found.captions.texts else "prompt"
    if len(nameless) == len(texts):
        text = f"{word!r} is in no {where} of its photographs ({texts[0]!r}): the subject would get no name."
        yield Finding(WARNING, "identifier", text)
    elif nameless:
        text = f"{word!r} is not in the captions of {names(nameless)}: what they show would be learned without a name."
        yield Finding(WARNING, "identifier", text)
    if holds(subject.class_prompt, word):
        text = f"{word!r} is in the class prompt {subject.class_prompt!r}, which is to show what the subject is not."
        yield Finding(WARNING, "identifier", text)


def examine_texts(texts, tokenizer):
    """Which texts are longer than what the text encoder reads.

    Args:
        texts: sequence of str.
        tokenizer: `Tokenizer`.
    """
    for text in dict.fromkeys(texts):
        complaint = tokenizer.complaint(text)
        if complaint:
            yield Finding(WARNING, "prompts", complaint)


def unknown_to(base_config, prompts, class_noun):
    """Which prompts name nothing that a base knows.

    Args:
        base_config: `BaseConfig`.
        prompts: list of str.
        class_noun: str. What it was trained on knows the model, too.

    Returns:
        list of str, one sentence each.
    """
    known = known_classes(base_config)
    if not known:
        return []
    nouns = [form for noun in (*known, class_noun) for form in (noun, f"{noun}s", f"{noun}es")]
    strange = [prompt for prompt in prompts if not any(holds(prompt, noun) for noun in nouns)]
    drawn = f"{base_config.name} draws {', '.join(known)}"
    return [f"{prompt!r} names nothing that {base_config.name} knows: {drawn}." for prompt in strange]


def holds(text, word):
    """Whether a text has a word in it, as a word of its own."""
    pattern = r"\s+".join(map(re.escape, word.split()))
    return re.search(rf"(?<![^\W_]){pattern}(?![^\W_])", text, re.IGNORECASE) is not None
