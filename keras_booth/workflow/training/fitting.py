"""The fit of a run, with all that happens between its steps."""

from keras_booth.callbacks import (
    Checkpoints,
    FiniteGuard,
    KeepBest,
    OrderlyStop,
    SampleGrid,
    StepLog,
    TensorBoardLog,
    TrainingProgress,
    ValidationLoss,
    few_pictures,
)
from keras_booth.tools.process.processes import is_first

CHECKPOINTS = "checkpoints"


def sample_grid(sampling, folder):
    """The `SampleGrid` of a run's `SamplingOptions`."""
    return SampleGrid(
        sampling.prompts,
        count=sampling.count,
        every=sampling.every,
        folder=folder / "samples",
        seed=sampling.seed,
        **sampling_options(sampling),
    )


def keep_best(config, booth, pictures, folder):
    """The `KeepBest` of a run; `None` where the last weights are kept."""
    if not config.training.keep_best:
        return None
    return KeepBest(
        pictures.photos[0],
        folder,
        config.training.keep_best,
        config.training.patience,
        pictures.metrics,
        few_pictures(booth, **sampling_options(config.sampling)),
    )


def sampling_options(sampling):
    """What `SamplingOptions` say of drawing, for `DreamBooth.generate`."""
    return {name: getattr(sampling, name) for name in ("steps", "guidance_scale", "sampler", "batch_size")}


def fit(config, booth, data, validation, pictures, folder, start, notes):
    """Trains from step `start` to the end, also where the last step was done before.

    Args:
        config: `RunConfig`.
        booth: compiled `DreamBooth`.
        data, validation: what `build_datasets` made.
        pictures: `Pictures`.
        folder: `Path` of the run folder.
        start: int.
        notes: dict, the run's fingerprint, for its checkpoints.

    Raises:
        KeyboardInterrupt: between two steps, with a checkpoint of the last one if there are checkpoints.

    Returns:
        `(callbacks, samples)`: those that have something to do when the model is saved, and the run's `SampleGrid`.
    """
    training, sampling = config.training, config.sampling
    samples = sample_grid(sampling, folder)
    progress = TrainingProgress(training.steps)
    if validation is not None:
        validation = ValidationLoss(validation, folder / "validation.csv", training.validate_every, training.seed)
    every = training.checkpoint_every
    guard, stop, best = FiniteGuard(every or training.steps), OrderlyStop(), keep_best(config, booth, pictures, folder)
    checkpoints = Checkpoints(folder / CHECKPOINTS, every, training.keep_last, notes) if every else None
    # The guard comes before the checkpoints, which then are of a sound model. Without `sampling.every` the only
    # samples are those of the report, which come when the model is safely on disk.
    callbacks = [
        StepLog(folder / "log.csv"),
        *([progress] if is_first() else []),
        guard,
        *([checkpoints] if checkpoints else []),
        stop,
        *([best] if best else []),
        *([validation] if validation else []),
        *([samples] if sampling.every else []),
        *([TensorBoardLog(folder / "tensorboard", validation, samples)] if training.tensorboard and is_first() else []),
    ]
    for callback in (*callbacks, samples):
        callback.start = callback.step = start
        callback.stop = training.steps
        # `fit` does it, too, where it runs.
        callback.set_model(booth)
    try:
        if data is not None:
            with stop:
                booth.fit(data, verbose=0, callbacks=callbacks)
    except KeyboardInterrupt:
        if checkpoints and stop.between:
            checkpoints.save()
        raise
    finally:
        progress.close()
    # What `fit` does at its end, and does not where nothing was left to train; a second time it changes nothing.
    booth.optimizer.finalize_variable_values(booth.trainable_variables)
    guard.check_weights()
    if best is not None:
        best.restore()
    return callbacks, samples
