"""The DreamBooth dataset, with TensorFlow Datasets' own test on made pictures."""

import csv
import pathlib
import re
import tempfile

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from keras_booth.data import (
    DATASET_SUBJECTS,
    LIVE_PROMPTS,
    OBJECT_PROMPTS,
    PhotoError,
    PhotoSet,
    dreambooth_builder,
    photo_dataset,
)
from keras_booth.data.dreambooth_dataset import builder as module
from keras_booth.data.dreambooth_dataset.builder import ADDRESS, Dreambooth
from tests.helpers.booths import small_booth
from tests.helpers.places import ROOT, SHARED

CHECKSUMS = ROOT / "keras_booth" / "data" / "dreambooth_dataset" / "checksums.tsv"
REAL = SHARED / "data" / "dreambooth"


def write_checkout(folder, subject="dog6", count=5):
    """A checkout with made pictures of one subject."""
    place = folder / "dataset" / subject
    place.mkdir(parents=True)
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (24, 32, 3)).astype("uint8")
        Image.fromarray(pixels).save(place / f"{number:02d}.jpg", quality=90)
    return folder


@pytest.fixture
def checkout(tmp_path):
    return write_checkout(tmp_path / "dreambooth")


class TestOfTensorFlowDatasets(tfds.testing.DatasetBuilderTestCase):
    """Its own checks: features, splits, serialization, registered checksums, that a second reading is the same."""

    DATASET_CLASS = Dreambooth
    BUILDER_CONFIG_NAMES_TO_TEST = ["dog6"]
    SPLITS = {"train": 5}
    DL_DOWNLOAD_RESULT = {f"{number:02d}.jpg": f"{number:02d}.jpg" for number in range(5)}

    @classmethod
    def setUpClass(cls):
        cls.made = tempfile.TemporaryDirectory()
        cls.EXAMPLE_DIR = str(write_checkout(pathlib.Path(cls.made.name)) / "dataset" / "dog6")
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.made.cleanup()


class TestSubjects:
    def test_as_the_paper_counts_them(self):
        """30 subjects of 15 classes, 9 of them alive, 4 to 6 photographs of each, 158 in all."""
        assert len({subject.name for subject in DATASET_SUBJECTS}) == 30
        assert len({subject.class_noun for subject in DATASET_SUBJECTS}) == 15
        assert sum(subject.live for subject in DATASET_SUBJECTS) == 9
        assert sum(subject.count for subject in DATASET_SUBJECTS) == 158
        assert {subject.class_noun for subject in DATASET_SUBJECTS if subject.live} == {"cat", "dog"}

    def test_every_photograph_has_its_checksum(self):
        rows = list(csv.reader(CHECKSUMS.read_text().splitlines(), delimiter="\t"))
        wanted = {f"{ADDRESS}/{subject.name}/{name}" for subject in DATASET_SUBJECTS for name in subject.files}
        assert {row[0] for row in rows} == wanted
        assert all(re.fullmatch(r"[0-9a-f]{64}", row[2]) and int(row[1]) > 0 for row in rows)

    @pytest.mark.skipif(not REAL.exists(), reason="needs the dataset's files in ../shared")
    def test_prompts_and_classes_are_the_datasets(self):
        text = (REAL / "prompts_and_classes.txt").read_text()
        found = [line.replace("{0} {1}", "{}") for line in re.findall(r"'([^']*)'\.format", text)]
        assert found[:25] == list(OBJECT_PROMPTS)
        assert found[25:] == list(LIVE_PROMPTS)
        classes = re.findall(r"^(\w+),(.+)$", text.partition("subject_name,class\n")[2], re.MULTILINE)
        assert classes == [(subject.name, subject.class_noun) for subject in DATASET_SUBJECTS]


