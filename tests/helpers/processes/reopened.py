"""Open a saved model in a process of its own with networking cut, draw with it, and train on if it can.

    python reopened.py MODEL PHOTOS ANSWERS

`MODEL.keras` may have been written on another backend. What was found goes to `ANSWERS.npz`.
"""

import socket
import sys


class Cut(socket.socket):
    """No connection can be made."""

    def __init__(self, *args, **kwargs):
        raise OSError("networking is cut")


# Not where the tests import this file for its helpers.
if __name__ == "__main__":
    socket.socket = Cut

import keras  # noqa: E402
import numpy as np  # noqa: E402

import keras_booth  # noqa: E402

PROMPT = "a photo of sks dog in the snow"
STEPS = 2  # of an epoch


def pictures(booth):
    return booth.generate(PROMPT, count=3, seed=4)


def dataset(booth, photos, start_step=0):
    return keras_booth.data.photo_dataset(
        photos, None, booth, batch_size=2, steps_per_epoch=STEPS, start_step=start_step
    )


def state(booth):
    """All that training changes, by name."""
    variables = booth.variables + (booth.optimizer.variables if booth.compiled else [])
    return {f"{index:04d} {v.path}": keras.ops.convert_to_numpy(v) for index, v in enumerate(variables)}


def main(model, photos, answers):
    booth = keras.saving.load_model(model)
    found = {"pictures": pictures(booth), "prior_loss_weight": booth.prior_loss_weight}
    if booth.compiled:
        history = booth.fit(dataset(booth, photos, start_step=booth.trained_steps), verbose=0).history
        found |= {"loss": history["loss"][0], **state(booth)}
        # And once more, from this process.
        booth.save(f"{answers}.keras")
        found |= {"after": pictures(booth), "reloaded": pictures(keras.saving.load_model(f"{answers}.keras"))}
    np.savez(answers, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
