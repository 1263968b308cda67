"""Training that can be killed at any moment and goes on with the same command."""

import concurrent.futures
import time

import keras
import numpy as np
from keras import ops
from safetensors.numpy import load_file, save_file

from keras_booth.bases import load_weights, named_variables
from keras_booth.tools.files.writing import whole_file
from keras_booth.tools.process.machine import has_accelerator, prefers_jit

EPOCH_STEPS = 50
BACKUP = 60.0  # seconds between two backups, and at most an epoch more
CHECK_EPOCHS = 20
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
        return self.of(self.epoch, index)

    def of(self, epoch, index):
        """A batch of an epoch."""
        rng = np.random.default_rng([self.seed, epoch, index])
        count = len(next(iter(self.arrays.values())))
        # In the order of the file, where the arrays are memory-mapped.
        rows = np.sort(rng.integers(count, size=self.batch_size))
        return (self.pick(self.arrays, rows, rng),)


class SteadyAdamW(keras.optimizers.AdamW):
    """AdamW that takes a gradient which is not finite for none: one such step would end a training of hours."""

    def apply(self, grads, trainable_variables=None):
        norms = [ops.sum(ops.square(ops.cast(gradient, "float32"))) for gradient in grads if gradient is not None]
        finite = ops.isfinite(sum(norms))
        steady = [None if gradient is None else ops.where(finite, gradient, 0) for gradient in grads]
        return super().apply(steady, trainable_variables)


class Epochs(keras.utils.PyDataset):
    """One item an epoch: its batches stacked, for `scan_epochs`. The next one is made while the device is at work.

    Args:
        batches: `Batches`.
    """

    def __init__(self, batches):
        super().__init__()
        self.batches = batches
        self.pool = concurrent.futures.ThreadPoolExecutor(1)
        self.coming = {}

    def __len__(self):
        return 1

    def __getitem__(self, index):
        epoch = self.batches.epoch
        made = self.coming.pop(epoch, None) or self.pool.submit(self.stacked, epoch)
        self.coming = {epoch + 1: self.pool.submit(self.stacked, epoch + 1)}
        return made.result()

    def stacked(self, epoch):
        """All batches of an epoch, with a leading axis."""
        return keras.tree.map_structure(
            lambda *arrays: np.stack(arrays), *(self.batches.of(epoch, index) for index in range(len(self.batches)))
        )


def scan_epochs(model):
    """Have a compiled model run an item of `Epochs` in one call of the device (JAX).

    A step of a small model takes a GPU less time than Python needs to start it.
    """
    import jax

    def all_steps(state, data):
        def one_step(state, batch):
            logs, state = model.train_step(state, batch)
            return state, logs

        state, logs = jax.lax.scan(one_step, state, data)
        return {name: values[-1] for name, values in logs.items()}, state

    run = jax.jit(all_steps, donate_argnums=0)
    model._symbolic_build = lambda **_: None  # everything is built, and an item has one axis more than a batch
    model.train_function = lambda state, iterator: run(state, next(iterator))


def fit(model, batches, steps, learning_rate, work, ema, warmup=100, watch=None):
    """Fit with warm-up and cosine decay; afterwards the parts of the model have their averaged weights.

    Every minute all that training needs to go on is written to `work`, and beside it the averaged weights.

    Args:
        model: a training model, whose parts (`model_parts`) are trained.
        batches: `Batches`.
        steps: int, rounded up to a multiple of `EPOCH_STEPS`.
        learning_rate: float. The peak.
        work: `Path` of a folder.
        ema: float. Momentum of the averaged weights.
        warmup: int. Steps.
        watch: callable `(steps done, dict of the epoch's figures)` that is called after a backup, every `CHECK_EPOCHS`
            and at the end, or `None`.
    """
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(steps - warmup, 1), warmup_target=learning_rate, warmup_steps=min(warmup, steps), alpha=0.01
    )
    model.compile(
        optimizer=SteadyAdamW(
            schedule, weight_decay=0.01, beta_2=0.99, global_clipnorm=1.0, use_ema=True, ema_momentum=ema
        ),
        jit_compile="auto" if prefers_jit() else False,
    )
    work.mkdir(parents=True, exist_ok=True)
    # Makes the variables, and computes nothing.
    model(keras.tree.map_structure(lambda x: keras.KerasTensor(x.shape, x.dtype.name), batches[0][0]))
    model.optimizer.build(model.trainable_variables)
    done, epochs = restore(model, work / STATE), -(-steps // EPOCH_STEPS)

    kept = time.monotonic()

    def keep(epoch, logs=None):
        nonlocal kept
        checked = (epoch + 1) % CHECK_EPOCHS == 0 or epoch + 1 == epochs
        if checked or time.monotonic() - kept > BACKUP:
            save_averages(model, work / PARTS)
            save_state(model, epoch + 1, work / STATE)
            kept = time.monotonic()
        if checked and watch is not None:
            watch((epoch + 1) * EPOCH_STEPS, logs)

    def follow(epoch, logs=None):
        batches.epoch = epoch

    data = batches
    if keras.backend.backend() == "jax" and has_accelerator():
        data = Epochs(batches)
        scan_epochs(model)
    if done < epochs:
        log = keras.callbacks.CSVLogger(work / "log.csv", append=True)
        callbacks = [log, keras.callbacks.LambdaCallback(on_epoch_begin=follow, on_epoch_end=keep)]
        try:
            model.fit(data, initial_epoch=done, epochs=epochs, callbacks=callbacks, shuffle=False, verbose=2)
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
