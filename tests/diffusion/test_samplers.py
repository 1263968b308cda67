"""Samplers: against diffusers step by step, and against targets that are known in closed form."""

import functools
import pathlib

import keras
import numpy as np
import pytest

from keras_booth.diffusion import SAMPLERS, NoiseSchedule, Sampling, follow, guided, make_plan, sample
from keras_booth.diffusion.samplers import denoise
from tests.helpers.sampler_cases import cases, network, noises

HERE = pathlib.Path(__file__).parent


# === diffusers ===


def trajectory(prediction_type, **options):
    """What our sampler gives the network in each step, and the end."""
    sampling = Sampling(**options)
    start, fresh = noises(sampling.steps)
    seen = []

    def predict(latents, timesteps):
        seen.append(keras.ops.convert_to_numpy(latents))
        return network(seen[-1], keras.ops.convert_to_numpy(timesteps)[0]).astype("float32")

    schedule = NoiseSchedule(prediction_type=prediction_type)
    end = sample(predict, start, schedule, sampling, fresh=fresh if sampling.share else None)
    return np.stack([*seen, keras.ops.convert_to_numpy(end)])


@pytest.fixture(scope="module")
def goldens():
    return np.load(HERE / "samplers.npz")


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX traces the loop's body")
@pytest.mark.parametrize("name", cases())
def test_equals_diffusers_step_by_step(goldens, name):
    ours, theirs = trajectory(**cases()[name]), goldens[name]
    assert ours.shape == theirs.shape
    scale = np.abs(theirs).max(axis=(1, 2, 3, 4))
    assert np.all(np.abs(ours - theirs).max(axis=(1, 2, 3, 4)) <= 1e-5 * scale)


@pytest.mark.parametrize("name", list(cases())[::7])
def test_diffusers_live(name):
    pytest.importorskip("diffusers")
    from tests.diffusion.make_goldens import trajectory as theirs

    found = theirs(**cases()[name])
    assert np.abs(trajectory(**cases()[name]) - found).max() <= 1e-5 * np.abs(found).max()


@pytest.mark.parametrize("steps", [1, 16, 17])
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_padded_plan_is_the_same(name, steps):
    """Its numbers as tensors, as a compiled program gets them; rows that are not followed change nothing."""
    sampling, schedule = Sampling(name, steps), NoiseSchedule()
    plan, (start, fresh) = make_plan(schedule, sampling), noises(steps)
    table = plan.padded()
    assert len(table) == (32 if steps == 17 else 16)
    fresh = np.pad(fresh, ((0, len(table) - steps), *[(0, 0)] * (fresh.ndim - 1)), constant_values=np.nan)
    fresh = keras.ops.convert_to_tensor(fresh.astype("float32")) if sampling.share else None

    def predict(latents, timesteps):
        return 0.5 * latents + 1e-3 * timesteps[:, None, None, None]

    numbers = [keras.ops.convert_to_tensor(value) for value in (table, steps, plan.begin, plan.end)]
    ours = follow(predict, start.astype("float32"), "epsilon", *numbers, fresh=fresh)
    whole = None if fresh is None else fresh[:steps]
    theirs = sample(predict, start.astype("float32"), schedule, sampling, fresh=whole)
    np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, (ours, theirs)), rtol=1e-5, atol=1e-6)


# === A Gaussian ===

MEAN, DEVIATION = 0.7, 0.3


def gaussian_network(schedule, latents, timesteps):
    """The exact prediction for data ~ N(MEAN, DEVIATION^2): what a perfect network would answer.

    E[z_0 | z_t] = mean + gain (z_t - signal mean) with gain = signal deviation^2 / (signal^2 deviation^2 + sigma^2).
    """
    places, table = np.arange(schedule.steps), schedule.sigmas.astype("float32")
    level = np.interp(keras.ops.convert_to_numpy(timesteps)[0], places, table).astype("float32")
    signal = 1 / np.sqrt(level**2 + 1)
    sigma = level * signal
    gain = signal * DEVIATION**2 / (signal**2 * DEVIATION**2 + sigma**2)
    clean = MEAN + gain * (latents - signal * MEAN)
    noise = (latents - signal * clean) / sigma
    return noise if schedule.prediction_type == "epsilon" else signal * noise - sigma * clean


def draw_gaussian(steps, prediction_type="epsilon", **options):
    """Latents drawn with the exact network; mean and deviation as a pair."""
    schedule = NoiseSchedule(prediction_type=prediction_type)
    sampling = Sampling(steps=steps, **options)
    path = sampling.path(schedule)
    rng = np.random.default_rng(0)
    shape = (4, 32, 32, 4)
    # From the exact marginal: at Stable Diffusion's last timestep some signal is left (arXiv:2305.08891).
    start = (MEAN + np.sqrt(DEVIATION**2 + path.sigmas[0] ** 2) * rng.standard_normal(shape)) / path.scale
    fresh = rng.standard_normal((steps, *shape), "float32") if sampling.share else None
    predict = functools.partial(gaussian_network, schedule)
    drawn = keras.ops.convert_to_numpy(sample(predict, start.astype("float32"), schedule, sampling, fresh=fresh))
    return drawn.mean(), drawn.std()


