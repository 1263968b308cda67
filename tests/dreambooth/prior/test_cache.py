"""The cache of class images: whatever happens to it, it ends as if nothing had happened."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from PIL import Image

from keras_booth.bases import Tokenizer
from keras_booth.data import photo_dataset
from keras_booth.diffusion import Sampling
from keras_booth.dreambooth import DreamBooth, LoraConfig
from keras_booth.dreambooth.prior import cache
from keras_booth.dreambooth.prior.drawing import describe
from keras_booth.version import __version__
from tests.helpers.booths import small_booth
from tests.helpers.photographs import write_photos
from tests.helpers.places import ROOT
from tests.helpers.processes import drawing

OPTIONS = {"batch_size": 2, "steps": 1, "progress": False}
COUNT = drawing.COUNT


def contents(folder):
    """The bytes of all files of a set, but for the lock."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "lock"}


def manifest(folder):
    """The lines of a set's manifest."""
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def booth():
    """An untrained one, not to be changed: in a session of its own, so that it draws the bits of a new process."""
    keras.utils.clear_session()
    return small_booth()


@pytest.fixture
def drawn(booth, monkeypatch):
    """The indices of each batch that is drawn in a test."""
    batches, draw = [], booth.draw

    def watched(prompts, keys, settings, **options):
        batches.append([index for _, index in keys])
        return draw(prompts, keys, settings, **options)

    monkeypatch.setattr(booth, "draw", watched)
    return batches


def draw_set(booth, folder, count=COUNT, **options):
    """The folder of a set."""
    return booth.class_images(count, folder=folder, **OPTIONS | options).paths[0].parent


@pytest.fixture(scope="module")
def whole(booth, tmp_path_factory):
    """The files of a set that was drawn at one go."""
    return contents(draw_set(booth, tmp_path_factory.mktemp("whole")))


class TestFiles:
    def test_a_line_an_image(self, booth, tmp_path):
        folder = draw_set(booth, tmp_path)
        lines = manifest(folder)
        assert [line["index"] for line in lines] == list(range(COUNT))
        assert [line["file"] for line in lines] == [f"{index:05d}.png" for index in range(COUNT)]
        assert {(line["seed"], line["prompt"], line["version"]) for line in lines} == {
            (0, "a photo of a dog", __version__)
        }
        for line in lines:
            path = folder / line["file"]
            assert line["picture"] == cache.digest(path.read_bytes())
            assert line["latents"] == cache.digest(path.with_suffix(".npy").read_bytes())

    def test_latents_decode_to_the_pictures(self, booth, tmp_path):
        photos = booth.class_images(2, folder=tmp_path, **OPTIONS)
        latents = np.stack([np.load(path) for path in photos.latents])
        assert latents.shape == (2, 8, 8, 4) and latents.dtype == "float32"
        decoded = (keras.ops.convert_to_numpy(booth.base.decode(latents)) + 1) * 127.5
        assert np.abs(decoded - np.stack([np.asarray(Image.open(path)) for path in photos.paths])).max() <= 1

    def test_a_larger_set_goes_on(self, booth, tmp_path, whole, drawn):
        """Bit for bit, where the batches are the same."""
        draw_set(booth, tmp_path, count=3)
        folder = draw_set(booth, tmp_path)
        assert drawn == [[0, 1], [2, 3], [2, 3], [4, 5]]
        assert contents(folder) == whole
        assert draw_set(booth, tmp_path, count=1) == folder and len(drawn) == 4
        assert contents(folder) == whole

    def test_small_sets_are_small_batches(self, booth, tmp_path, monkeypatch):
        sizes = []

        def draw(prompts, keys, settings, *, batch_size):
            sizes.append((keys, batch_size))
            return np.zeros((1, 16, 16, 3), "uint8"), np.zeros((1, 8, 8, 4), "float32")

        monkeypatch.setattr(booth, "draw", draw)
        draw_set(booth, tmp_path, count=1, batch_size=8)
        assert sizes == [([(0, 0)], 1)]

    def test_progress_counts_the_whole_set(self, booth, tmp_path, capfd):
        draw_set(booth, tmp_path, count=2)
        draw_set(booth, tmp_path, progress=True)
        shown = capfd.readouterr().err
        assert "| 2/5 [" in shown and "| 5/5 [" in shown