class TestCheckout:
    def test_photographs_and_prompts(self, checkout, tmp_path):
        built = Dreambooth(config="dog6", checkout=checkout, data_dir=tmp_path / "data")
        built.download_and_prepare()
        examples = list(built.as_dataset(split="train").as_numpy_iterator())
        names = sorted(example["filename"].decode() for example in examples)
        assert names == [f"{number:02d}.jpg" for number in range(5)]
        for example in examples:
            path = checkout / "dataset" / "dog6" / example["filename"].decode()
            difference = example["image"].astype(int) - np.asarray(Image.open(path))
            assert np.abs(difference).max() <= 8  # two decoders of noise
        assert built.info.metadata["class_noun"] == "dog" and built.info.metadata["live"]
        assert tuple(built.info.metadata["prompts"]) == LIVE_PROMPTS

    def test_what_is_missing_is_named(self, checkout, tmp_path):
        (checkout / "dataset" / "dog6" / "03.jpg").unlink()
        built = Dreambooth(config="dog6", checkout=checkout, data_dir=tmp_path / "data")
        with pytest.raises(PhotoError, match=r"The checkout lacks 03\.jpg\. Received: .*dog6"):
            built.download_and_prepare()

    def test_from_python(self, checkout, tmp_path):
        built = dreambooth_builder("dog6", checkout=checkout, data_dir=tmp_path / "data")
        photos = PhotoSet.from_tfds(built, "a photo of sks dog", tmp_path / "files")
        assert len(photos.paths) == 5

    def test_another_subject(self):
        sentence = "subject must be one of backpack, backpack_dog, .*, wolf_plushie. Received: subject='dog4'"
        with pytest.raises(PhotoError, match=sentence):
            dreambooth_builder("dog4")

    def test_no_checkout(self, tmp_path):
        with pytest.raises(PhotoError, match="There is no folder dog6 in the checkout. Received: checkout=.*nowhere"):
            dreambooth_builder("dog6", checkout=tmp_path / "nowhere")

    def test_by_name(self, tmp_path):
        """Importing the module is all that TensorFlow Datasets needs."""
        built = tfds.builder("dreambooth/cat2", data_dir=tmp_path)
        assert isinstance(built, module.Dreambooth)
        assert built.info.metadata["class_noun"] == "cat"


class TestTraining:
    @pytest.fixture
    def built(self, checkout, tmp_path, monkeypatch):
        monkeypatch.setenv("KERAS_BOOTH_CACHE", str(tmp_path / "cache"))
        return Dreambooth(config="dog6", checkout=checkout, data_dir=tmp_path / "data")

    def test_a_photo_set(self, built, checkout, tmp_path):
        photos = PhotoSet.from_tfds(built, "a photo of sks dog")
        originals = sorted((checkout / "dataset" / "dog6").iterdir())
        assert [path.read_bytes() for path in photos.paths] == [path.read_bytes() for path in originals]
        assert [path.name for path in photos.paths] == [path.name for path in originals]
        assert all(path.is_relative_to(tmp_path / "cache" / "photographs" / "dreambooth") for path in photos.paths)
        assert photos.prompt == "a photo of sks dog"
        again = PhotoSet.from_tfds(built, "x", tmp_path / "here")
        assert {path.parent for path in again.paths} == {tmp_path / "here"}

    def test_a_dataset(self, built, checkout):
        booth = small_booth()
        of_builder, of_folder = (
            photo_dataset(source, None, booth, batch_size=5, shuffle=False)
            for source in (built, checkout / "dataset" / "dog6")
        )
        (one,), (other,) = (list(data.as_numpy_iterator()) for data in (of_builder, of_folder))
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])

    def test_other_datasets(self, tmp_path):
        with tfds.testing.mock_data(num_examples=1):
            built = tfds.testing.DummyDataset(data_dir=tmp_path)
            with pytest.raises(PhotoError, match="The builder has no feature 'image'. Received: dummy_dataset"):
                PhotoSet.from_tfds(built, "a photo of sks dog")

    def test_something_else(self):
        with pytest.raises(PhotoError, match="must be a folder, a PhotoSet or a builder of TensorFlow Datasets"):
            photo_dataset(3, None, small_booth())