CHOICES = [
    {"sampler": "ddim"},
    {"sampler": "ddim", "eta": 1.0},
    {"sampler": "euler"},
    {"sampler": "euler", "karras": True},
    {"sampler": "euler_ancestral"},
    {"sampler": "dpmpp_2m", "karras": False},
    {"sampler": "dpmpp_2m", "karras": True},
    {"sampler": "dpmpp_2m", "karras": True, "rho": 3.0},
]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the network is written in NumPy")
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("options", CHOICES, ids=lambda options: "-".join(map(str, options.values())))
def test_approaches_a_known_gaussian(options, prediction_type):
    found = {steps: draw_gaussian(steps, prediction_type, spacing="trailing", **options) for steps in (5, 20, 80, 320)}
    errors = [abs(deviation - DEVIATION) for _, deviation in found.values()]
    assert errors[-1] <= 0.016
    # Near the truth the random numbers themselves decide.
    assert all(after < before or after < 0.004 for before, after in zip(errors[:-1], errors[1:], strict=True))
    assert all(mean == pytest.approx(MEAN, abs=0.003) for mean, _ in found.values())


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the network is written in NumPy")
def test_the_second_order_is_worth_its_name():
    """At 10 steps the multistep solver is nearer to the truth by far than Euler's method on levels of the same kind."""
    euler, multistep = (
        abs(draw_gaussian(10, sampler=name, karras=True, spacing="trailing")[1] - DEVIATION)
        for name in ("euler", "dpmpp_2m")
    )
    assert multistep < 0.2 * euler


# === Parts ===


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_denoise_inverts_the_target(prediction_type):
    schedule = NoiseSchedule(prediction_type=prediction_type)
    rng = np.random.default_rng(0)
    latents, noise = rng.standard_normal((2, 4, 3, 3, 2), "float32")
    for timestep in (0, 300, 600):
        whole = np.full(4, timestep)
        sigma = schedule.sigmas[timestep]
        predict = lambda *_, whole=whole: schedule.target(latents, noise, whole)  # noqa: E731
        found = denoise(predict, latents + np.float32(sigma) * noise, np.float32(sigma), timestep, prediction_type)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(found), latents, atol=2e-5)


