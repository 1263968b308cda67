"""Texts that look like something else to YAML stay texts."""

import pytest

from keras_booth.workflow.config import (
    BaseOptions,
    OutputOptions,
    PriorOptions,
    RunConfig,
    SamplingOptions,
    SubjectOptions,
)
from keras_booth.workflow.parsing import (
    parse_config,
    read_config,
    to_yaml,
)

REQUIRED = ["--subject.photos", "photos", "--subject.class_noun", "dog"]


# What YAML, or jsonargparse, takes for something else than text.
ODD = [
    *(
        "1e-4",
        "3e8",
        "1e",
        "1.",
        ".5",
        "+1e5",
        "-1",
        "1e3_0",
        "1_000",
        "0x10",
        "0o17",
        "017",
        "0b1",
        ".inf",
        ".nan",
        "nan",
    ),
    *("yes", "no", "on", "off", "y", "true", "null", "Null", "2024-01-01", "2024-13-45", "12:30", "1:30:15", "=", "<<"),
    *("- a", "# a", "a # b", "a: b", "[a]", "{a: b}", "'a'", '"a"', "*a", "&a", "!a", "%a", "@a", "`a`", "?", "|", ">"),
    *(
        "...",
        "---",
        "a\nb",
        "a\tb",
        " a ",
        "--x",
        "$HOME",
        "${x}",
        "Hündchen",
        "🐶",
        "\u2028a",
        "\ufeffa",
        "\x07a",
        "\\",
    ),
]


@pytest.mark.floor
class TestTexts:
    @pytest.mark.parametrize("text", ODD)
    def test_come_back_as_they_went(self, tmp_path, text):
        """Each text field, also those that may be null."""
        fields = dict.fromkeys(("photos", "class_noun", "instance_prompt", "class_prompt", "class_images"), text)
        config = RunConfig(
            subject=SubjectOptions(**fields, identifier=f"{text} x"),
            more_subjects=(SubjectOptions(**(fields | {"class_noun": "cat"}), identifier=text),),
            base=BaseOptions(preset=text, vocabulary=text),
            prior=PriorOptions(folder=text),
            sampling=SamplingOptions(prompts=(text, f"{text}{text}")),
            output=OutputOptions(folder=text),
        )
        (tmp_path / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
        assert read_config(tmp_path / "config.yaml") == config

    @pytest.mark.parametrize("text", ["1e-4", "yes", "# a dog", "Null"])
    def test_as_flags(self, text):
        config = parse_config([*REQUIRED, "--subject.instance_prompt", text, f"--output.folder={text}"])
        assert (config.subject.instance_prompt, config.output.folder) == (text, text)

    def test_null_is_null(self, tmp_path):
        (tmp_path / "config.yaml").write_text("subject: {instance_prompt: 'null', class_prompt: null}\n")
        flags = [*REQUIRED, "--config", str(tmp_path / "config.yaml")]
        subject = parse_config(flags).subject
        assert (subject.instance_prompt, subject.class_prompt) == ("null", None)
        assert parse_config([*flags, "--subject.instance_prompt", "null"]).subject.instance_prompt is None
