"""What a DreamBooth model can do with LoRA."""

import math
from collections.abc import Mapping, Sequence

from keras_booth.bases import named_layers
from keras_booth.dreambooth.lora.adapters import Adapters, LoraConfig
from keras_booth.dreambooth.lora.files import read_lora, write_lora
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import InputError


class Adapted:
    """Methods of `DreamBooth`; kept here because they are one concept.

    They keep `adapters` of the model's `_parts`, and change its layers: `text_to_image` is cleared, `past` told.
    """

    @property
    def adapters(self) -> Adapters | None:
        """The model's `Adapters`, or `None`."""
        return self._parts.adapters

    def add_lora(self, config: LoraConfig | dict[str, tuple[int, float]] | None = None) -> None:
        """Freeze the model and give it low-rank matrices, which are then all that trains.

        Args:
            config: `LoraConfig`; `None` for rank 4 on the attention. Or a dict of `(rank, alpha)` by the full name
                of a layer. A `LoraConfig` means the text encoder only if `train_text_encoder`.

        Raises:
            InputError: if the model has LoRA already, or is compiled.
        """
        if self.adapters is not None:
            raise InputError("The model has LoRA already; merge it and save, or load its weights with `load_lora`.")
        if self.compiled:
            raise InputError("LoRA changes what is trained: add or load it before `compile`.")
        layers = named_layers(self.base)
        if not isinstance(config, dict):
            wanted = [name for name in layers if self.train_text_encoder or name.startswith("unet.")]
            config = (config or LoraConfig()).select(wanted)
        self._parts.past.without_lora = self.trained_steps
        self._parts.adapters = Adapters.attach(layers, config, self.seed)
        self._freeze_but_lora()
        self._parts.text_to_image.clear()

    def _freeze_but_lora(self):
        matrices = {id(variable) for variable in self.adapters.variables}
        matrices -= {id(variable) for variable in self.base.unused_variables}
        for model in (self.unet, *self.base.text_encoders.values()):
            # A frozen layer hides all of its variables, so each variable is frozen instead.
            model.trainable = True
            for variable in model.weights:
                variable.trainable = id(variable) in matrices

    def load_lora(self, path: FilePath) -> None:
        """Take LoRA from a file in kohya's, diffusers' or peft's layout.

        A model without LoRA gets the layers of the file; a model with LoRA of the same layers and ranks takes the
        values, to train on.

        Args:
            path: path of a `.safetensors` file; or of a folder that diffusers or peft wrote.

        Raises:
            InputError: for a file that cannot be read, or does not fit; the model is then unchanged.
        """
        matrices = read_lora(path, self.base)
        sizes = {name: found.size for name, found in matrices.items()}
        if self.adapters is None:
            self.add_lora(sizes)
        else:
            self._require_sizes(sizes, path)
        self.adapters.assign(matrices)
        self._parts.text_to_image.clear()

    def _require_sizes(self, sizes, path):
        """Refuse a file of other layers, ranks or alphas than the model's."""
        mine = self.adapters.sizes
        for name in sorted(mine.keys() | sizes.keys()):
            ours, theirs = mine.get(name), sizes.get(name)
            # Files round alphas.
            if not ours or not theirs or ours[0] != theirs[0] or not math.isclose(ours[1], theirs[1], rel_tol=1e-3):
                raise InputError(
                    f"The model has LoRA of other layers, ranks or alphas: (rank, alpha) of {name!r} is {ours}, in the "
                    f"file {theirs}. Received: {path}"
                )

    def save_lora(
        self,
        path: FilePath,
        *,
        layout: str = "kohya",
        dtype: str = "float32",
        subjects: Sequence[str] | None = None,
        prompts: Mapping[str, Mapping[str, int]] | None = None,
    ) -> None:
        """Write the LoRA alone, a few megabytes, for other programs and for `load_lora`.

        AUTOMATIC1111, ComfyUI, Forge and diffusers open it, if the base is a Stable Diffusion; of another base, such as
        `tiny_world`, only diffusers does.

        Args:
            path: path that ends in `.safetensors`.
            layout: `"kohya"`, which all of these read; or `"diffusers"`, for `pipe.load_lora_weights` alone.
            dtype: `"float32"` or `"float16"`.
            subjects: sequence of str, what the file says that was learned; `None` for identifier and class of the
                model: `("sks dog",)`.
            prompts: dict of dicts, what the file says that was shown: name of a folder -> prompt -> number of its
                photographs. `None` for the instance prompt.
        """
        self._require_lora()
        subjects = (self.subject,) if subjects is None else subjects
        prompts = {self.subject: {self.instance_prompt: 1}} if prompts is None else prompts
        write_lora(self.adapters.layers, path, self.base, layout, dtype, subjects, prompts)

    @property
    def lora_scale(self) -> float:
        """float: what LoRA is weighed by when pictures are drawn. 0 is the base, 1 what was trained."""
        self._require_lora()
        return self.adapters.scale

    @lora_scale.setter
    def lora_scale(self, scale: float):
        self._require_lora()
        self.adapters.scale = scale
        self._parts.text_to_image.clear()

    def merge_lora(self) -> None:
        """Add the matrices to the kernels: pictures are drawn at the speed of the base."""
        self._require_lora()
        self.adapters.merge()
        self._parts.text_to_image.clear()

    def unmerge_lora(self) -> None:
        """The inverse of `merge_lora`, up to rounding."""
        self._require_lora()
        self.adapters.merge(False)
        self._parts.text_to_image.clear()

    def _require_lora(self):
        if self.adapters is None:
            raise InputError("The model has no LoRA: make it with lora=LoraConfig(…), or call `load_lora`.")
