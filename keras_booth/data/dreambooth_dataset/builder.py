"""The DreamBooth dataset as TensorFlow Datasets has them: `tfds.load("dreambooth/dog6")` once this is imported.

A module of its own, because importing `tensorflow_datasets` takes seconds.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds

from keras_booth.data.dreambooth_dataset.subjects import SUBJECTS, subject_folder
from keras_booth.data.errors import PhotoError
from keras_booth.tools.annotations import FilePath

COMMIT = "4f887af7970a06fc0cd3adaa1d0b368547d6a1d0"
ADDRESS = f"https://raw.githubusercontent.com/google/dreambooth/{COMMIT}/dataset"
DESCRIPTION = """
Four to six photographs of each of thirty subjects, and 25 prompts for things and for animals, with which DreamBooth
(arXiv:2208.12242) was measured. By the paper's authors and from unsplash.com; see `references_and_licenses.txt` there.
"""
CITATION = """
@inproceedings{ruiz2023dreambooth,
  title={Dreambooth: Fine tuning text-to-image diffusion models for subject-driven generation},
  author={Ruiz, Nataniel and Li, Yuanzhen and Jampani, Varun and Pritch, Yael and Rubinstein, Michael and
          Aberman, Kfir},
  booktitle={Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year={2023}
}
"""


@dataclasses.dataclass(eq=False)
class SubjectConfig(tfds.core.BuilderConfig):
    """One subject.

    Args:
        class_noun: str.
        live: bool.
        prompts: tuple of str, with `{}` where the subject goes.
        files: tuple of str.
    """

    class_noun: str = ""
    live: bool = False
    prompts: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


class Dreambooth(tfds.core.GeneratorBasedBuilder):
    """The DreamBooth dataset, a config for each subject; its split is `train`.

    Args:
        checkout: path of a checkout of `google/dreambooth`, or of the `dataset` in it; `None` to download the
            photographs, each against its checksum.
        **kwargs: of `tfds.core.GeneratorBasedBuilder`: `data_dir`, `config`, …
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": f"google/dreambooth at {COMMIT[:7]}"}
    BUILDER_CONFIGS = [
        SubjectConfig(
            name=subject.name,
            description=f"{subject.count} photographs of a {subject.class_noun}",
            class_noun=subject.class_noun,
            live=subject.live,
            prompts=subject.prompts,
            files=subject.files,
        )
        for subject in SUBJECTS
    ]

    def __init__(self, *, checkout: FilePath | None = None, **kwargs: Any):
        self.checkout = None if checkout is None else pathlib.Path(checkout)
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.builder_config
        return tfds.core.DatasetInfo(
            builder=self,
            description=DESCRIPTION,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
                    "filename": tfds.features.Text(),
                }
            ),
            homepage="https://github.com/google/dreambooth",
            citation=CITATION,
            metadata=tfds.core.MetadataDict(
                {"class_noun": config.class_noun, "live": config.live, "prompts": list(config.prompts)}
            ),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        config = self.builder_config
        if self.checkout is None:
            urls = {name: f"{ADDRESS}/{config.name}/{name}" for name in config.files}
            return {"train": self._generate_examples(dl_manager.download(urls))}
        folder = subject_folder(self.checkout, config.name)
        missing = [name for name in config.files if not (folder / name).is_file()]
        if missing:
            raise PhotoError(f"The checkout lacks {missing[0]}. Received: {folder}")
        return {"train": self._generate_examples({name: folder / name for name in config.files})}

    def _generate_examples(self, paths: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, path in paths.items():
            # The bytes as they are: nothing is compressed a second time.
            yield name, {"image": pathlib.Path(path), "filename": name}
