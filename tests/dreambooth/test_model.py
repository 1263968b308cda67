"""`DreamBooth` as a user meets it: fit on photographs, class images, generate."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

from keras_booth.callbacks import SampleGrid
from keras_booth.data import PhotoSet, photo_dataset
from keras_booth.dreambooth import DreamBooth
from tests.helpers.booths import changed_weights, fixed_batch, small_booth
from tests.helpers.photographs import levels
from tests.helpers.places import PHOTOS

PROMPT = "a photo of sks dog in the snow"


def values(layers):
    """Copies of all weights."""
    return [keras.ops.convert_to_numpy(weight).copy() for layer in layers for weight in layer.weights]


def equal(one, other):
    return [np.array_equal(a, b) for a, b in zip(one, other, strict=True)]


def train(booth, prior=None, *, epochs=1, steps=3, run_eagerly=False, prior_loss_weight=0.5):
    """Some steps an epoch on the photographs that come with the project."""
    optimizer = keras.optimizers.AdamW(1e-3, global_clipnorm=1.0)
    booth.compile(optimizer, prior_loss_weight=prior_loss_weight, run_eagerly=run_eagerly)
    data = photo_dataset(PHOTOS, prior, booth, batch_size=2, steps_per_epoch=steps)
    return booth.fit(data, epochs=epochs, verbose=0).history


def evaluate(booth, batch=None):
    """The losses of one batch, by default of one with nothing left to chance."""
    if not booth.compiled:
        booth.compile("sgd", run_eagerly=True)
    return booth.test_on_batch(fixed_batch(booth, (False, True)) if batch is None else batch, return_dict=True)


class Trained:
    """A booth that was trained with prior preservation, and its weights before and after.

    TensorFlow optimizes a graph in an order that depends on the names in it, and numbers the names of all models of a
    process: in a session of its own a model computes the same bits as in a process of its own.
    """

    def __init__(self, folder):
        keras.utils.clear_session()
        self.booth = small_booth()
        self.frozen = [self.booth.text_encoder, self.booth.image_encoder, self.booth.decoder]
        self.before = values([self.booth.unet]), values(self.frozen)
        prior = self.booth.class_images(3, folder=folder, steps=2, progress=False)
        self.history = train(self.booth, prior)
        self.after = values([self.booth.unet]), values(self.frozen)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where class images go."""
    return tmp_path_factory.mktemp("class_images")


@pytest.fixture(scope="module")
def trained(folder):
    return Trained(folder)


@pytest.fixture(scope="module")
def booth():
    """An untrained one, not to be changed."""
    return small_booth()


