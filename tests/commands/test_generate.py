"""`python -m keras_booth.generate`."""

import zipfile

import keras
import numpy as np
import pytest
from PIL import Image

from keras_booth import generate
from keras_booth.dreambooth import DreamBooth, LoraConfig
from tests.helpers.commands import call, files

PROMPT = "a photo of sks dog in the snow"
NAME = "a-photo-of-sks-dog-in-the-snow-seed0"
STEPS = "steps2"  # not the model's own
QUICK = ["--steps", "2", "--batch-size", "2"]


@pytest.fixture(scope="session")
def drawn(model, tmp_path_factory):
    """`python -m keras_booth.generate`, done once."""
    folder = tmp_path_factory.mktemp("drawn")
    return call(folder, "generate", model, PROMPT, "--count", "3", "--output", "out/new", *QUICK)


class TestPictures:
    def test_pictures_and_a_sheet(self, drawn):
        assert drawn.code == 0, drawn.err
        names = [*(f"{NAME}-{index:02d}-{STEPS}.png" for index in range(3)), f"{NAME}-{STEPS}-grid.png"]
        assert files(drawn.folder / "out" / "new") == names
        assert drawn.out.splitlines() == [f"out/new/{name}" for name in names]
        pictures = [np.asarray(Image.open(drawn.folder / "out" / "new" / name)) for name in names]
        assert [picture.shape for picture in pictures[:3]] == [(128, 128, 3)] * 3
        assert pictures[3].shape[1] > 3 * 128
        assert not np.array_equal(pictures[0], pictures[1])

    def test_shows_progress_and_nothing_else(self, drawn):
        lines = [line.strip() for line in drawn.err.replace("\r", "\n").splitlines() if line.strip()]
        assert {line.partition(":")[0] for line in lines} == {"pictures"}
        assert "3/3" in lines[-1]

    def test_each_picture_says_how_it_was_made(self, drawn):
        text = Image.open(drawn.folder / "out" / "new" / f"{NAME}-02-{STEPS}.png").text
        assert {key: text[key] for key in ("prompt", "seed", "index", "steps")} == {
            "prompt": PROMPT,
            "seed": "0",
            "index": "2",
            "steps": "2",
        }
        assert text["Software"].startswith("keras_booth")
        # As AUTOMATIC1111 writes it.
        lines = text["parameters"].split("\n")
        assert lines[0] == PROMPT
        settings = (
            "Steps: 2, Sampler: DPM++ 2M Karras, Schedule min sigma: 2.607, Schedule rho: 3, CFG scale: 3, Seed: 0, "
            "Size: 128x128, Model: dog, Index: 2, Version:"
        )
        assert lines[1].startswith(settings) and len(lines) == 2

    def test_same_seed_same_pictures(self, drawn, model, tmp_path):
        """In another process, in another number."""
        arguments = [model, PROMPT, "--count", "2", "--seed", "0", "--output", tmp_path, *QUICK]
        assert generate.main([str(argument) for argument in arguments]) == 0
        for index in range(2):
            name = f"{NAME}-{index:02d}-{STEPS}.png"
            one, two = (np.asarray(Image.open(folder / name)) for folder in (drawn.folder / "out" / "new", tmp_path))
            np.testing.assert_array_equal(one, two)

    def test_as_the_sheet_of_the_run_shows_it(self, trained, drawn):
        """A row of samples is what `generate` draws with the run's seed."""
        picture = Image.open(drawn.folder / "out" / "new" / f"{NAME}-01-{STEPS}.png")
        shown = np.asarray(picture.resize((256, 256), Image.Resampling.LANCZOS))
        sheet = np.asarray(Image.open(trained.folder / "run" / "samples" / "step-0002.png"))
        left = 16 + 256 + 6
        tile = sheet[-(16 + 12 + 256) : -(16 + 12), left : left + 256]
        np.testing.assert_array_equal(tile, shown)


