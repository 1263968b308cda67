import dataclasses
import subprocess
import sys

import pytest

from keras_booth.tools.command import InputError
from keras_booth.workflow.config import (
    BaseOptions,
    LoraOptions,
    OutputOptions,
    PriorOptions,
    RunConfig,
    SamplingOptions,
    SubjectOptions,
    TrainingOptions,
    sample_prompts,
)
from keras_booth.workflow.parsing import (
    FIELDS,
    describe,
    make_parser,
    parse_config,
    parse_train,
    read_config,
    to_yaml,
)

REQUIRED = ["--subject.photos", "photos", "--subject.class_noun", "dog"]


class TestRunConfig:
    def test_defaults(self):
        config = RunConfig(subject=SubjectOptions(photos="photos", class_noun="dog"))
        assert config.base.preset == "tiny_world"
        assert config.prior.loss_weight == 1.0
        assert config.training.global_clipnorm == 1.0
        assert parse_config(REQUIRED) == config

    def test_replace(self):
        config = parse_config(REQUIRED).replace("training", steps=7)
        assert config.training.steps == 7
        with pytest.raises(ValueError, match="training.steps must be >= 1. Received: training.steps=0"):
            config.replace("training", steps=0)

    def test_frozen(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            parse_config(REQUIRED).training.steps = 3

    @pytest.mark.parametrize(
        "options, fields, message",
        [
            (PriorOptions, {"loss_weight": -1.0}, "prior.loss_weight must be >= 0. Received: prior.loss_weight=-1.0"),
            (PriorOptions, {"loss_weight": float("nan")}, "prior.loss_weight must be >= 0"),
            (PriorOptions, {"count": 0}, "prior.count must be >= 1"),
            (PriorOptions, {"ratio": -0.5}, "prior.ratio must be >= 0"),
            (PriorOptions, {"folder": ""}, "prior.folder must be a folder or null"),
            (PriorOptions, {"guidance_scale": -2.0}, "prior.guidance_scale must be >= 0"),
            (TrainingOptions, {"steps": 0}, "training.steps must be >= 1"),
            (TrainingOptions, {"batch_size": 0}, "training.batch_size must be >= 1"),
            (TrainingOptions, {"learning_rate": 0.0}, "training.learning_rate must be > 0"),
            (TrainingOptions, {"global_clipnorm": 0.0}, "training.global_clipnorm must be > 0"),
            (TrainingOptions, {"seed": -1}, "training.seed must be >= 0"),
            (SamplingOptions, {"count": 0}, "sampling.count must be >= 1"),
            (SamplingOptions, {"prompts": ()}, "sampling.prompts must be a list of prompts, none empty"),
            (SamplingOptions, {"prompts": ("a", " ")}, "sampling.prompts must be a list of prompts, none empty"),
            (SamplingOptions, {"steps": 0}, "sampling.steps must be >= 1"),
            (OutputOptions, {"folder": " "}, "output.folder must be a folder"),
        ],
    )
    def test_refuses(self, options, fields, message):
        with pytest.raises(ValueError) as error:
            options(**fields)
        assert str(error.value).startswith(message)
        assert f"Received: {message.split()[0]}=" in str(error.value)

    @pytest.mark.parametrize("identifier", ["dog", " Dog "])
    def test_identifier_must_differ_from_class(self, identifier):
        with pytest.raises(ValueError, match="subject.identifier must differ from subject.class_noun"):
            SubjectOptions(photos="photos", class_noun="dog", identifier=identifier)

    @pytest.mark.parametrize("fields", [{"loss_weight": 0.0}, {"ratio": 0.0}])
    def test_prior_can_be_left_out(self, fields):
        assert PriorOptions().wanted
        assert not PriorOptions(**fields).wanted

    def test_default_prompts_end_with_the_class(self):
        prompts = sample_prompts([("a photo of sks dog", "a photo of a dog")])
        assert prompts[0] == "a photo of sks dog in the snow"
        assert prompts[-1] == "a photo of a dog"


def test_half_precision_is_for_lora():
    base, lora = BaseOptions(dtype="bfloat16"), LoraOptions(rank=4)
    subject = SubjectOptions(photos="photos", class_noun="dog")
    assert RunConfig(subject=subject, base=base, lora=lora).base.dtype == "bfloat16"
    with pytest.raises(ValueError, match="Set lora.rank, or base.dtype mixed_bfloat16"):
        RunConfig(subject=subject, base=base)


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


@pytest.mark.floor
class TestParsing:
    def test_yaml_round_trip(self, tmp_path):
        flags = ["--base.image_size", "[96, 128]", "--sampling.prompts", '["a dog, wet", "ein Hündchen"]']
        config = parse_config([*REQUIRED, *flags, "--training.learning_rate", "1e-4"])
        (tmp_path / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
        assert read_config(tmp_path / "config.yaml") == config
        assert config.base.image_size == (96, 128)
        assert config.sampling.prompts == ("a dog, wet", "ein Hündchen")
        assert config.training.learning_rate == 1e-4

    def test_later_flags_win(self, tmp_path):
        path = tmp_path / "config.yaml"
        path.write_text("subject: {photos: a, class_noun: cat}\ntraining: {steps: 5, learning_rate: 1e-3}\n")
        config = read_config(path, "--training.steps", "6", "--base.weights", "null", "--training.steps", "7")
        assert config.training.steps == 7
        assert config.training.learning_rate == 1e-3  # which plain YAML takes for text
        assert config.base.weights is None
        assert config.subject.class_noun == "cat"

    @pytest.mark.parametrize("name", ["quickstart", "stable_diffusion_1.4"])
    def test_shipped_configs(self, name, pytestconfig):
        read_config(pytestconfig.rootpath / "configs" / f"{name}.yaml")

    def test_every_field_is_documented(self):
        text = " ".join(make_parser().format_help().split())
        for name in FIELDS:
            start = text.index(f"--{name} ", text.index("options:"))
            documented = text[start:].partition(" (")[0]
            assert len(documented.split()) > 3, name

    def test_describes_every_type(self):
        for kind in FIELDS.values():
            assert describe(kind)
        assert describe(FIELDS["base.image_size"]) == "a whole number, a list of 2 whole numbers or null"

    @pytest.mark.parametrize(
        "flags, message",
        [
            (["--training.steps", "many"], "training.steps must be a whole number. Received: training.steps=many"),
            (["--training.steps", "1.5"], "training.steps must be a whole number. Received: training.steps=1.5"),
            (["--training.step", "3"], "There is no field training.step; did you mean training.steps? "),
            (["--colour", "red"], "There is no field colour; --help lists all. Received: colour"),
            (["--training.steps"], "argument --training.steps: expected one argument"),
            (["stray"], "There is no field stray"),
            (
                ["--base.dtype", "half"],
                "base.dtype must be float32, mixed_bfloat16, mixed_float16, bfloat16,",
            ),
            (["--base.image_size", "[1, 2, 3]"], "base.image_size must be a whole number, a list of 2 whole numbers"),
            (["--sampling.prompts", "a dog"], "sampling.prompts must be a list of texts or null. Received: "),
            (["--subject.flip", "maybe"], "subject.flip must be true or false. Received: subject.flip=maybe"),
            (["--prior.loss_weight", "-1"], "prior.loss_weight must be >= 0. Received: prior.loss_weight=-1.0"),
            (
                ["--config", "none.yaml"],
                "config cannot be read (No such file or directory). Received: config=none.yaml",
            ),
            (["--config", "."], "config cannot be read (Is a directory). Received: config=."),
            (["--config=none.yaml"], "config cannot be read (No such file or directory). Received: config=none.yaml"),
            (["--config"], "argument --config: expected one argument"),
            (
                ["--steps", "3"],
                "There is no field steps; did you mean training.steps or prior.steps or sampling.steps?",
            ),
            (["--batch-size", "3"], "There is no field batch_size; did you mean training.batch_size or sampling.batch"),
            (
                ["--learning_rat", "3"],
                "There is no field learning_rat; did you mean training.learning_rate? Received: ",
            ),
            (["--lr", "3"], "There is no field lr; did you mean training.learning_rate? Received: lr"),
            (["--more_subjects", "x"], "more_subjects must be a list of groups of fields like those of subject. "),
            (["--output.folder", "~nobody-here/x"], "output.folder must begin with a home folder that is there; "),
            (["--output.folder", "\udcff"], "Names and texts must be UTF-8; rename the file or folder. Received: "),
        ],
    )
    def test_bad_flags(self, flags, message):
        with pytest.raises(InputError) as error:
            parse_config([*REQUIRED, *flags])
        assert str(error.value).startswith(message)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize(
        "content, message",
        [
            (b"", "The config file must hold groups of fields: "),
            (b"only text", "The config file must hold groups of fields: "),
            (b"training: [1, 2\n", "The config cannot be read: "),
            (b"training: 3\n", "training must be a group of fields. Received: training=3"),
            (b"training: {step: 3}\n", "There is no field training.step; did you mean training.steps? "),
            (b"trainin: {steps: 3}\n", "There is no field trainin.steps; did you mean training.steps? "),
            (b"subject: {class_noun: null}\n", "subject.class_noun must be given"),
            (b"\xff\xfe\x00", "config must be text in UTF-8: save it as such"),
            (b"training: {steps: \x00}\n", "The config cannot be read: "),
            (b"training: &x {steps: *x}\n", "training.steps must be a whole number. Received: training.steps={"),
            (b"training: *x\n", "The config cannot be read: "),
            (b"training: !!python/name:os.system\n", "The config cannot be read: "),
            (b"training: {}\n---\nbase: {}\n", "The config cannot be read: "),
            (b"? [a]\n: 2\n", "The config cannot be read: "),
            (b"1: 2\n", "The config cannot be read: Key must be a string"),
            (b"more_subjects: 3\n", "more_subjects must be a list of groups of fields like those of subject. "),
            (b"resume: run\n", "resume is no field of a config, but the flag --resume. Received: resume=run"),
            (b"config: config.yaml\n", "Config file loop detected"),
        ],
    )
    def test_bad_files(self, tmp_path, content, message):
        path = tmp_path / "config.yaml"
        path.write_bytes(content)
        with pytest.raises(InputError) as error:
            parse_config([*REQUIRED, "--config", str(path)])
        assert str(error.value).startswith(message)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize("flag", ["--training.batch-size", "--training.batch_size"])
    def test_either_sign_between_words(self, flag):
        assert parse_config([*REQUIRED, flag, "3"]).training.batch_size == 3
        assert parse_config([*REQUIRED, f"{flag}=3", "--output.folder=a-b_c"]).training.batch_size == 3

    def test_home(self, tmp_path, monkeypatch):
        """In flags and files, for each path."""
        monkeypatch.setenv("HOME", str(tmp_path))
        text = "subject: {photos: ~/a, class_noun: dog, class_images: ~/b}\nbase: {preset: ~/c, vocabulary: ~/d}\n"
        (tmp_path / "config.yaml").write_text(text + "prior: {folder: ~/e}\noutput: {folder: ~/f}\n")
        config = parse_config(["--config=~/config.yaml", "--more_subjects", "[{photos: ~/g, class_noun: cat}]"])
        assert parse_config(["--config", "~/config.yaml"]).subject == config.subject
        found = [config.subject.photos, config.subject.class_images, config.base.preset, config.base.vocabulary]
        found += [config.prior.folder, config.output.folder, config.more_subjects[0].photos]
        assert found == [str(tmp_path / name) for name in "abcdefg"]

    def test_nothing_given(self):
        with pytest.raises(InputError, match="Say where the photographs are .* --subject.photos FOLDER .*--help"):
            parse_train([])

    def test_missing_fields(self):
        with pytest.raises(InputError, match="subject.photos and subject.class_noun must be given"):
            parse_config([])

    def test_needs_no_backend(self):
        code = (
            "import sys, keras_booth.workflow.parsing as p; print(sorted({'keras', 'tensorflow'} & set(sys.modules)))"
        )
        # The package's own __init__ is of the ground floor; only what is imported here counts.
        shell = "import sys, types; m = types.ModuleType('keras_booth'); m.__path__ = [sys.argv[1]]; "
        shell += "sys.modules['keras_booth'] = m; " + code
        folder = make_parser.__globals__["__file__"].rpartition("/workflow/")[0]
        done = subprocess.run([sys.executable, "-c", shell, folder], capture_output=True, text=True, check=True)
        assert done.stdout == "[]\n"
