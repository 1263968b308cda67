import keras
import numpy as np
import pytest

from keras_booth.diffusion import NoiseSchedule, ddim, guided


def gaussian_predictor(schedule, mean, deviation):
    """The exact prediction for data ~ N(mean, deviation^2): what a perfect network would answer.

    E[z_0 | z_t] = mean + gain (z_t - signal mean) with gain = signal deviation^2 / (signal^2 deviation^2 + sigma^2).
    """

    def predict(latents, timesteps):
        signal, sigma = schedule.rates(timesteps)
        gain = signal * deviation**2 / (signal**2 * deviation**2 + sigma**2)
        clean = mean + gain * (latents - signal * mean)
        noise = (latents - signal * clean) / sigma
        return noise if schedule.prediction_type == "epsilon" else signal * noise - sigma * clean

    return predict


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
class TestDDIM:
    def sample(self, prediction_type, steps, spacing="trailing"):
        schedule = NoiseSchedule(prediction_type=prediction_type)
        noise = np.random.default_rng(0).standard_normal((4, 32, 32, 2)).astype("float32")
        # From the exact marginal: at Stable Diffusion's last timestep some signal is left (arXiv:2305.08891).
        alpha = schedule.alphas_cumprod[schedule.sampling_timesteps(steps, spacing)[0]]
        noise = (np.sqrt(alpha) * 0.7 + np.sqrt(alpha * 0.09 + 1 - alpha) * noise).astype("float32")
        predict = gaussian_predictor(schedule, 0.7, 0.3)
        return keras.ops.convert_to_numpy(ddim(predict, noise, schedule, steps, spacing))

    def test_reaches_a_known_gaussian(self, prediction_type):
        drawn = self.sample(prediction_type, 200)
        assert drawn.mean() == pytest.approx(0.7, abs=0.01)
        assert drawn.std() == pytest.approx(0.3, abs=0.01)

    def test_more_steps_are_closer(self, prediction_type):
        errors = [abs(self.sample(prediction_type, steps).std() - 0.3) for steps in (4, 16, 64)]
        assert errors[0] > errors[1] > errors[2]

    @pytest.mark.parametrize("spacing", ["trailing", "leading"])
    def test_equals_the_equation_step_by_step(self, prediction_type, spacing):
        """Equation 12 of arXiv:2010.02502 in float64, written out."""
        schedule = NoiseSchedule(prediction_type=prediction_type)
        x = np.random.default_rng(1).standard_normal((2, 4, 4, 2))
        start, cumulative = x.astype("float32"), schedule.alphas_cumprod
        visited = schedule.sampling_timesteps(10, spacing)
        for t, following in zip(visited, [*visited[1:], None], strict=True):
            a, a_next = cumulative[t], cumulative[0 if following is None else following]
            gain = np.sqrt(a) * 0.09 / (a * 0.09 + 1 - a)
            clean = 0.7 + gain * (x - np.sqrt(a) * 0.7)
            noise = (x - np.sqrt(a) * clean) / np.sqrt(1 - a)
            x = np.sqrt(a_next) * clean + np.sqrt(1 - a_next) * noise
        drawn = ddim(gaussian_predictor(schedule, 0.7, 0.3), start, schedule, 10, spacing)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(drawn), x, atol=1e-5)


class TestGuidance:
    def test_is_the_equation_in_one_call(self):
        calls = []

        def predict(latents, timesteps, context):
            calls.append(latents.shape[0])
            return latents * keras.ops.mean(context, axis=(1, 2))[:, None, None, None] + timesteps[0]

        latents = np.ones((2, 3, 3, 1), "float32")
        with_text, without = np.full((2, 4, 5), 2.0, "float32"), np.full((2, 4, 5), 0.5, "float32")
        output = guided(predict, with_text, without, 3.0)(latents, np.zeros(2, "float32"))
        np.testing.assert_allclose(keras.ops.convert_to_numpy(output), 0.5 + 3.0 * (2.0 - 0.5))
        assert calls == [4]
