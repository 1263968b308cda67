"""The recipe of the base: its losses, its corpus, and that it goes on after a kill as if nothing had been."""

import collections
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_cv.src.models.stable_diffusion.clip_tokenizer import SimpleTokenizer

from keras_booth.bases.networks.autoencoder import AutoencoderConfig, build_decoder, build_image_encoder
from keras_booth.tiny_world import corpus, fitting, vocabulary
from keras_booth.tiny_world.discriminator import PatchDiscriminator
from keras_booth.tiny_world.losses import decibels, detail_weights, edge_error, reconstruction_loss
from keras_booth.tiny_world.rows import filled_array
from keras_booth.tiny_world.scenes import ATTRIBUTES, labels
from keras_booth.tiny_world.training import AutoencoderTraining, DecoderTraining, normalize_latents
from keras_booth.tools.images import to_float, to_uint8
from tests.helpers.arrays import array

SMALL = AutoencoderConfig(latent_channels=3, widths=(32, 32), encoder_blocks=1, decoder_blocks=1)


def some_pictures(count=4, side=16, seed=0):
    return np.tanh(np.random.default_rng(seed).standard_normal((count, side, side, 3))).astype("float32")


class TestLosses:
    def test_edges_of_a_ramp(self):
        """0.1 from pixel to pixel to the right, 0.2 at half the resolution, nothing downwards."""
        ramp = np.broadcast_to(0.1 * np.arange(8, dtype="float32")[None, None, :, None], (2, 8, 8, 3))
        assert array(edge_error(ramp)) == pytest.approx(0.5 * (0.1 + 0.2), rel=1e-5)

    def test_a_wrong_color_has_no_edges(self):
        assert array(edge_error(np.full((1, 8, 8, 3), 0.7, "float32"))) == pytest.approx(0.0, abs=1e-6)

    def test_flat_pictures_weigh_the_same_everywhere(self):
        np.testing.assert_allclose(array(detail_weights(np.full((1, 16, 16, 3), -0.4, "float32"))), 1.0, atol=1e-5)

    def test_a_dot_weighs_more_and_the_mean_is_1(self):
        """Blurred, the dot is 1/81 of its height; its detail of 80/81 is over the cap of 0.5."""
        picture = np.zeros((1, 32, 32, 3), "float32")
        picture[:, 16, 16] = 1.0
        weights = array(detail_weights(picture))[0, :, :, 0]
        assert weights.mean() == pytest.approx(1.0, rel=1e-5)
        assert weights[16, 16] / weights[0, 0] == pytest.approx(4.0, rel=1e-5)
        assert weights[12, 12] / weights[0, 0] == pytest.approx(1 + 3 * 2 / 81, rel=1e-5)

    def test_the_sum_for_a_wrong_color(self):
        truth = np.full((1, 8, 8, 3), 0.25, "float32")
        assert array(reconstruction_loss(truth + 0.1, truth)) == pytest.approx(0.1 + 2 * 0.01, rel=1e-4)

    def test_decibels(self):
        truth = some_pictures(2) * 0.5
        np.testing.assert_allclose(array(decibels(truth + 0.2, truth)), 20.0, rtol=1e-4)


class TestDiscriminator:
    def test_each_loss_moves_its_own_side(self):
        judge = PatchDiscriminator()
        truth, pictures = tf.constant(some_pictures(2)), tf.Variable(some_pictures(2, seed=1))
        kernels = [kernel.value for kernel in judge.kernels]
        with tf.GradientTape(persistent=True) as tape:
            hinge, fooled = judge.hinge(truth, pictures), judge.fooled(pictures)
        assert tape.gradient(hinge, pictures) is None
        assert all(gradient is None for gradient in tape.gradient(fooled, kernels))
        assert np.abs(tape.gradient(fooled, pictures)).max() > 0
        assert all(np.abs(gradient).max() > 0 for gradient in tape.gradient(hinge, kernels))

    def test_it_learns_beside_the_decoder(self):
        layers = [keras.layers.UpSampling2D(2), keras.layers.Conv2D(3, 3, padding="same")]
        model = DecoderTraining(keras.Sequential([keras.Input((8, 8, 3)), *layers]), adversarial_weight=0.01)
        model.compile(keras.optimizers.Adam(1e-3))
        batch = {"latents": np.zeros((4, 8, 8, 3), "float16"), "pictures": to_uint8(some_pictures())}
        before = array(model.discriminator.kernels[0])
        losses = [model.train_on_batch(batch, return_dict=True)["loss"] for _ in range(8)]
        assert losses[-1] < losses[0] and np.abs(array(model.discriminator.kernels[0]) - before).max() > 1e-3