class TestFit:
    @pytest.mark.floor
    def test_trains_the_unet_only(self, trained):
        assert not any(equal(trained.before[0], trained.after[0]))
        assert all(equal(trained.before[1], trained.after[1]))
        assert all(np.isfinite(weight).all() for weight in trained.after[0])

    @pytest.mark.floor
    def test_logs_the_two_terms(self, trained):
        assert trained.history.keys() == {"loss", "instance_loss", "prior_loss"}
        loss, instance, prior = (trained.history[name][0] for name in ("loss", "instance_loss", "prior_loss"))
        assert instance > 0 and prior > 0
        assert loss == pytest.approx(instance + 0.5 * prior, rel=1e-6)

    def test_the_same_seed_trains_the_same_bits(self, trained, folder):
        again = Trained(folder)
        assert all(equal(trained.after[0], again.after[0]))
        assert again.history == trained.history

    def test_counts_steps(self, trained, booth):
        assert trained.booth.trained_steps == 3
        assert booth.trained_steps == 0

    def test_trains_the_text_encoder_when_asked(self):
        booth = small_booth(train_text_encoder=True)
        parts = [booth.text_encoder], [booth.unet], [booth.image_encoder, booth.decoder]
        before = [values(part) for part in parts]
        train(booth, steps=1, run_eagerly=True)
        text_encoder, unet, autoencoder = (equal(b, values(part)) for b, part in zip(before, parts, strict=True))
        assert not any(text_encoder) and not any(unet) and all(autoencoder)

    @pytest.mark.floor
    @pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
    def test_mixed_precision(self, booth, policy):
        mixed = small_booth(policy)
        exact = evaluate(DreamBooth(booth.base))
        rounded = evaluate(mixed)
        assert rounded != exact
        assert rounded == {name: pytest.approx(loss, rel=2e-2) for name, loss in exact.items()}

        autoencoder = [mixed.image_encoder, mixed.decoder]
        before = values([mixed.unet]), values(autoencoder)
        history = train(mixed, steps=1, run_eagerly=True)
        scaled = isinstance(mixed.optimizer, keras.optimizers.LossScaleOptimizer)
        assert scaled == (policy == "mixed_float16")
        assert np.isfinite(history["loss"]).all()
        assert np.mean(equal(before[0], values([mixed.unet]))) < 0.05  # the smallest gradients may vanish
        assert all(equal(before[1], values(autoencoder)))
        assert {weight.dtype for weight in mixed.trainable_weights} == {"float32"}

        latents = mixed.base.encode(np.zeros((1, 16, 16, 3), "float32"))
        output = mixed(fixed_batch(mixed, [False]))
        for value in (latents, output["prediction"], output["target"]):
            assert keras.backend.standardize_dtype(value.dtype) == "float32"

    def test_noise_follows_the_seed(self, booth):
        """Without fixed noise in the batch it comes from the model's seed, other at each step."""
        batch = fixed_batch(booth, (False, True))
        batch = {name: batch[name] for name in ("images", "tokens", "is_prior")}

        def losses(seed):
            seeded = DreamBooth(booth.base, seed=seed)
            seeded.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
            return [seeded.train_on_batch(batch) for _ in range(2)]

        one, same, other = (losses(seed) for seed in (0, 0, 1))
        assert one == same
        assert one[0] != one[1] and one[0] != other[0]

    def test_a_hand_made_batch_may_be_short(self, booth):
        """Pictures and tokens suffice: all of them are instance photographs."""
        batch = fixed_batch(booth, (False, False))
        short = {name: array for name, array in batch.items() if name != "is_prior"}
        losses = evaluate(DreamBooth(booth.base), short)
        assert losses == evaluate(DreamBooth(booth.base), batch)
        assert losses["prior_loss"] == 0 and losses["loss"] > 0


class TestClassImages:
    OPTIONS = {"steps": 2, "progress": False}

    def draw(self, booth, folder, count=3, **options):
        return booth.class_images(count, folder=folder, **self.OPTIONS | options)

    def test_are_drawn_by_the_base_losslessly(self, booth, tmp_path):
        photos = self.draw(booth, tmp_path)
        assert photos.prompt == "a photo of a dog" and len(photos.paths) == 3
        drawn = np.stack([np.asarray(Image.open(path)) for path in photos.paths])
        assert levels(drawn, booth.generate("a photo of a dog", count=3, steps=2)) <= 1

    def test_are_reused(self, booth, tmp_path):
        first = self.draw(booth, tmp_path)
        stamps = [path.stat().st_mtime_ns for path in first.paths]
        again = self.draw(booth, tmp_path)
        assert again == first
        assert [path.stat().st_mtime_ns for path in again.paths] == stamps
        more = self.draw(booth, tmp_path, count=5)
        assert more.paths[:3] == first.paths and len(more.paths) == 5
        assert [path.stat().st_mtime_ns for path in more.paths[:3]] == stamps
        assert self.draw(booth, tmp_path, count=2).paths == first.paths[:2]

    @pytest.mark.parametrize("damage", ["truncated", "empty", "missing", "something else"])
    def test_damaged_ones_are_drawn_again(self, booth, tmp_path, damage):
        photos = self.draw(booth, tmp_path)
        whole = np.asarray(Image.open(photos.paths[1]))
        stamp = photos.paths[0].stat().st_mtime_ns
        content = photos.paths[1].read_bytes()
        content = {"truncated": content[:-200], "empty": b"", "missing": None, "something else": b"no picture"}[damage]
        photos.paths[1].unlink()
        if content is not None:
            photos.paths[1].write_bytes(content)
        self.draw(booth, tmp_path)
        assert levels(np.asarray(Image.open(photos.paths[1])), whole) <= 1
        assert photos.paths[0].stat().st_mtime_ns == stamp

    def test_other_descriptions_are_other_sets(self, booth, tmp_path):
        folders = [
            self.draw(booth, tmp_path, **options).paths[0].parent
            for options in ({}, {"seed": 1}, {"steps": 1}, {"guidance_scale": 1.5})
        ]
        cat = DreamBooth(booth.base, class_noun="cat")
        folders.append(self.draw(cat, tmp_path).paths[0].parent)
        with changed_weights(booth):
            folders.append(self.draw(booth, tmp_path).paths[0].parent)
        assert len(set(folders)) == 6
        assert {folder.parent for folder in folders} == {tmp_path}
        assert self.draw(booth, tmp_path).paths[0].parent == folders[0]

    def test_prompts_take_turns(self, booth, tmp_path):
        prompts = ["a photo of a dog", "a photo of a dog in red"]
        photos = self.draw(booth, tmp_path, prompt=prompts)
        assert photos.prompts == (prompts[0], prompts[1], prompts[0])
        assert photos.paths[0].parent != self.draw(booth, tmp_path).paths[0].parent
        drawn = np.stack([np.asarray(Image.open(path)) for path in photos.paths])
        alone, in_red = (booth.generate(prompt, count=3, steps=2) for prompt in prompts)
        assert levels(drawn, np.stack([alone[0], in_red[1], alone[2]])) <= 1
        lines = (photos.paths[0].parent / "manifest.jsonl").read_text().splitlines()
        assert [json.loads(line)["prompt"] for line in lines] == list(photos.prompts)

    def test_lie_in_the_cache(self, booth, tmp_path, monkeypatch):
        monkeypatch.setenv("KERAS_BOOTH_CACHE", str(tmp_path / "cache"))
        photos = self.draw(booth, None, count=1)
        assert photos.paths[0].is_relative_to(tmp_path / "cache" / "class_images")

    def test_are_refused_after_training(self, trained, tmp_path):
        with pytest.raises(ValueError, match="before training.* Received: a model after 3 training steps"):
            self.draw(trained.booth, tmp_path)
        assert list(tmp_path.iterdir()) == []