class TestManyPictures:
    """In one process: what the flags mean."""

    def draw(self, folder, *arguments):
        flags = [str(argument) for argument in (*arguments, "--output", folder, "--batch-size", "2")]
        assert generate.main(flags) == 0
        return {path.name: np.asarray(Image.open(path)) for path in sorted(folder.iterdir())}

    def test_prompts_of_a_file(self, model, tmp_path, capsys):
        (tmp_path / "prompts.txt").write_text("a red vase\n\n  a photo of a dog \n")
        drawn = self.draw(
            tmp_path / "out", model, PROMPT, "--prompt-file", tmp_path / "prompts.txt", "--steps", "2", "--count", "2"
        )
        stems = {name[: name.index("seed0") + 5] for name in drawn}
        assert stems == {NAME, "a-red-vase-seed0", "a-photo-of-a-dog-seed0"}
        assert len(drawn) == 9 and sum(name.endswith("-grid.png") for name in drawn) == 3

    @pytest.mark.large  # compiles loops of its own; part of CI
    def test_seeds(self, model, drawn, tmp_path):
        found = self.draw(tmp_path / "out", model, PROMPT, "--seed", "5", "0", "--steps", "2")
        assert sorted(found)[:2] == [f"{NAME[:-1]}{seed}-00-{STEPS}.png" for seed in (0, 5)]
        assert len(found) == 3 and sorted(found)[2].endswith("-grid.png")
        first = np.asarray(Image.open(drawn.folder / "out" / "new" / f"{NAME}-00-{STEPS}.png"))
        assert np.abs(found[f"{NAME}-00-{STEPS}.png"].astype("int") - first).max() <= 1

    @pytest.mark.large  # compiles loops of its own; part of CI
    def test_matrix(self, model, drawn, tmp_path):
        """Steps downwards, guidance scales to the right."""
        found = self.draw(tmp_path / "out", model, PROMPT, "--steps", "1", "2", "--guidance-scale", "1", "3")
        cells = [f"{NAME}-00-steps{steps}-scale{scale}.png" for steps in (1, 2) for scale in (1, 3)]
        matrix = next(name for name in found if name.endswith("-matrix.png"))
        assert sorted(found) == sorted([*cells, matrix])
        sheet = found[matrix]
        assert sheet.shape[0] > 2 * 192 and sheet.shape[1] > 2 * 192
        text = Image.open(tmp_path / "out" / cells[3]).text
        expected = {"steps": "2", "guidance_scale": "3.0", "base": "tiny_world"}
        assert {name: text[name] for name in expected} == expected
        alone = np.asarray(Image.open(drawn.folder / "out" / "new" / f"{NAME}-00-{STEPS}.png")).astype("int")
        assert np.abs(alone - found[cells[3]]).max() <= 1

    def test_merged_tokens(self, model, drawn, tmp_path):
        ((name, found),) = self.draw(tmp_path, model, PROMPT, "--steps", "2", "--merge-tokens", "0.5").items()
        plain = np.asarray(Image.open(drawn.folder / "out" / "new" / f"{NAME}-00-{STEPS}.png"))
        assert not np.array_equal(found, plain)
        assert Image.open(tmp_path / name).text["merged_tokens"] == "0.5"

    @pytest.mark.large  # compiles a loop of its own; part of CI
    def test_in_half_precision(self, model, drawn, tmp_path):
        """Nearly the same picture, which says it."""
        ((name, found),) = self.draw(tmp_path, model, PROMPT, "--steps", "2", "--dtype", "bfloat16").items()
        plain = np.asarray(Image.open(drawn.folder / "out" / "new" / f"{NAME}-00-{STEPS}.png"))
        difference = np.abs(found.astype("int") - plain)
        assert 0 < difference.mean() < 10
        assert name.startswith(f"{NAME}-00-{STEPS}-") and Image.open(tmp_path / name).text["dtype"] == "bfloat16"

    @pytest.mark.large
    def test_over_a_picture(self, model, workplace, tmp_path):
        flags = (model, PROMPT, "--image", "photos/0.png", "--steps", "4")
        self.draw(tmp_path / "out", *flags, "--strength", "0.25")
        found = self.draw(tmp_path / "out", *flags, "--strength", "1")
        assert len(found) == 2 and not np.array_equal(*found.values())
        strengths = {Image.open(tmp_path / "out" / name).text["strength"] for name in found}
        assert strengths == {"0.25", "1.0"}

    @pytest.mark.large  # compiles loops of its own; part of CI
    def test_a_base_with_lora(self, tmp_path):
        """A preset and a LoRA file make the pictures of the model they came from."""
        booth = DreamBooth.from_preset("tiny_world", lora=LoraConfig(rank=2))
        rng = np.random.default_rng(0)
        for layer in booth.adapters.layers.values():
            layer.lora_kernel_b.assign(0.1 * rng.standard_normal(layer.lora_kernel_b.shape))
        booth.save_lora(tmp_path / "lora.safetensors")
        flags = ("tiny_world", PROMPT, "--steps", "2", "--lora", tmp_path / "lora.safetensors")
        (ours,) = (picture.astype("int") for picture in self.draw(tmp_path / "one", *flags).values())
        expected = booth.generate(PROMPT, steps=2)[0].astype("int")
        assert np.abs(ours - expected).max() <= 1
        (none,) = self.draw(tmp_path / "none", *flags, "--lora-scale", "0").values()
        assert np.abs(none.astype("int") - expected).max() > 1

    def test_what_changes_nothing_is_said(self, model, tmp_path, caplog):
        flags = ("--steps", "2", "--guidance_scale", "1", "--negative-prompt", "a cat", "--strength", "0.5")
        self.draw(tmp_path / "out", model, PROMPT, *flags)
        assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
            "--negative-prompt has no effect",
            "--strength has no effect",
        ]

    def test_what_the_base_does_not_know_is_said(self, tmp_path, caplog):
        prompts = ["a photo of a hedgehog", "Two dogs on the beach", "a photo of a doghouse", "a photo of a TEAPOT"]
        self.draw(tmp_path / "out", "tiny_world", *prompts, "--steps", "1")
        drawn = "tiny_world draws dog, cat, rabbit, duck, turtle, teapot, backpack, vase, car, boot."
        assert [record.getMessage() for record in caplog.records] == [
            f"{prompt!r} names nothing that tiny_world knows: {drawn}" for prompt in prompts[::2]
        ]