class TestRows:
    def test_filling_goes_on_where_it_was_interrupted(self, tmp_path):
        path, starts = tmp_path / "numbers.npy", []

        def chunks(start):
            starts.append(start)
            for row in range(start, 6, 2):
                if row == 4 and len(starts) == 1:
                    raise KeyboardInterrupt
                yield np.arange(row, row + 2)[:, None]

        with pytest.raises(KeyboardInterrupt):
            filled_array(path, (6, 1), "int32", chunks)
        assert not path.exists()
        for _ in range(2):
            np.testing.assert_array_equal(filled_array(path, (6, 1), "int32", chunks)[:, 0], np.arange(6))
        assert starts == [0, 4] and [entry.name for entry in tmp_path.iterdir()] == ["numbers.npy"]

    def test_an_array_of_other_options_is_refused(self, tmp_path):
        filled_array(tmp_path / "a.npy", (2,), "int32", lambda start: [np.zeros(2)])
        with pytest.raises(ValueError, match="remove it"):
            filled_array(tmp_path / "a.npy", (3,), "int32", None)


class TestCorpus:
    def test_every_class_stands_equally_often_in_every_setting(self):
        scenes = corpus.make_scenes(2 * corpus.CHUNK, seed=3)
        rows = [labels(scene) for scene in scenes]
        pairs = collections.Counter((row["class_noun"], row["setting"]) for row in rows)
        assert len(pairs) == len(ATTRIBUTES["class_noun"]) * len(ATTRIBUTES["setting"])
        assert set(pairs.values()) == {2}
        assert scenes[: corpus.CHUNK] == corpus.make_scenes(corpus.CHUNK, seed=3)
        assert scenes[: corpus.CHUNK] != corpus.make_scenes(corpus.CHUNK, seed=4)

    def test_captions_name_all_rare_identifiers(self):
        scenes = corpus.make_scenes(corpus.CHUNK, seed=0) * 10
        captions = [text for row in corpus.captions_of(scenes, 0) for text in row]
        named = [word for text in captions for word in text.split() if word in vocabulary.RARE_IDENTIFIERS]
        assert set(named) == set(vocabulary.RARE_IDENTIFIERS) and len(set(named)) >= 30
        assert 0.03 < len(named) / len(captions) < 0.05


def test_every_word_is_one_token(tmp_path):
    path = tmp_path / "vocabulary.txt.gz"
    path.write_bytes(vocabulary.vocabulary_bytes())
    tokenizer = SimpleTokenizer(bpe_path=str(path))
    words = vocabulary.WORDS + vocabulary.RARE_IDENTIFIERS
    tokens = [tokenizer.encode(word)[1:-1] for word in words]
    assert {len(token) for token in tokens} == {1} and len({token[0] for token in tokens}) == len(words)


def test_normalized_latents_have_mean_0_and_variance_1():
    encoder, decoder = build_image_encoder(SMALL), build_decoder(SMALL)
    pictures = some_pictures(8)
    moments = array(encoder(pictures))
    before = array(decoder(moments[..., :3]))
    normalize_latents(encoder, decoder, moments[..., :3].mean((0, 1, 2)), moments[..., :3].std((0, 1, 2)))
    means = array(encoder(pictures))[..., :3]
    np.testing.assert_allclose(means.mean((0, 1, 2)), 0.0, atol=1e-4)
    np.testing.assert_allclose(means.std((0, 1, 2)), 1.0, rtol=1e-3)
    np.testing.assert_allclose(array(decoder(means)), before, atol=1e-3)


class OnePart(keras.Model):
    """The least that trains as an autoencoder does: one part, and noise of its own."""

    def __init__(self):
        super().__init__()
        self.part = keras.Sequential([keras.Input((2, 2, 3)), keras.layers.Dense(3)], name="part")
        self.seed_generator = keras.random.SeedGenerator(5)

    def call(self, x):
        return self.part(x + keras.random.normal(keras.ops.shape(x), seed=self.seed_generator))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean(keras.ops.square(y_pred - x))