class TestConfig:
    def test_rebuilds_everything_but_the_weights(self, booth):
        prompts = {"instance_prompt": "one zwx cat", "class_prompt": "any cat"}
        cat = DreamBooth(booth.base, identifier="zwx", class_noun="cat", train_text_encoder=True, seed=5, **prompts)
        config = json.loads(json.dumps(cat.get_config() | {"dtype": "mixed_bfloat16"}))
        other = DreamBooth.from_config(config)
        assert json.loads(json.dumps(other.get_config())) == config
        assert other.base.config == booth.base.config
        assert (other.identifier, other.class_noun, other.seed) == ("zwx", "cat", 5)
        assert (other.instance_prompt, other.class_prompt) == ("one zwx cat", "any cat")
        assert other.unet.layers[-1].dtype_policy.name == other.dtype_policy.name == "mixed_bfloat16"
        described = [[(v.name, v.shape, v.trainable) for v in model.variables] for model in (cat, other)]
        assert described[0] == described[1]
        cat.text_encoder.trainable = False  # the base is shared

    @pytest.mark.parametrize(
        "noun, prompt",
        [("dog", "a photo of a dog"), ("owl", "a photo of an owl"), (" toy car ", "a photo of a toy car")],
    )
    def test_prompts(self, booth, noun, prompt):
        other = DreamBooth(booth.base, identifier="sks", class_noun=noun)
        assert other.class_prompt == prompt
        assert other.instance_prompt == f"a photo of sks {noun.strip()}"

    def test_the_vocabulary_is_found_again(self, booth):
        """In the same process; elsewhere a model of a config alone says what it lacks."""
        tokens = booth.tokenize(PROMPT)
        clone = keras.models.clone_model(booth)
        np.testing.assert_array_equal(clone.tokenize([PROMPT]), tokens)
        clone.set_weights(booth.get_weights())
        assert levels(clone.generate(PROMPT), booth.generate(PROMPT)) == 0
        strange = DreamBooth.from_config(booth.get_config() | {"vocabulary": "of another process"})
        assert strange.get_config()["vocabulary"] is None
        for call in (strange.tokenize, strange.generate):
            with pytest.raises(ValueError, match="no vocabulary.*Received: a model of the config of 'small'"):
                call(PROMPT)

    def test_any_seed(self, booth, caplog):
        seeds = [DreamBooth(booth.base, seed=None).seed for _ in range(2)]
        assert seeds[0] != seeds[1] and all(str(seed) in caplog.text for seed in seeds)
        assert str(SampleGrid(PROMPT, seed=None).seed) in caplog.text
        photo_dataset(PhotoSet((PHOTOS / "00.jpg",), PROMPT), None, booth, batch_size=1, seed=None)
        assert len(caplog.records) == 4


