"""What models draw before training and after it, kept as files, so that nothing is done twice."""

import dataclasses
import pathlib
import tempfile

from keras_booth.callbacks import TrainingProgress
from keras_booth.evaluation import BASE, Protocol
from keras_booth.experiments.drawn import read_drawn, write_drawn
from keras_booth.experiments.study.cases import Case
from keras_booth.tools.files.writing import whole_file
from keras_booth.workflow.build import build_booth, compile_booth, resolve
from keras_booth.workflow.config import RunConfig
from keras_booth.workflow.files import slug
from keras_booth.workflow.subjects import (
    Pictures,
    build_dataset,
    find_pictures,
    gather_prior,
    hold_out,
    ready_metrics,
)
from keras_booth.workflow.training.fitting import keep_best, sampling_options

BEFORE, WITHOUT, WITH = BASE, "without prior loss", "with prior loss"


@dataclasses.dataclass(frozen=True)
class Study:
    """The pictures of a folder.

    Args:
        recipe: `RunConfig`, whose training, prior and sampling options are those of every run.
        folder: `Path`.
        count: int. Pictures of each prompt.
        class_count: int. Pictures of the class.
        seed: int. Seed of all pictures.
    """

    recipe: RunConfig
    folder: pathlib.Path
    count: int
    class_count: int
    seed: int

    def place(self, case, state, run=0):
        """`Path` of the folder with the pictures of a model."""
        name = f"{case.name}, {state}" + (f", run {run + 1}" if run else "")
        return self.folder / "samples" / slug(name)

    def drawn(self, case: Case, state, run=0):
        """`Drawn` of a model: found, or drawn now, for which it is trained.

        Args:
            case: `Case`.
            state: `BEFORE`, `WITHOUT` or `WITH`.
            run: int. Which of several runs; each has a seed of its own.
        """
        config = case.config(self.recipe)
        place = self.place(case, state, run)
        if not place.is_dir():
            config = config.replace("training", seed=config.training.seed + run)
            booth = build_booth(config)
            if state != BEFORE:
                train(without_prior(config) if state == WITHOUT else config, booth)
            found = self.protocol(case).draw(booth)
            place.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(place) as part:
                write_drawn(part, found)
        names = (config.subject.identifier, case.class_noun, config.subject.class_prompt)
        return read_drawn(place, self.protocol(case), *names)

    def protocol(self, case):
        """The `Protocol` of a subject."""
        options = sampling_options(self.recipe.sampling)
        return Protocol(case.prompts, self.count, self.class_count, self.seed, options)


def without_prior(config):
    """The same run without class images: as many photographs a step as with them."""
    share = config.training.batch_size / (1 + config.prior.ratio)
    return config.replace("prior", loss_weight=0.0).replace("training", batch_size=max(1, round(share)))


def train(config, booth):
    """Train as `keras_booth.train` does, without its files."""
    config = resolve(config, booth)
    photos, own = find_pictures(config)
    trained, _ = hold_out(config, photos)
    pictures = Pictures(trained, gather_prior(config, booth, own), metrics=ready_metrics(config, booth))
    data = build_dataset(config, booth, pictures)
    compile_booth(config, booth)
    progress = TrainingProgress(config.training.steps)
    with tempfile.TemporaryDirectory(prefix="keras_booth-") as folder:
        best = keep_best(config, booth, pictures, pathlib.Path(folder))
        try:
            booth.fit(data, verbose=0, callbacks=[progress, *([best] if best else [])])
        finally:
            progress.close()
