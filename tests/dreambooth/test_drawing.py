"""`DreamBooth.generate`: pictures of prompts, seeds and settings."""

import dataclasses
import re

import keras
import numpy as np
import pytest

from keras_booth.diffusion import SAMPLERS, Sampling
from tests.helpers.booths import changed_weights, small_booth
from tests.helpers.photographs import levels

PROMPT = "a photo of sks dog in the snow"


@pytest.fixture(scope="module")
def booth():
    """An untrained one, not to be changed."""
    return small_booth()


@pytest.fixture(scope="module")
def pictures(booth):
    return booth.generate(PROMPT, count=5)


class TestGenerate:
    @pytest.mark.floor
    def test_pictures(self, booth, pictures):
        assert pictures.shape == (5, 16, 16, 3) and pictures.dtype == np.uint8
        assert pictures.std(axis=(1, 2, 3)).min() > 1
        np.testing.assert_array_equal(booth.generate(PROMPT, count=5), pictures)

    def test_seeds_and_indices_differ(self, booth, pictures):
        other = booth.generate(PROMPT, count=5, seed=1)
        drawn = [*pictures, *other]
        assert all(levels(a, b) > 5 for i, a in enumerate(drawn) for b in drawn[:i])

    def test_a_picture_does_not_depend_on_the_count(self, booth, pictures):
        assert levels(booth.generate(PROMPT, count=2), pictures[:2]) <= 1  # other batch shapes round differently

    @pytest.mark.parametrize("batch_size", [1, 2])
    def test_a_picture_does_not_depend_on_the_batch(self, booth, pictures, batch_size):
        assert levels(booth.generate(PROMPT, count=5, batch_size=batch_size), pictures) <= 1

    def test_by_index(self, booth, pictures):
        """As class images are drawn: any indices of the series, with the latents they were decoded from."""
        options = {"settings": booth.draw_settings(), "batch_size": 2}
        drawn, latents = booth.draw([PROMPT] * 3, [(0, index) for index in (4, 0, 2)], **options)
        assert levels(drawn, pictures[[4, 0, 2]]) <= 1
        decoded = keras.ops.convert_to_numpy(booth.base.decode(latents))
        assert levels(np.round((decoded + 1) * 127.5).clip(0, 255).astype("uint8"), drawn) <= 1

    def test_list_of_seeds(self, booth, pictures):
        """Picture i is the first one of seed i, for each prompt."""
        drawn = booth.generate([PROMPT, "a photo of a cat"], seed=[7, 0])
        assert drawn.shape == (4, 16, 16, 3)
        assert levels(drawn[1], pictures[0]) <= 1
        assert levels(drawn[0], booth.generate(PROMPT, seed=7)[0]) <= 1

    def test_any_seed(self, booth, caplog):
        """Another one each time, and it says which."""
        drawn = [booth.generate(PROMPT, seed=None)[0] for _ in range(2)]
        seeds = [int(re.search(r"seed=(\d+);", record.message)[1]) for record in caplog.records]
        assert len(set(seeds)) == 2
        for picture, seed in zip(drawn, seeds, strict=True):
            np.testing.assert_array_equal(booth.generate(PROMPT, seed=seed)[0], picture)

    @pytest.mark.parametrize("sampler", SAMPLERS)
    def test_samplers(self, booth, pictures, sampler):
        drawn = booth.generate(PROMPT, count=2, sampler=sampler)
        np.testing.assert_array_equal(booth.generate(PROMPT, count=2, sampler=sampler), drawn)
        assert (levels(drawn, pictures[:2]) <= 1) == (sampler == booth.base.config.sampler)

    def test_fresh_noise_belongs_to_the_picture(self, booth):
        """Also what an ancestral sampler adds does not depend on the batch."""
        whole = booth.generate(PROMPT, count=3, sampler="euler_ancestral")
        assert levels(booth.generate(PROMPT, count=3, sampler="euler_ancestral", batch_size=2), whole) <= 1

    def test_details_of_a_sampler(self, booth, pictures):
        sampling = Sampling(booth.base.config.sampler, steps=3)
        assert levels(booth.generate(PROMPT, count=2, sampler=sampling), pictures[:2]) <= 1
        other = dataclasses.replace(sampling, karras=False)
        assert levels(booth.generate(PROMPT, count=2, sampler=other), pictures[:2]) > 1

    def test_the_base_says_the_exponent(self, booth, monkeypatch):
        """For what is left open; a `Sampling` says all."""
        monkeypatch.setattr(booth.base, "config", dataclasses.replace(booth.base.config, rho=3.0))
        assert booth.draw_settings(5, sampler="euler").sampling == Sampling("euler", 5, rho=3.0)
        assert booth.draw_settings(sampler=Sampling("euler", 5)).sampling.rho is None

    def test_over_a_picture(self, booth):
        """The less strength, the nearer to the picture."""
        image = booth.generate("a cat", seed=3)[0]
        kept = keras.ops.convert_to_numpy(booth.base.decode(booth.base.encode(image[None] / 127.5 - 1)))[0]
        kept = np.clip((kept + 1) * 127.5, 0, 255)
        distances = [
            np.abs(booth.generate(PROMPT, image=image, strength=share, steps=20, sampler="ddim")[0] - kept).mean()
            for share in (0.05, 0.5, 1.0)
        ]
        assert distances[0] < distances[1] and distances[0] < 0.5 * distances[2]

    def test_guidance_rescale(self, booth):
        plain, rescaled = (
            booth.generate(PROMPT, guidance_scale=30, guidance_rescale=share, count=2) for share in (0.0, 0.7)
        )
        assert levels(plain, rescaled) > 1

    @pytest.mark.parametrize(
        "arguments",
        [
            {"seed": -1},
            {"seed": []},
            {"seed": [1, None]},
            {"seed": "7"},
            {"negative_prompt": None},
            {"batch_size": 0},
            {"seed": [1, 2], "count": 3},
            {"guidance_rescale": 2},
            {"sampler": "plms"},
            {"sampler": Sampling(steps=4), "steps": 3},
            {"image": np.zeros((8, 8, 3), "uint8")},
            {"image": np.zeros((16, 16, 3), "uint8"), "strength": 0},
        ],
    )
    def test_mistakes(self, booth, arguments):
        with pytest.raises(ValueError, match="Received"):
            booth.generate(PROMPT, **arguments)

    def test_list_of_prompts(self, booth, pictures):
        drawn = booth.generate([PROMPT, "a photo of a cat"], count=2)
        assert drawn.shape == (4, 16, 16, 3)
        assert levels(drawn[:2], pictures[:2]) <= 1
        # The same noise, and another prompt.
        same_noise = booth.generate([PROMPT] * 2, count=2)
        assert levels(drawn[2:], same_noise[2:]) > 0

    def test_guidance(self, booth):
        """1 is no guidance: the negative prompt does not matter then, and does otherwise."""
        plain, negative = (
            booth.generate(PROMPT, guidance_scale=1, negative_prompt=text, count=2) for text in ("", "a cat")
        )
        assert levels(plain, negative) <= 1
        strong, avoiding = (
            booth.generate(PROMPT, guidance_scale=30, negative_prompt=text, count=2) for text in ("", "a cat")
        )
        assert levels(strong, avoiding) > 1 and levels(strong, plain) > 1

    def test_steps(self, booth, pictures):
        assert levels(booth.generate(PROMPT, count=5, steps=3), pictures) == 0  # the base's default
        assert levels(booth.generate(PROMPT, count=5, steps=1), pictures) > 0

    def test_reports_progress(self, booth):
        seen = []
        booth.generate(PROMPT, count=5, batch_size=2, on_batch=seen.append)
        assert seen == [2, 4, 5]

    def test_follows_the_weights(self, booth, pictures):
        """A sampler that was compiled before training draws with the trained weights."""
        with changed_weights(booth):
            assert levels(booth.generate(PROMPT, count=5), pictures) > 1
        assert levels(booth.generate(PROMPT, count=5), pictures) == 0