class TestChanges:
    """What is assigned to a model has an effect, or a sentence."""

    def test_prompts_follow_the_names(self, booth, caplog):
        other = DreamBooth(booth.base)
        other.identifier = " zwx "
        other.class_noun = "owl"
        assert (other.identifier, other.class_noun) == ("zwx", "owl")
        assert (other.instance_prompt, other.class_prompt) == ("a photo of zwx owl", "a photo of an owl")
        assert caplog.text == ""

    def test_own_prompts_stay(self, booth, caplog):
        other = DreamBooth(booth.base, instance_prompt="my sks dog", class_prompt="any dog")
        other.identifier = "zwx"
        assert (other.instance_prompt, other.class_prompt) == ("my sks dog", "any dog")
        assert "identifier='zwx' is not in the prompt 'my sks dog'" in caplog.text
        other.instance_prompt = None
        assert other.instance_prompt == "a photo of zwx dog"

    @pytest.mark.parametrize(
        "name, value",
        [
            ("identifier", "dog"),
            ("class_noun", ""),
            ("instance_prompt", 3),
            ("class_prompt", " "),
            ("seed", 1),
            ("train_text_encoder", True),
            ("prior_loss_weight", 0.5),
            ("min_snr_gamma", 5),
            ("noise_offset", 0.1),
        ],
    )
    def test_refused(self, booth, name, value):
        other = DreamBooth(booth.base)
        before = getattr(other, name)
        with pytest.raises(ValueError, match=f"Received: .*{name}={value!r}"):
            setattr(other, name, value)
        assert getattr(other, name) == before

    def test_after_training(self, trained):
        with pytest.raises(ValueError, match="make a new model.*Received: identifier='zwx'"):
            trained.booth.identifier = "zwx"

    def test_precision_is_the_bases(self, booth):
        with pytest.raises(ValueError, match="must be the base's, 'float32'.*Received: dtype='mixed_bfloat16'"):
            DreamBooth(booth.base, dtype="mixed_bfloat16")


class TestRefusals:
    @pytest.mark.parametrize(
        "names",
        [
            {"identifier": "dog"},
            {"identifier": "DOG "},
            {"identifier": ""},
            {"identifier": None},
            {"class_noun": " "},
        ],
    )
    def test_names(self, booth, names):
        with pytest.raises(ValueError, match="Received: (identifier|class_noun)="):
            DreamBooth(booth.base, **names)
        # Before anything is built or fetched.
        with pytest.raises(ValueError, match="Received: (identifier|class_noun)="):
            DreamBooth.from_preset("stable_diffusion_1.4", **names)

    @pytest.mark.parametrize(
        "arguments, received",
        [
            ({"prompt": ""}, "prompt=''"),
            ({"prompt": []}, "prompt=[]"),
            ({"prompt": ["a dog", 3]}, "prompt=['a dog', 3]"),
            ({"prompt": {"a dog": 1}}, "prompt={'a dog': 1}"),
            ({"prompt": None}, "prompt=None"),
            ({"count": 0}, "count=0"),
            ({"steps": 0}, "steps=0"),
            ({"steps": 1001}, "steps=1001"),
            ({"guidance_scale": -1}, "guidance_scale=-1"),
            ({"guidance_scale": float("nan")}, "guidance_scale=nan"),
        ],
    )
    def test_generate(self, booth, arguments, received):
        with pytest.raises(ValueError) as raised:
            booth.generate(**{"prompt": PROMPT} | arguments)
        assert str(raised.value).endswith(f"Received: {received}") and "\n" not in str(raised.value)

    def test_class_images(self, booth, tmp_path):
        with pytest.raises(ValueError, match="`count` must be >= 1. Received: count=0"):
            booth.class_images(0, folder=tmp_path)
        with pytest.raises(ValueError, match="`batch_size` must be >= 1. Received: batch_size=0"):
            booth.class_images(1, folder=tmp_path, batch_size=0)
        with pytest.raises(ValueError, match="Received: seed=None"):
            booth.class_images(1, folder=tmp_path, seed=None)
        with pytest.raises(ValueError, match="a text, or a list of texts. Received: prompt=\\[\\]"):
            booth.class_images(1, folder=tmp_path, prompt=[])
        assert list(tmp_path.iterdir()) == []
