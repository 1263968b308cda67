"""The numbers of the objective."""

import functools
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_booth.dreambooth import DreamBooth
from tests.helpers.arrays import array
from tests.helpers.booths import fixed_batch, small_booth
from tests.helpers.objective import MIXED, gradients, losses
from tests.helpers.places import ROOT


def by_hand(booth, batch, prior_loss_weight):
    """The paper's objective in NumPy float64, but for the networks themselves."""
    moments = array(booth.image_encoder(keras.ops.convert_to_tensor(batch["images"]))).astype("float64")
    mean, log_variance = np.split(moments, 2, axis=-1)
    latents = 0.18215 * (mean + np.exp(log_variance / 2) * batch["posterior_noise"])
    betas = np.linspace(np.sqrt(0.00085), np.sqrt(0.012), 1000) ** 2
    alpha = np.cumprod(1 - betas)[batch["timesteps"]][:, None, None, None]
    noisy = np.sqrt(alpha) * latents + np.sqrt(1 - alpha) * batch["noise"]
    context = booth.text_encoder(keras.ops.convert_to_tensor(batch["tokens"]))
    inputs = [keras.ops.convert_to_tensor(value) for value in (noisy.astype("float32"), batch["timesteps"])]
    predicted = array(booth.unet([*inputs, context])).astype("float64")
    target = batch["noise"]
    if booth.base.schedule.prediction_type == "v_prediction":
        target = np.sqrt(alpha) * batch["noise"] - np.sqrt(1 - alpha) * latents
    errors = np.square(predicted - target).mean(axis=(1, 2, 3))
    prior = batch["is_prior"]
    instance_loss = errors[~prior].mean()
    prior_loss = errors[prior].mean() if prior.any() else 0.0
    return instance_loss + prior_loss_weight * prior_loss, instance_loss, prior_loss


@functools.cache
def base(prediction_type):
    """Shared by all models here; whatever moves its weights puts them back."""
    return small_booth(prediction_type=prediction_type).base


def compiled(prior_loss_weight, min_snr_gamma=None, noise_offset=0.0, prediction_type="epsilon"):
    booth = DreamBooth(base(prediction_type))
    objective = {"min_snr_gamma": min_snr_gamma, "noise_offset": noise_offset}
    # Eagerly: tracing would take longer than everything else here. `test_backends_agree` runs compiled.
    booth.compile(keras.optimizers.SGD(1.0), prior_loss_weight=prior_loss_weight, run_eagerly=True, **objective)
    return booth


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("prior_loss_weight", [0.0, 0.5, 1.0])
def test_equals_numpy(prediction_type, prior_loss_weight):
    booth = compiled(prior_loss_weight, prediction_type=prediction_type)
    for priors in (MIXED, (False, True, True), (False, False)):
        batch = fixed_batch(booth, priors)
        np.testing.assert_allclose(losses(booth, batch), by_hand(booth, batch, prior_loss_weight), rtol=2e-5)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_min_snr_weighs_each_sample_of_both_terms(prediction_type):
    """Against the closed form: min(SNR, 5) / SNR for epsilon, min(SNR, 5) / (SNR + 1) for v."""
    plain = compiled(0.5, prediction_type=prediction_type)
    weighted = compiled(0.5, prediction_type=prediction_type, min_snr_gamma=5.0)
    alpha = np.cumprod(1 - np.linspace(np.sqrt(0.00085), np.sqrt(0.012), 1000) ** 2)
    for timestep in (0, 100, 250, 600, 999):
        snr = alpha[timestep] / (1 - alpha[timestep])
        weight = min(snr, 5.0) / (snr + (prediction_type == "v_prediction"))
        batch = fixed_batch(plain, MIXED) | {"timesteps": np.full(4, timestep, "int32")}
        np.testing.assert_allclose(losses(weighted, batch), weight * losses(plain, batch), rtol=1e-5)
    # Samples of one batch have weights of their own: the two terms together are the sum over single samples.
    batch = fixed_batch(weighted, MIXED)
    singles = [losses(weighted, {key: value[i : i + 1] for key, value in batch.items()}) for i in range(4)]
    np.testing.assert_allclose(losses(weighted, batch), np.sum(singles, axis=0) / 2, rtol=1e-5)