class TestNames:
    @pytest.mark.parametrize(
        "prompt", ["一張可愛的狗的照片" * 11, "a photo of " + "x" * 300, "𠮷" * 99, "x" * 5000, "\udcff", "!"]
    )
    def test_fit_on_a_disk(self, tmp_path, prompt):
        """Of 255 bytes, cut between letters; what was cut is told apart by the digest."""
        names = [cache.ClassCache({"prompt": one, "seed": 0}, tmp_path).folder.name for one in (prompt, prompt + "y")]
        assert max(len(name.encode()) for name in names) <= 255 and len({*names}) == 2
        (tmp_path / names[0]).mkdir()

    def test_of_short_prompts_stay(self, tmp_path):
        folder = cache.ClassCache({"prompt": "a photo of a big dog", "seed": 0}, tmp_path).folder
        assert folder.name.rpartition("-")[0] == "a_big_dog"


class TestDamage:
    def damage(self, folder, kind):
        picture, latents, lines = folder / "00002.png", folder / "00002.npy", folder / "manifest.jsonl"
        text = lines.read_text().splitlines(keepends=True)
        if kind == "corrupted PNG":
            picture.write_bytes(picture.read_bytes()[:-30] + bytes(30))
        elif kind == "corrupted latents":
            latents.write_bytes(latents.read_bytes()[:-4] + bytes(4))
        elif kind == "no latents":
            latents.unlink()
        elif kind == "another picture":
            picture.write_bytes((folder / "00000.png").read_bytes())
        elif kind == "missing line":
            lines.write_text("".join(text[:2] + text[3:]))
        elif kind == "broken line":
            lines.write_text("".join(text[:2] + ['{"index": 2, "pict\n'] + text[3:]))
        elif kind == "torn last line":
            lines.write_text("".join(text)[:-40])

    @pytest.mark.parametrize(
        "kind, again",
        [
            ("corrupted PNG", [2, 3]),
            ("corrupted latents", [2, 3]),
            ("no latents", [2, 3]),
            ("another picture", [2, 3]),
            ("missing line", [2, 3]),
            ("broken line", [2, 3]),
            ("torn last line", [4, 5]),
        ],
    )
    def test_is_drawn_again(self, booth, tmp_path, whole, drawn, kind, again):
        folder = draw_set(booth, tmp_path)
        stamp = (folder / "00000.png").stat().st_mtime_ns
        drawn.clear()
        self.damage(folder, kind)
        assert contents(folder) != whole
        draw_set(booth, tmp_path)
        assert drawn == [again]
        assert contents(folder) == whole
        assert (folder / "00000.png").stat().st_mtime_ns == stamp
        draw_set(booth, tmp_path)
        assert drawn == [again]

    def test_no_manifest(self, booth, tmp_path, whole, drawn):
        """As sets of earlier versions are."""
        folder = draw_set(booth, tmp_path)
        (folder / "manifest.jsonl").unlink()
        draw_set(booth, tmp_path)
        assert len(drawn) == 6
        assert contents(folder) == whole

    @pytest.mark.parametrize("writes", range(14))
    def test_cut_off_at_any_write(self, booth, tmp_path, whole, monkeypatch, writes):
        """The description, and for each batch four files and the manifest; the last batch has two files."""
        left = [writes]

        def cut_off(path, content):
            if not left[0]:
                path.with_name(f"{path.name}.part").write_bytes(content[: len(content) // 2])
                raise KeyboardInterrupt
            left[0] -= 1
            write(path, content)

        write = cache.write_whole
        with monkeypatch.context() as patched:
            patched.setattr(cache, "write_whole", cut_off)
            with pytest.raises(KeyboardInterrupt):
                draw_set(booth, tmp_path)
        assert contents(draw_set(booth, tmp_path)) == whole


class TestDescription:
    def test_another_prompt_is_another_set(self, booth, tmp_path, whole):
        dogs = draw_set(booth, tmp_path)
        cats = draw_set(booth, tmp_path, prompt="a photo of a cat")
        assert dogs != cats and dogs.parent == cats.parent
        assert {line["prompt"] for line in manifest(cats)} == {"a photo of a cat"}
        assert contents(dogs) == whole

    def test_samplers(self, booth):
        one, other = (describe(booth, "a dog", booth.draw_settings(1, sampler=name), 0) for name in ("ddim", "euler"))
        assert one != other and one == describe(booth, "a dog", booth.draw_settings(1, sampler="ddim"), 0)

    def test_sets_drawn_before_there_was_another_exponent_are_found(self, booth):
        usual, other = (
            describe(booth, "a dog", booth.draw_settings(sampler=Sampling(steps=1, rho=rho)), 0)["sampling"]
            for rho in (None, 3)
        )
        assert "rho" not in usual and other == {**usual, "rho": 3.0} and isinstance(other["rho"], float)

    def test_lora_counts_once_it_is_trained(self, booth):
        """Before, its product is zero, whatever its seed: the plain model's images serve."""
        lora, plain = small_booth(lora=LoraConfig(rank=2)), describe(booth, "a dog", booth.draw_settings(1), 0)
        assert describe(lora, "a dog", lora.draw_settings(1), 0) == plain
        layer = next(iter(lora.adapters.layers.values()))
        layer.lora_kernel_b.assign(layer.lora_kernel_b + 1)
        assert describe(lora, "a dog", lora.draw_settings(1), 0) != plain

    def test_another_vocabulary(self, booth):
        """The same weights mean something else."""
        before = describe(booth, "a dog", booth.draw_settings(1), 0)
        tokenizer = booth.base.tokenizer
        booth.base.tokenizer = Tokenizer(gzip.compress(gzip.decompress(tokenizer.vocabulary)[:-40], mtime=0), 12)
        other = describe(booth, "a dog", booth.draw_settings(1), 0)
        booth.base.tokenizer = tokenizer
        assert {name for name in before if before[name] != other[name]} == {"vocabulary"}
        assert describe(booth, "a dog", booth.draw_settings(1), 0) == before

    def test_weights_in_half_precision(self):
        booth = small_booth("bfloat16")
        assert describe(booth, "a dog", booth.draw_settings(1), 0)["dtype"] == "bfloat16"

    def test_parked_encoders_count(self):
        booth = small_booth()
        before = describe(booth, "a dog", booth.draw_settings(1), 0)
        booth.base.park("decoder")
        assert describe(booth, "a dog", booth.draw_settings(1), 0) == before


def start(folder, name):
    """Draw in another process, which hangs in its second batch, and writes its errors to a file."""
    line = [sys.executable, drawing.__file__, str(folder), "2"]
    with open(folder / f"stderr-{name}", "w") as stderr:
        return subprocess.Popen(line, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=stderr)


def batches(folder):
    """`(process, indices)` of all that was drawn."""
    log = folder / "drawn.txt"
    lines = log.read_text().splitlines() if log.exists() else []
    return [(int(process), json.loads(indices)) for process, indices in (line.split(" ", 1) for line in lines)]


def complaints(folder):
    """What the processes said about waiting."""
    lines = [line for path in folder.glob("stderr-*") for line in path.read_text().splitlines()]
    return [line for line in lines if line.startswith("Waiting for another process")]


def wait_until(true, seconds=300):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


class Race:
    """Three processes draw one set at once. The one that was first is killed at its second batch.

    Attributes:
        set: `Path` of the set, in the end.
        left: the lines of the manifest after the kill.
        by_killed, by_others: the batches, as `batches` returns them.
        complaints: what the processes said about waiting.
    """

    def __init__(self, folder):
        running = [start(folder, name) for name in range(3)]
        try:
            # One is at work, and the others have found the lock taken.
            wait_until(lambda: len(batches(folder)) == 2 and len(complaints(folder)) == 2)
            (killed,) = (process for process in running if process.pid == batches(folder)[0][0])
            killed.send_signal(signal.SIGKILL)
            assert killed.wait() == -signal.SIGKILL
            (self.set,) = (folder / "sets").iterdir()
            self.left = manifest(self.set)
            (folder / "go_on").touch()
            assert [process.wait(300) for process in running if process is not killed] == [0, 0]
        finally:
            for process in running:
                process.kill()
                process.wait()
        self.by_killed = [batch for batch in batches(folder) if batch[0] == killed.pid]
        self.by_others = [batch for batch in batches(folder) if batch[0] != killed.pid]
        self.complaints = complaints(folder)


@pytest.fixture(scope="module")
def race(tmp_path_factory):
    return Race(tmp_path_factory.mktemp("race"))


class TestProcesses:
    def test_a_killed_one_is_continued(self, race, whole):
        assert [indices for _, indices in race.by_killed] == [[0, 1], [2, 3]]
        assert [line["index"] for line in race.left] == [0, 1]
        assert [indices for _, indices in race.by_others] == [[2, 3], [4, 5]]
        assert contents(race.set) == whole

    def test_two_at_once_draw_each_image_once(self, race):
        """The kill left two that wanted the set: one took over, and the other one found it drawn."""
        assert len({process for process, _ in race.by_others}) == 1
        assert [line["index"] for line in manifest(race.set)] == list(range(drawing.COUNT))
        assert len(race.complaints) == 2 and all(line.endswith(str(race.set)) for line in race.complaints)


@pytest.fixture(scope="module")
def prior(booth, tmp_path_factory):
    # By DDIM: one step of the default from an untrained network goes far from where latents lie.
    return booth.class_images(4, folder=tmp_path_factory.mktemp("prior"), sampler="ddim", **OPTIONS)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos") / "photos")


class TestTraining:
    """On latents in place of encoded pictures."""

    @pytest.fixture
    def encoded(self, booth, monkeypatch):
        """How many pictures went through the encoder, batch by batch."""
        counts, encode = [], booth.encode_moments

        def counted(images):
            counts.append(len(images))
            return encode(images)

        monkeypatch.setattr(booth, "encode_moments", counted)
        return counts

    def moments(self, photos, prior, booth, **options):
        """The moments of the class images of an epoch, in their order."""
        data = photo_dataset(photos, prior, booth, batch_size=2, shuffle=False, cache_latents=True, **options)
        rows = [row for batch in data.as_numpy_iterator() for row in batch["moments"][batch["is_prior"]]]
        return np.stack(rows[:4])

    def test_takes_the_latents(self, booth, photos, prior, encoded):
        moments = self.moments(photos, prior, booth)
        latents = np.stack([np.load(path) for path in prior.latents])
        np.testing.assert_array_equal(moments, booth.moments_of(latents))
        np.testing.assert_allclose(moments[..., :4] * booth.base.config.latent_scale, latents, rtol=1e-6)
        np.testing.assert_array_equal(moments[..., 4:], -30)
        noise = np.random.default_rng(0).standard_normal(latents.shape).astype("float32")
        for given in (None, noise):
            sampled = keras.ops.convert_to_numpy(booth.base.sample_posterior(moments, given))
            np.testing.assert_allclose(sampled, latents, atol=1e-6, rtol=0)
        assert encoded == [3]  # the photographs

    @pytest.mark.parametrize("options, variants", [({"flip": True}, 2), ({"crop": "random"}, 4)])
    def test_encodes_what_is_changed(self, booth, photos, prior, encoded, options, variants):
        moments = self.moments(photos, prior, booth, **options)
        assert sum(encoded) == (3 + 4) * variants
        assert moments[..., 4:].min() > -30

    def test_encodes_without_latents(self, booth, photos, prior, encoded):
        """As for the user's own class photographs."""
        self.moments(photos, prior.paths[0].parent, booth)
        assert sum(encoded) == 3 + 4

    def test_does_nothing_where_pictures_are_wanted(self, booth, photos, prior, encoded):
        (batch, *_) = photo_dataset(photos, prior, booth, batch_size=2).as_numpy_iterator()
        assert batch["images"].shape == (2, 16, 16, 3) and encoded == []

    def test_trains(self, booth, photos, prior):
        fresh = DreamBooth(booth.base)
        fresh.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
        data = photo_dataset(photos, prior, fresh, batch_size=2, steps_per_epoch=1, cache_latents=True)
        assert np.isfinite(fresh.fit(data, verbose=0).history["prior_loss"]).all()

    def test_latents_of_another_base(self, booth):
        with pytest.raises(ValueError, match=r"shape \(batch, 8, 8, 4\).*Received: latents of shape \(1, 4, 4, 4\)$"):
            booth.moments_of(np.zeros((1, 4, 4, 4), "float32"))


@pytest.mark.parametrize(
    "line", ['{"index": Infinity}', '{"index": 1e999}', "[" * 100_000, '["index"]', "null", "9" * 5000]
)
def test_a_line_that_is_no_entry(line):
    assert cache.parse_manifest(f'{line}\n{{"index": 1}}\n') == {1: {"index": 1}}