def test_compiled_equals_eager():
    """The loop inside of a compiled function."""
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("TensorFlow only")
    start, fresh = noises(6)
    for sampler in SAMPLERS:
        sampling = Sampling(sampler=sampler, steps=6)

        def run(start, fresh, sampling=sampling):
            def predict(z, t):
                return 0.3 * keras.ops.sin(z + t[0] / 300)

            return sample(predict, start, NoiseSchedule(), sampling, fresh=fresh)

        compiled = tf.function(run, autograph=False, jit_compile=False)(start, fresh)
        np.testing.assert_allclose(compiled.numpy(), run(start, fresh).numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_over_a_picture(sampler):
    """A network that knows the picture: drawn over it from any step on, it is the picture."""
    schedule = NoiseSchedule()
    clean = np.random.default_rng(3).standard_normal((2, 3, 3, 2)).astype("float32")
    noise, fresh = noises(8)
    sampling = Sampling(sampler=sampler, steps=8)
    levels = sampling.path(schedule)
    for first in (0, 3, 7):
        seen = []

        def predict(latents, timesteps, seen=seen):
            sigma = np.interp(keras.ops.convert_to_numpy(timesteps)[0], np.arange(1000), schedule.sigmas)
            seen.append(sigma)
            return (latents * np.float32(np.sqrt(sigma**2 + 1)) - clean) / np.float32(sigma)

        if keras.backend.backend() != "tensorflow":
            pytest.skip("the network is written in NumPy")
        drawn = sample(predict, noise, schedule, sampling, clean=clean, first=first, fresh=fresh)
        assert len(seen) == 8 - first and seen[0] == pytest.approx(levels.sigmas[first], rel=1e-3)
        rest = 0.05 if sampler == "ddim" else 1e-3  # DDIM stops before the end
        np.testing.assert_allclose(keras.ops.convert_to_numpy(drawn), clean, atol=rest * 4)


class TestSampling:
    @pytest.mark.parametrize(
        "fields",
        [
            {"sampler": "plms"},
            {"steps": 0},
            {"spacing": "sideways"},
            {"eta": -0.1},
            {"eta": 1.5},
            {"sampler": "dpmpp_2m", "eta": 0.5},
            {"rho": 0.9},
            {"rho": 101},
        ],
    )
    def test_refuses(self, fields):
        with pytest.raises(ValueError, match="Received"):
            Sampling(**fields)

    @pytest.mark.parametrize("sampler", SAMPLERS)
    @pytest.mark.parametrize("karras", [False, True])
    @pytest.mark.parametrize("steps", [1, 2, 999, 1000])
    def test_any_number_of_steps(self, sampler, karras, steps):
        path = Sampling(sampler=sampler, karras=karras, steps=steps).path(NoiseSchedule())
        assert len(path.timesteps) == steps and len(path.sigmas) == steps + 1
        assert np.all(np.isfinite(path.sigmas)) and np.all(np.diff(path.sigmas) <= 0)

    @pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m"])
    @pytest.mark.parametrize("rho", [1, 3, 7.0, 100])
    def test_another_exponent(self, sampler, rho):
        """Even steps of the root, of which the last would be at the schedule's lowest level."""
        schedule = NoiseSchedule()
        path = Sampling(sampler, 7, karras=True, rho=rho).path(schedule)
        roots = np.append(path.sigmas[:-1], schedule.sigmas[0]) ** (1 / rho)
        np.testing.assert_allclose(np.diff(roots), (roots[-1] - roots[0]) / 7)
        assert path.sigmas[0] == pytest.approx(schedule.sigmas[-1]) and path.sigmas[-1] == 0
        assert np.all(np.diff(path.timesteps) < 0) and path.timesteps[0] == 999

    def test_a_named_spacing_is_taken(self):
        own, named, both = (
            Sampling("dpmpp_2m", 10, **options).path(NoiseSchedule()).sigmas
            for options in ({}, {"spacing": "trailing"}, {"spacing": "trailing", "karras": True})
        )
        np.testing.assert_array_equal(own, both)
        assert not np.allclose(own, named)

    def test_zero_terminal_snr_begins_with_noise_alone(self):
        schedule = NoiseSchedule(
            prediction_type="v_prediction", zero_terminal_snr=True, timestep_spacing="trailing", ends_clean=True
        )
        for sampler in SAMPLERS:
            path = Sampling(sampler=sampler, steps=5).path(schedule)
            assert path.sigmas[0] > 4000 and path.timesteps[0] == 999
            # By choice of the user, not of the sampler, nearly all levels would be of hardly more than noise.
            assert np.median(path.sigmas) < 2

    @pytest.mark.parametrize("sampler", SAMPLERS)
    def test_strength_is_the_share_of_the_steps(self, sampler):
        """Rounded down, but at least one; as diffusers counts them."""
        sampling = Sampling(sampler=sampler, karras=False, steps=8)
        found = [sampling.left_out(NoiseSchedule(), strength) for strength in (1.0, 0.76, 0.5, 0.3, 0.01)]
        assert found == [0, 2, 4, 6, 7]

    @pytest.mark.parametrize("sampler", SAMPLERS)
    @pytest.mark.parametrize("strength", [0.9, 0.6, 0.3])
    def test_strength_is_the_same_noise_for_karras(self, sampler, strength):
        """To within a step of either path."""
        levels = []
        for karras in (False, True):
            sampling = Sampling(sampler=sampler, karras=karras, steps=50)
            levels.append(sampling.path(NoiseSchedule()).sigmas[sampling.left_out(NoiseSchedule(), strength)])
        assert levels[1] == pytest.approx(levels[0], rel=0.1)

    def test_too_many_steps(self):
        with pytest.raises(ValueError, match="1001"):
            Sampling(steps=1001).path(NoiseSchedule())


class TestGuidance:
    def predict(self, calls):
        def predict(latents, timesteps, conditioning):
            calls.append(latents.shape[0])
            return latents * keras.ops.mean(conditioning["context"], axis=(1, 2))[:, None, None, None] + timesteps[0]

        return predict

    def test_is_the_equation_in_one_call(self):
        calls = []
        latents = np.ones((2, 3, 3, 1), "float32")
        with_text, without = ({"context": np.full((2, 4, 5), value, "float32")} for value in (2.0, 0.5))
        output = guided(self.predict(calls), with_text, without, 3.0)(latents, np.zeros(2, "float32"))
        np.testing.assert_allclose(keras.ops.convert_to_numpy(output), 0.5 + 3.0 * (2.0 - 0.5))
        assert calls == [4]

    def test_none_takes_half(self):
        calls = []
        latents = np.ones((2, 3, 3, 1), "float32")
        with_text = {"context": np.full((2, 4, 5), 2.0, "float32")}
        output = guided(self.predict(calls), with_text, None, 1.0)(latents, np.zeros(2))
        np.testing.assert_allclose(keras.ops.convert_to_numpy(output), 2.0)
        assert calls == [2]

    @pytest.mark.parametrize("share", [0.0, 0.7, 1.0])
    def test_rescale(self, share):
        """Equations 15 and 16 of arXiv:2305.08891, in NumPy."""
        latents = np.random.default_rng(0).standard_normal((2, 5, 5, 3)).astype("float32")
        with_text, without = ({"context": np.full((2, 4, 5), value, "float32")} for value in (2.0, 0.5))
        output = guided(self.predict([]), with_text, without, 3.0, share)(latents, np.zeros(2, "float32"))
        led = latents * (0.5 + 3 * 1.5)
        shrunk = led * (latents * 2).std(axis=(1, 2, 3), keepdims=True) / led.std(axis=(1, 2, 3), keepdims=True)
        expected = share * shrunk + (1 - share) * led
        np.testing.assert_allclose(keras.ops.convert_to_numpy(output), expected, rtol=1e-5)
