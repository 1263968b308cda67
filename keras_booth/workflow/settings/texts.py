"""Texts that look like null, in fields that may be null: as they were written, and not as jsonargparse reads them."""

import types
import typing

from keras_booth.workflow.settings.yaml_text import load_yaml


def keep_texts(values, flags, fields, subjects):
    """Puts back texts that jsonargparse took for null: 'null' in quotes, or a prompt that begins with "#".

    Args:
        values: `jsonargparse.Namespace`; is changed.
        flags: list of str that it was made of.
        fields: dict of types by name of field, `"group.name"`.
        subjects: str. Name of the field that lists further subjects.
    """
    written = written_values(flags, fields, subjects)
    nullable = [name for name, kind in fields.items() if {str, types.NoneType} <= set(typing.get_args(kind))]
    for name in nullable:
        if values[name] is None and isinstance(written.get(name), str):
            values[name] = written[name]
    more = written.get(subjects)
    for place, subject in enumerate(more if isinstance(more, list) else []):
        for name in nullable:
            group, _, name = name.partition(".")
            if group == "subject" and values[subjects][place][name] is None and isinstance(subject.get(name), str):
                values[subjects][place][name] = subject[name]


def written_values(flags, fields, subjects):
    """What flags and the texts of configs say, later ones over earlier ones: dict by name of field."""
    written = {}
    for name, value in named_values(flags):
        if name == "config":
            content = load_yaml(value, "config")
            for group, options in content.items():
                options = options if isinstance(options, dict) else {}
                written |= {f"{group}.{name}": text for name, text in options.items()}
            written[subjects] = content.get(subjects, written.get(subjects))
        elif name == subjects:
            written[subjects] = load_yaml(value, f"--{subjects}")
        elif name in fields:
            written[name] = None if value == "null" else value
    return written


def named_values(flags):
    """`(name, what follows)` of each flag: of `--name=value`, and of `--name value`."""
    for flag, after in zip(flags, [*flags[1:], ""], strict=False):
        name, joined, value = flag.partition("=")
        yield name.removeprefix("--"), value if joined else after
