"""Flags and YAML files become a `RunConfig`, or a sentence."""

import subprocess
import sys

import pytest

from keras_booth.tools.process.command import InputError
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
# Ten lists of ten of the one before, eleven times over.
LAUGHS = b"".join(b"a%d: &a%d [%s]\n" % (n, n, b",".join([b"*a%d" % (n - 1) if n else b"x"] * 10)) for n in range(12))


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

    @pytest.mark.parametrize("name", ["quickstart", "dreambooth"])
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
            (["--config", "/dev/zero"], "config cannot be read (it is a pipe, a socket or a device, and no file). "),
            (["--config", "a\0b"], "config must be a path without NUL characters. Received: config='a\\x00b'"),
            (
                ["--output.folder", "x" * 300],
                "output.folder must be a path of 4096 bytes at most, with names of 255 at",
            ),
            (["--subject.instance_prompt", "   "], "subject.instance_prompt must be a text. Received: "),
            (
                ["--subject.instance_prompt", "x" * 100_001],
                "subject.instance_prompt must have 100000 characters at most",
            ),
            (["--base.image_size", "[64, 8192]"], "base.image_size must be at most 4096. Received: "),
            (["--training.steps="], "training.steps must be a whole number. Received: training.steps="),
            (["--training.learning_rate", "9" * 400], "training.learning_rate must be a number below 2**1000. Receiv"),
            (
                ["--sampling.prompts", "[" * 5000],
                "sampling.prompts cannot be read: more than 16 lists or groups in one",
            ),
            ([""], "There is no field ''; --help lists all. Received: ''"),
            (
                ["--training", "5"],
                "training must be a group of fields, or its fields --training.NAME. Received: training=",
            ),
            (["--more_subjects", "5"], "more_subjects must be a list of groups of fields like those of subject. "),
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
            (b"training: &x {steps: *x}\n", "The config cannot be read: a group that holds itself, line 1. Received: "),
            (b"training: *x\n", "The config cannot be read: "),
            (b"training: !!python/name:os.system\n", "The config cannot be read: "),
            (b"training: {}\n---\nbase: {}\n", "The config cannot be read: "),
            (b"? [a]\n: 2\n", "The config cannot be read: "),
            (b"1: 2\n", "The config cannot be read: a name must be text, line 1"),
            (b"prior: {5: 2}\n", "The config cannot be read: a name must be text, line 1"),
            (b"prior: {count: 1}\nprior: {count: 2}\n", "The config cannot be read: prior stands there twice, line 2"),
            (b"training: " + b"[" * 3000, "The config cannot be read: more than 16 lists or groups in one another"),
            (LAUGHS, "The config cannot be read: more than 50000 values, with what is repeated by aliases. Received: "),
            (b"#" * 2**18 + b"\n", "config cannot be read (it is larger than 256 KiB). Received: config="),
            (b"prior: {count: " + b"9" * 5000, "The config cannot be read: "),
            (
                b"prior: {ratio: " + b"9" * 1000 + b"}",
                "prior.ratio must be a number below 2**1000. Received: prior.ratio=",
            ),
            (b"prior: {ratio: null}", "prior.ratio must be a number. Received: prior.ratio=None"),
            (b"prior: {ratio: .nan}", "prior.ratio must be a finite number. Received: prior.ratio=nan"),
            (b"prior: {count: 1000000000}", "prior.count must be at most 1000000. Received: prior.count=1000000000"),
            (b"training: {steps: ''}", "training.steps must be a whole number. Received: training.steps="),
            (b"subject: {identifier: ~}", "subject.identifier must be text. Received: subject.identifier=None"),
            (
                b"subject: {identifier: !!binary aGk=}",
                "subject.identifier must be text. Received: subject.identifier=b",
            ),
            (b'subject: {identifier: "a\\0b"}', "subject.identifier must be text without NUL characters. Received: "),
            (b"more_subjects: 3\n", "more_subjects must be a list of groups of fields like those of subject. "),
            (b"more_subjects: [5]\n", "more_subjects must be a list of groups of fields like those of subject. "),
            (b"more_subjects: null\n", "more_subjects must be a list of groups of fields like those of subject. "),
            (b"resume: run\n", "resume is no field of a config, but the flag --resume. Received: resume='run'"),
            (
                b"config: /dev/zero\n",
                "config is no field of a config, but the flag --config. Received: config='/dev/zero'",
            ),
            (b"help: true\n", "help is no field of a config, but the flag --help. Received: help=True"),
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

    @pytest.mark.parametrize("flags", [["--resume", ""], ["--resume="], ["--resume", " "]])
    def test_resume_needs_a_folder(self, flags):
        with pytest.raises(InputError, match="--resume must be the folder of a run. Received: --resume='"):
            parse_train(flags)

    def test_aliases_and_merges_are_yaml(self, tmp_path):
        text = "subject: &dog {photos: a, class_noun: dog}\nmore_subjects: [{<<: *dog, class_noun: cat}]\n"
        (tmp_path / "config.yaml").write_text(text)
        config = read_config(tmp_path / "config.yaml")
        assert config.more_subjects[0].photos == "a" and config.more_subjects[0].class_noun == "cat"

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
