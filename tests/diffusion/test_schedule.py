import keras
import numpy as np
import pytest
from keras_cv.src.models.stable_diffusion.constants import _ALPHAS_CUMPROD

from keras_booth.diffusion import NoiseSchedule


def draws(seed=0, count=6):
    rng = np.random.default_rng(seed)
    latents, noise = rng.standard_normal((2, count, 4, 4, 3)).astype("float32")
    return latents, noise, rng.integers(0, 1000, count).astype("int32")


class TestSchedule:
    def test_equals_kerascv_table(self):
        np.testing.assert_allclose(NoiseSchedule().alphas_cumprod, _ALPHAS_CUMPROD, rtol=2e-6)

    def test_add_noise_equals_kerascv_table(self):
        latents, noise, timesteps = draws()
        cumulative = np.array(_ALPHAS_CUMPROD)[timesteps][:, None, None, None]
        expected = np.sqrt(cumulative) * latents + np.sqrt(1 - cumulative) * noise
        noisy = keras.ops.convert_to_numpy(NoiseSchedule().add_noise(latents, noise, timesteps))
        np.testing.assert_allclose(noisy, expected, atol=2e-6)

    def test_differs_from_kerascv_default_scheduler(self):
        """The schedule that published KerasCV DreamBooths train with is another one."""
        linear = NoiseSchedule(beta_start=1e-4, beta_end=0.02, beta_schedule="linear").alphas_cumprod
        assert linear[500] == pytest.approx(0.078, abs=1e-3)
        assert NoiseSchedule().alphas_cumprod[500] == pytest.approx(0.276, abs=1e-3)

    def test_v_target_is_the_derivative_along_the_circle(self):
        """v = d z_t / d phi with z_t = cos(phi) z + sin(phi) eps (arXiv:2202.00512, appendix D)."""
        schedule = NoiseSchedule(prediction_type="v_prediction")
        latents, noise, timesteps = draws()
        phi = np.arccos(np.sqrt(schedule.alphas_cumprod[timesteps]))[:, None, None, None]
        step = 1e-4
        ahead, behind = (np.cos(p) * latents + np.sin(p) * noise for p in (phi + step, phi - step))
        target = keras.ops.convert_to_numpy(schedule.target(latents, noise, timesteps))
        np.testing.assert_allclose(target, (ahead - behind) / (2 * step), atol=1e-5)

    @pytest.mark.parametrize(
        "spacing, expected",
        [("leading", [751, 501, 251, 1]), ("trailing", [999, 749, 499, 249]), ("linspace", [999, 666, 333, 0])],
    )
    def test_timesteps(self, spacing, expected):
        """diffusers' DDIMScheduler with 4 steps and steps_offset=1."""
        np.testing.assert_array_equal(NoiseSchedule().sampling_timesteps(4, spacing), expected)
        np.testing.assert_array_equal(NoiseSchedule(timestep_spacing=spacing).sampling_timesteps(4), expected)

    def test_trailing_timesteps_can_visit_all(self):
        np.testing.assert_array_equal(NoiseSchedule().sampling_timesteps(1000, "trailing"), np.arange(1000)[::-1])

    def test_zero_terminal_snr(self):
        """The last timestep is noise alone, the first keeps its signal (arXiv:2305.08891, algorithm 1)."""
        plain = NoiseSchedule(prediction_type="v_prediction").alphas_cumprod
        rescaled = NoiseSchedule(prediction_type="v_prediction", zero_terminal_snr=True).alphas_cumprod
        assert rescaled[-1] == 0.0
        np.testing.assert_allclose(rescaled[0], plain[0], rtol=1e-12)
        assert np.all(np.diff(rescaled) < 0)

    @pytest.mark.parametrize(
        "fields, message",
        [
            ({"steps": 0}, "steps=0"),
            ({"beta_start": 0.5, "beta_end": 0.1}, "beta_start=0.5, beta_end=0.1"),
            ({"beta_schedule": "cosine"}, "'cosine'"),
            ({"prediction_type": "x0"}, "'x0'"),
            ({"timestep_spacing": "cosine"}, "'cosine'"),
            ({"steps_offset": -1}, "steps_offset=-1"),
            ({"zero_terminal_snr": True}, "zero_terminal_snr"),
        ],
    )
    def test_refuses(self, fields, message):
        with pytest.raises(ValueError, match=message):
            NoiseSchedule(**fields)

    @pytest.mark.parametrize("count, spacing", [(0, "trailing"), (1001, "trailing"), (5, "sideways")])
    def test_refuses_timesteps(self, count, spacing):
        with pytest.raises(ValueError, match="Received"):
            NoiseSchedule().sampling_timesteps(count, spacing)
