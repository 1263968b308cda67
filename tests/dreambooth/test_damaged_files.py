"""Files with bytes flipped and cut off: what opens is the right model, and the rest is one sentence with the path."""

import shutil
import typing

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keras_booth.bases.formats.archive import WEIGHTS_FILE, open_archive
from keras_booth.bases.formats.diffusers.folder import read_folder
from keras_booth.dreambooth import LoraConfig
from keras_booth.dreambooth.lora.files import read_lora
from keras_booth.tools.errors import InputError
from tests.helpers.booths import small_booth
from tests.helpers.checkpoints.families import write_checkpoint

KINDS = ("archive", "lora", "checkpoint")
EXAMPLES, ALL_EXAMPLES = 50, 700  # of each kind
EDGE = 3000  # bytes at both ends of a file, where its structure is


class Damage(typing.NamedTuple):
    """What is done to a file: `(place, mask)` of bytes that are changed, and how much is kept of it."""

    flips: list[tuple[float, int]]
    kept: float

    def of(self, content):
        """The damaged content; places are shares of the file, or of one of its ends."""
        damaged, size = bytearray(content), len(content)
        for place, mask in self.flips:
            edge = min(EDGE, size)
            spots = (int(place * edge), size - 1 - int((place - 1) * edge), int((place - 2) * (size - 1)))
            damaged[spots[int(place)]] ^= mask
        return bytes(damaged[: int(self.kept * size)])


DAMAGES = st.builds(
    Damage,
    st.lists(st.tuples(st.floats(0, 2.999), st.integers(1, 255)), min_size=1, max_size=3),
    st.one_of(st.just(1.0), st.just(1.0), st.floats(0, 1)),
)


class Originals:
    """One small model in all three kinds, and what is read of each where nothing is damaged."""

    def __init__(self, folder):
        self.folder = folder
        booth = small_booth(lora=LoraConfig(rank=2), identifier="zwx")
        for variable in booth.adapters.variables:
            variable.assign(0.1 * np.random.default_rng(0).standard_normal(variable.shape))
        self.base = booth.base
        self.paths = {"archive": folder / "dog.keras", "lora": folder / "dog.safetensors"}
        booth.save(self.paths["archive"], dtype="float16")
        booth.save_lora(self.paths["lora"])
        self.paths["checkpoint"] = write_checkpoint("1.x", folder / "checkpoint", "float16")
        self.read = {kind: getattr(self, kind)(path) for kind, path in self.paths.items()}

    def files(self, kind):
        """The files of a kind, of which one is damaged at a time."""
        path = self.paths[kind]
        return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]

    def archive(self, path):
        """All that a model is made of: config, vocabulary, and the bytes of the weights, whose checksum was right."""
        found = open_archive(path, thorough=True)
        return found.whole, found.tokenizer.vocabulary, found.members.read(WEIGHTS_FILE, 1 << 30)

    def lora(self, path):
        """Names and shapes; a safetensors file has no checksum, so that values may only be told to be finite."""
        found = read_lora(path, self.base)
        arrays = [array for matrices in found.values() for array in (matrices.down, matrices.up)]
        return {name: matrices.down.shape for name, matrices in found.items()}, arrays

    def checkpoint(self, path):
        """Sizes of the parts, and shapes; values as in `lora`."""
        config, tokenizer, checkpoints = read_folder(path)
        sizes = config.unet, config.autoencoder, tokenizer.ids, [found.shapes for found in checkpoints.values()]
        arrays = [array for found in checkpoints.values() for _, array in found.tensors(found.shapes)]
        return sizes, arrays


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    return Originals(tmp_path_factory.mktemp("damaged"))


def damaged_copy(originals, kind, file, damage):
    """Path of a copy of a kind in which one file is damaged."""
    path, copy = originals.paths[kind], originals.folder / "copies" / originals.paths[kind].name
    if path.is_dir() and not copy.exists():
        shutil.copytree(path, copy)
    place = copy / file.relative_to(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(damage.of(file.read_bytes()))
    return copy


def restore(originals, kind, copy, file):
    """Undo `damaged_copy`."""
    (copy / file.relative_to(originals.paths[kind])).write_bytes(file.read_bytes())


def check(originals, kind, file, damage):
    """The property: the right model, or one sentence."""
    copy = damaged_copy(originals, kind, file, damage)
    try:
        found = getattr(originals, kind)(copy)
    except InputError as error:
        sentence = str(error)
        assert str(copy) in sentence, sentence
        assert "\n" not in sentence and len(sentence) < 500 + len(str(copy))
        return
    finally:
        restore(originals, kind, copy, file)
    if kind == "archive":
        assert found == originals.read[kind]
        return
    right = originals.read[kind]
    assert sorted(array.shape for array in found[1]) == sorted(array.shape for array in right[1])
    assert all(np.isfinite(array).all() for array in found[1])


def examples(count):
    """Hypothesis, the same each time."""
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_damage(originals, kind):
    @examples(EXAMPLES)
    @given(st.sampled_from(originals.files(kind)), DAMAGES)
    def run(file, damage):
        check(originals, kind, file, damage)

    run()


@pytest.mark.large
@pytest.mark.parametrize("kind", KINDS)
def test_much_damage(originals, kind):
    @examples(ALL_EXAMPLES)
    @given(st.sampled_from(originals.files(kind)), DAMAGES)
    def run(file, damage):
        check(originals, kind, file, damage)

    run()


def test_what_is_not_damaged_is_right(originals):
    """The property says nothing if all is refused."""
    for kind in KINDS:
        check(originals, kind, originals.files(kind)[0], Damage([], 1.0))
        assert originals.read[kind]