def test_noise_of_the_latents_is_in_proportion_to_them():
    """An encoder that says its input with hardly any variance, and a decoder that says its latents."""
    pictures = np.random.default_rng(0).integers(256, size=(8, 32, 32, 3), dtype="uint8")
    x, latents = keras.Input((None, None, 3)), keras.Input((None, None, 3))
    encoder = keras.Model(x, keras.ops.concatenate([x, -25.0 + 0.0 * x], axis=-1))
    model = AutoencoderTraining(encoder, keras.Model(latents, 1.0 * latents))
    error = array(model(pictures)["pictures"]) - to_float(pictures)
    np.testing.assert_allclose(error.std((0, 1, 2)), 0.03 * to_float(pictures).std((0, 1, 2)), rtol=0.05)


class TestFit:
    """Two epochs in one go, and two that are killed after the first: the same weights."""

    @pytest.fixture(autouse=True)
    def short_epochs(self, monkeypatch):
        monkeypatch.setattr(fitting, "EPOCH_STEPS", 3)
        monkeypatch.setattr(fitting, "CHECK_EPOCHS", 1)

    def train(self, folder, watch=None):
        keras.utils.set_random_seed(0)
        model = OnePart()
        batches = fitting.Batches({"x": some_pictures(8, 2)}, 4, 0, lambda arrays, rows, rng: arrays["x"][rows])
        fitting.fit(model, batches, 6, 1e-2, folder, ema=0.5, warmup=2, watch=watch)
        return [array(variable) for variable in model.part.weights]

    def test_a_killed_training_goes_on(self, tmp_path):
        whole = self.train(tmp_path / "whole")

        def kill(done, figures):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.train(tmp_path / "killed", kill)
        seen = []

        def watch(done, figures):
            assert figures["loss"] > 0
            seen.append(done)

        resumed = self.train(tmp_path / "killed", watch)
        assert seen == [6]
        for one, other in zip(whole, resumed, strict=True):
            np.testing.assert_array_equal(one, other)
        finished = self.train(tmp_path / "killed", watch)
        assert seen == [6]
        for one, other in zip(resumed, finished, strict=True):
            np.testing.assert_array_equal(one, other)
        rows = (tmp_path / "killed" / "log.csv").read_text().splitlines()
        assert [row.split(",")[0] for row in rows] == ["epoch", "0", "1"]

    def test_a_gradient_that_is_not_finite_is_left_out(self):
        optimizer = fitting.SteadyAdamW(0.1, weight_decay=0.0)
        variable = keras.Variable([1.0, 2.0])
        optimizer.build([variable])
        for bad in (np.nan, np.inf):
            optimizer.apply([keras.ops.convert_to_tensor([bad, 1.0])])
        np.testing.assert_array_equal(array(variable), [1.0, 2.0])
        optimizer.apply([keras.ops.convert_to_tensor([1.0, -1.0])])
        assert (np.sign(array(variable) - [1.0, 2.0]) == [-1, 1]).all()


SCANNED = """
import sys
from pathlib import Path
import numpy as np
from keras_booth.tiny_world import fitting
from tests.tiny_world.test_pretraining import TestFit
fitting.EPOCH_STEPS, fitting.CHECK_EPOCHS = 3, 1
step_by_step = TestFit().train(Path(sys.argv[1], "steps"))
fitting.has_accelerator = lambda: True
scanned = TestFit().train(Path(sys.argv[1], "scanned"))
for one, other in zip(step_by_step, scanned, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-6)
"""


def test_an_epoch_in_one_call_of_the_device_computes_the_same(tmp_path):
    """As on a GPU, with JAX."""
    line = [sys.executable, "-c", SCANNED, str(tmp_path)]
    done = subprocess.run(line, env=os.environ | {"KERAS_BACKEND": "jax"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [(tmp_path / name / "log.csv").read_text().splitlines() for name in ("steps", "scanned")]
    figures = [[float(row.split(",")[1]) for row in some[1:]] for some in rows]
    np.testing.assert_allclose(figures[0], figures[1], rtol=1e-5)