class TestBadInput:
    @pytest.mark.parametrize(
        "arguments, sentence",
        [
            (["--count", "0"], "count must be >= 1. Received: count=0"),
            (["--count", "many"], "argument --count: invalid int value: 'many'"),
            (["--seed", "-1"], "seed must be >= 0. Received: seed=-1"),
            (["--seed", "1", "2", "--count", "3"], "count must be the number of seeds. Received: count=3"),
            (["--sampler", "plms"], "`sampler` must be one of"),
            (["--spacing", "sideways"], "`spacing` must be one of"),
            (["--sampler", "dpmpp_2m", "--eta", "1"], "'dpmpp_2m' replaces no noise"),
            (["--strength", "0"], "strength must be in (0, 1]. Received: strength=0.0"),
            (["--guidance-rescale", "2"], "guidance_rescale must be in [0, 1]"),
            (["--merge-tokens", "0.9"], "`ratio` must be in [0, 0.75)"),
            (["--dtype", "fp16"], "argument --dtype: invalid choice: 'fp16'"),
            (
                ["--prompt-file", "none.txt"],
                "prompt_file cannot be read (No such file or directory). Received: prompt_file=none.txt",
            ),
            (["--steps", "0"], "steps must be >= 1. Received: steps=0"),
            (["--guidance-scale", "-1"], "guidance_scale must be >= 0. Received: guidance_scale=-1.0"),
            (["--batch-size", "0"], "batch_size must be >= 1"),
            (["--output", "photos/0.png"], "output must be a folder, but photos/0.png is a file"),
            (["--colour", "red"], "unrecognized arguments: --colour red"),
        ],
    )
    def test_flags(self, refuses, model, arguments, sentence):
        assert refuses(generate.main, [model, PROMPT, *arguments]).startswith(sentence)

    def test_a_fault_of_ours_is_not_the_users(self, workplace, capsys, monkeypatch):
        def fail(*args, **kwargs):
            raise ValueError("a fault of ours")

        monkeypatch.setattr(DreamBooth, "draw", fail)
        assert generate.main(["tiny_world", PROMPT]) == 1
        said = capsys.readouterr().err
        assert "Traceback" in said and "ValueError: a fault of ours" in said

    @pytest.mark.parametrize("flag", ["--image", "--lora"])
    def test_no_file(self, refuses, model, flag):
        assert "none.safetensors" in refuses(generate.main, [model, PROMPT, flag, "none.safetensors"])

    @pytest.mark.parametrize("prompt", ["", "  "])
    def test_empty_prompt(self, refuses, model, prompt):
        assert refuses(generate.main, [model, prompt]).startswith("prompt must be a text. Received: prompt=")

    def test_no_prompt(self, refuses, model):
        assert refuses(generate.main, [model]).startswith("prompt must be a text, on the command line or")

    @pytest.mark.parametrize("name", ["none.keras", "photos", "photos/0.png"])
    def test_no_model(self, refuses, name):
        assert name in refuses(generate.main, [name, PROMPT])

    @pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
    def test_truncated(self, refuses, model, workplace, share):
        whole = model.read_bytes()
        (workplace / "cut.keras").write_bytes(whole[: int(share * len(whole))])
        assert refuses(generate.main, ["cut.keras", PROMPT]).startswith("The file is damaged or truncated")

    def test_damaged_inside(self, refuses, model, workplace):
        content = bytearray(model.read_bytes())
        content[len(content) // 2] ^= 0xFF
        (workplace / "bent.keras").write_bytes(content)
        assert refuses(generate.main, ["bent.keras", PROMPT]).startswith("The file is damaged in ")

    def test_not_ours(self, refuses, workplace):
        keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save("other.keras")
        assert "not a DreamBooth" in refuses(generate.main, ["other.keras", PROMPT])

    def test_some_zip(self, refuses, workplace):
        with zipfile.ZipFile("some.keras", "w") as archive:
            archive.writestr("readme.txt", "hello")
        assert "some.keras" in refuses(generate.main, ["some.keras", PROMPT])

    def test_as_a_user_calls_it(self, workplace):
        before = files(workplace)
        done = call(workplace, "generate", "none.keras", PROMPT)
        assert done.code == 2
        assert done.err.count("\n") == 1
        assert "none.keras" in done.err
        assert files(workplace) == before