def test_noise_offset():
    """The noise of a channel gets a common part of its own, and the target with it."""
    booth = compiled(0.0, noise_offset=50.0)
    batch = fixed_batch(booth, (False,) * 64)
    del batch["noise"]
    noise = array(booth(batch)["target"])
    means = noise.mean(axis=(1, 2))
    assert 35 < means.std() < 65
    assert noise.std(axis=(1, 2)).mean() == pytest.approx(1.0, abs=0.1)


def test_weight_zero_equals_no_prior():
    booth = compiled(0.0)
    batch = fixed_batch(booth, MIXED)
    instances = {key: value[~batch["is_prior"]] for key, value in batch.items()}
    np.testing.assert_allclose(losses(booth, batch)[0], losses(booth, instances)[0], rtol=1e-6)
    np.testing.assert_allclose(gradients(booth, batch), gradients(booth, instances), atol=1e-6)


def test_gradient_is_linear_in_the_weight():
    gradient = []
    for weight in (0.0, 1.0, 2.5):
        booth = compiled(weight)
        gradient.append(gradients(booth, fixed_batch(booth, MIXED)))
    np.testing.assert_allclose(gradient[2] - gradient[0], 2.5 * (gradient[1] - gradient[0]), atol=2e-6)
    assert np.abs(gradient[1] - gradient[0]).max() > 1e-3


def test_gradient_equals_finite_differences():
    booth = compiled(1.0)
    batch = fixed_batch(booth, MIXED)
    gradient = gradients(booth, batch)
    step = 1e-2 * gradient / np.linalg.norm(gradient)
    sizes = np.cumsum([0] + [int(np.prod(v.shape)) for v in booth.trainable_variables])
    values = []
    for sign in (1, -1):
        for variable, start, stop in zip(booth.trainable_variables, sizes, sizes[1:], strict=False):
            variable.assign(variable + sign * step[start:stop].reshape(variable.shape).astype("float32"))
        values.append(losses(booth, batch)[0])
        for variable, start, stop in zip(booth.trainable_variables, sizes, sizes[1:], strict=False):
            variable.assign(variable - sign * step[start:stop].reshape(variable.shape).astype("float32"))
    assert (values[0] - values[1]) / 2e-2 == pytest.approx(np.linalg.norm(gradient), rel=1e-2)


def test_mixed_batch_equals_accumulated_samples():
    """With the dataset's weights the objective of a batch is the mean of the objectives of its samples."""
    booth = compiled(0.7)
    batch = fixed_batch(booth, (False, True, True))
    batch["sample_weight"] = np.array([3.0, 1.5, 1.5], "float32")  # ratio 2, as `photo_dataset` says
    singles = [losses(booth, {key: value[i : i + 1] for key, value in batch.items()}) for i in range(3)]
    np.testing.assert_allclose(losses(booth, batch), np.mean(singles, axis=0), rtol=1e-5)
    np.testing.assert_allclose(losses(booth, batch), by_hand(booth, batch, 0.7), rtol=2e-5)


def test_logged_losses_add_up():
    booth = compiled(0.3)
    total, instance, prior = losses(booth, fixed_batch(booth, MIXED))
    assert total == pytest.approx(instance + 0.3 * prior, rel=1e-6)


@pytest.mark.floor
@pytest.mark.large
def test_backends_agree():
    """Objective and gradient on TensorFlow and on JAX, from the same weights."""
    line = [sys.executable, "-m", "tests.helpers.processes.objective_on_backend"]
    results = []
    for backend in ("tensorflow", "jax"):
        environment = os.environ | {"KERAS_BACKEND": backend}
        done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        results.append(np.array(json.loads(done.stdout.splitlines()[-1])))
    np.testing.assert_allclose(results[0], results[1], atol=1e-4)


@pytest.mark.parametrize("weight", [-1, float("nan")])
def test_refuses_a_negative_weight(weight):
    with pytest.raises(ValueError, match="prior_loss_weight="):
        compiled(weight)
