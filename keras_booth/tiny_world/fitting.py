"""Training that can be killed at any moment and goes on with the same command."""

import keras
import numpy as np
from safetensors.numpy import load_file, save_file

from keras_booth.bases import load_weights, named_variables
from keras_booth.tools.files.writing import whole_file
from keras_booth.tools.process.machine import prefers_jit

EPOCH_STEPS = 50  # between two backups
STATE, PARTS = "state.safetensors", "parts.safetensors"


class Batches(keras.utils.PyDataset):
    """Endless random batches, a function of the seed and the epoch alone.

    Args:
        arrays: dict of arrays with the same first axis.
        batch_size: int.
        seed: int.
        pick: callable `(arrays, rows, rng) -> batch`.
    """

    def __init__(self, arrays, batch_size, seed, pick):
        super().__init__()
        self.arrays, self.batch_size, self.seed, self.pick = arrays, batch_size, seed, pick
        self.epoch = 0

    def __len__(self):
        return EPOCH_STEPS

    def __getitem__(self, index):
        rng = np.random.default_rng([self.seed, self.epoch, index])
        count = len(next(iter(self.arrays.values())))
        # In the order of the file, where the arrays are memory-mapped.
        rows = np.sort(rng.integers(count, size=self.batch_size))
        return (self.pick(self.arrays, rows, rng),)


def fit(model, batches, steps, learning_rate, work, ema, warmup=100, watch=None):
    """Fit with warm-up and cosine decay; afterwards the parts of the model have their averaged weights.

    After every epoch all that training needs to go on is in `work`, and beside it the averaged weights.

    Args:
        model: a training model, whose parts (`model_parts`) are trained.
        batches: `Batches`.
        steps: int, rounded up to a multiple of `EPOCH_STEPS`.
        learning_rate: float. The peak.
        work: `Path` of a folder.
        ema: float. Momentum of the averaged weights.
        warmup: int. Steps.
        watch: callable `(epochs done, dict of the epoch's figures)` that is called after every epoch, or `None`.
    """
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(steps - warmup, 1), warmup_target=learning_rate, warmup_steps=min(warmup, steps), alpha=0.01
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(
            schedule, weight_decay=0.01, beta_2=0.99, global_clipnorm=1.0, use_ema=True, ema_momentum=ema
        ),
        jit_compile="auto" if prefers_jit() else False,
    )
    work.mkdir(parents=True, exist_ok=True)
    model(batches[0][0])  # makes the variables
    model.optimizer.build(model.trainable_variables)
    done, epochs = restore(model, work / STATE), -(-steps // EPOCH_STEPS)

    def keep(epoch, logs=None):
        save_averages(model, work / PARTS)
        save_state(model, epoch + 1, work / STATE)
        if watch is not None:
            watch(epoch + 1, logs)

    def follow(epoch, logs=None):
        batches.epoch = epoch

    if done < epochs:
        log = keras.callbacks.CSVLogger(work / "log.csv", append=True)
        callbacks = [log, keras.callbacks.LambdaCallback(on_epoch_begin=follow, on_epoch_end=keep)]
        try:
            model.fit(batches, initial_epoch=done, epochs=epochs, callbacks=callbacks, shuffle=False, verbose=2)
        finally:
            # Keras does so at the end only, and not of a training that is interrupted.
            if log.csv_file:
                log.csv_file.close()
    load_weights(model_parts(model), work / PARTS)


def model_parts(model):
    """The trained `keras.Model`s of a training model by name."""
    return {layer.name: layer for layer in model.layers if isinstance(layer, keras.Model)}


def _numbered(model):
    """All that changes in training, in an order that is the same in the next process."""
    return {f"{index:05d}": variable for index, variable in enumerate(model.variables + model.optimizer.variables)}


def save_state(model, epoch, path):
    """Write weights, seeds and the optimizer's variables, with the number of epochs done."""
    tensors = {name: np.array(variable.numpy()) for name, variable in _numbered(model).items()}
    with whole_file(path) as part:
        save_file(tensors | {"epoch": np.array([epoch])}, part)


def restore(model, path):
    """Take up what `save_state` wrote. Returns the number of epochs done, 0 where there is no file."""
    if not path.exists():
        return 0
    tensors, variables = load_file(path), _numbered(model)
    epoch = int(tensors.pop("epoch")[0])
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if shapes != {name: tuple(variable.shape) for name, variable in variables.items()}:
        raise ValueError(f"The training was begun with another model: remove the folder. Received: {path}")
    for name, variable in variables.items():
        variable.assign(tensors[name])
    return epoch


def save_averages(model, path):
    """Write the parts with their averaged weights, as `load_weights` reads them."""
    # As `keras.callbacks.SwapEMAWeights` finds them.
    optimizer = model.optimizer
    averages = zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True)
    by_variable = {id(variable): average for variable, average in averages}
    tensors = {
        name: np.asarray(by_variable.get(id(variable), variable).numpy(), "float32")
        for name, variable in named_variables(model_parts(model)).items()
    }
    with whole_file(path) as part:
        save_file(tensors, part)
