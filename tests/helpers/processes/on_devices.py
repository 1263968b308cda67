"""Train and draw on several devices, and write what came of it: `python on_devices.py CASE FOLDER WAY…`.

A way is a number of devices and, behind a colon, what they share: `2:model`. TensorFlow takes no two numbers above 1 in
one process.
"""

import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

from keras_booth import on_devices
from keras_booth.dreambooth import LoraConfig
from keras_booth.tools.errors import InputError
from tests.helpers.booths import fixed_batch, small_booth

PRIORS = [True, False, False, False, True, False, True, False]
STEPS = 20
# An epsilon far above the rounding errors of gradients that are zero but for them, which Adam would make steps of.
ADAM = {"learning_rate": 3e-4, "epsilon": 1e-3, "global_clipnorm": 1.0, "gradient_accumulation_steps": 2}
CASES = {
    "full": {},
    "lora": {"lora": LoraConfig(rank=2)},
    "float16": {"dtype": "mixed_float16"},
    "lora in float16": {"dtype": "mixed_float16", "lora": LoraConfig(rank=2)},
    "two rates": {"dtype": "mixed_float16", "text_encoder_rate": 0.5, "text_encoder_until": 12},
    "averages": {"use_ema": True, "ema_momentum": 0.9},
    "random noise": {"random": True, "noise_offset": 0.1, "min_snr_gamma": 5.0},
}


def numpy(variables):
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def train(dtype="float32", lora=None, random=False, use_ema=False, ema_momentum=0.99, **settings):
    """A model after some steps that gather gradients, its batch, its weights before, and what `fit` said."""
    booth = small_booth(dtype, lora=lora, train_text_encoder=True)
    # The backends draw different random weights from the same seed.
    rng = np.random.default_rng(0)
    for variable in booth.base.unet.trainable_variables + booth.base.text_encoder.trainable_variables:
        variable.assign(rng.standard_normal(variable.shape) * 0.05 + ("gamma" in variable.path))
    optimizer = keras.optimizers.AdamW(**ADAM, use_ema=use_ema, ema_momentum=ema_momentum)
    booth.compile(optimizer, prior_loss_weight=0.7, **settings)
    before = numpy(booth.trainable_variables)
    batch = fixed_batch(booth, PRIORS)
    if random:
        batch = {name: value for name, value in batch.items() if name in ("images", "tokens", "is_prior")}
    history = booth.fit(tf.data.Dataset.from_tensors(batch).repeat(STEPS), verbose=0)
    return booth, batch, before, {name: values[-1] for name, values in history.history.items()}


def require_refused(booth, batch, count):
    """A batch that so many devices cannot share evenly, given in each way in which it can be."""
    odd = {name: values[: count + 1] for name, values in batch.items()}
    ways = [
        lambda: booth.train_on_batch(odd),
        lambda: booth.test_on_batch(odd),
        lambda: booth.fit(odd, verbose=0),
        lambda: booth.fit(batch, batch_size=count + 1, verbose=0),
        lambda: booth.evaluate(tf.data.Dataset.from_tensors(odd), verbose=0),
    ]
    for way in ways:
        try:
            way()
        except InputError as error:
            assert f"{count} devices cannot share a batch of {count + 1} evenly" in str(error), error
        else:
            raise AssertionError("An uneven batch was taken.")


def run(case, way):
    """dict of arrays."""
    count, _, sharding = way.partition(":")
    with on_devices(int(count), sharding or "data") as found:
        assert found == int(count)
        booth, batch, before, losses = train(**CASES[case])
        weights = numpy(booth.trainable_variables)
        measured = booth.evaluate(tf.data.Dataset.from_tensors(batch).repeat(2), verbose=0, return_dict=True)
        tensors = {name: keras.ops.convert_to_tensor(values) for name, values in batch.items()}
        once = booth.train_on_batch(tensors, return_dict=True)
        # Five pictures: neither two nor four devices share them evenly.
        pictures = booth.generate("a photo of sks dog", count=5, seed=1)
        if found > 1:
            require_refused(booth, batch, found)
    figures = losses | {f"measured {k}": v for k, v in measured.items()} | {f"once {k}": v for k, v in once.items()}
    return {
        "before": np.concatenate([array.ravel() for array in before]),
        "weights": np.concatenate([array.ravel() for array in weights]),
        "figures": np.array(list(figures.values()), "float64"),
        "pictures": pictures,
    }


case, folder, *ways = sys.argv[1:]
for way in ways:
    np.savez(pathlib.Path(folder, f"{way}.npz"), **run(case, way))
