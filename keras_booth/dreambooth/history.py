"""Whether a DreamBooth model is still the base that it was made of, which a saved file must say, too."""

import logging
from typing import Any

import numpy as np
from keras import ops

from keras_booth.dreambooth.optimizers.ending import steps_of
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import InputError

KEY = "history"  # among the model's own variables in a file


class Past:
    """How long a model was trained, over all its optimizers.

    Attributes:
        steps: int. Steps in all, when the optimizer had done `counted` ones.
        counted: int.
        without_lora: int. Those of `steps` that changed the weights beneath its LoRA; all of them without LoRA.
        known: bool. Whether the numbers are those of the weights: a file of an earlier version does not say them.
    """

    def __init__(self):
        self.steps = self.counted = self.without_lora = 0
        self.known = True


class History:
    """Methods of `DreamBooth`; kept here because they are one concept. They keep `past` of `_parts`."""

    @property
    def trained_steps(self) -> int:
        """int: training steps (batches) that made the weights what they are, also before saving and loading."""
        past = self._parts.past
        return past.steps + self._iterations() - past.counted

    def _iterations(self):
        optimizer = getattr(self, "optimizer", None)
        return self._parts.past.counted if optimizer is None else steps_of(optimizer)

    def count_steps(self) -> None:
        """Count on from what the optimizer has counted, whatever becomes of it."""
        past = self._parts.past
        past.steps, past.counted = self.trained_steps, self._iterations()

    def require_base(self) -> None:
        """Raises an `InputError` if the model draws as it was trained, and warns where that is not known."""
        past = self._parts.past
        adapters = self.adapters
        advice = "draw them with `DreamBooth.from_preset` of the base, and give them to `photo_dataset`"
        if (adapters is None and self.trained_steps) or (adapters is not None and past.without_lora):
            raise InputError(
                "Class images must be drawn before training, by the frozen base: call `class_images` first, or "
                f"{advice}. Received: a model after {self.trained_steps} training steps"
            )
        if adapters is not None and adapters.active:
            raise InputError(
                "Class images must be drawn by the frozen base: set `lora_scale = 0`, or "
                f"{advice}. Received: a model with LoRA, lora_scale={adapters.scale:g}"
            )
        if not past.known:
            logging.getLogger("keras_booth").warning(
                "The weights come from where nothing says how long they were trained (a file of an earlier version, "
                "or `set_weights`): class images must come from the base that was not trained. If they were, %s.",
                advice,
            )

    def set_weights(self, weights: Any) -> None:
        """`keras.Model.set_weights`: whose weights they are is not known then."""
        super().set_weights(weights)
        self._parts.past.known = False

    def load_weights(self, filepath: FilePath, *args: Any, **kwargs: Any) -> None:
        """`keras.Model.load_weights`; the file says how long the weights were trained."""
        super().load_weights(filepath, *args, **kwargs)
        # The optimizer's state may have been in the file, too, and may have fitted.
        self._parts.past.counted = self._iterations()

    def _store_history(self, store):
        past = self._parts.past
        without_lora = past.without_lora if self.adapters else self.trained_steps
        store[KEY] = np.array([self.trained_steps, self._iterations(), without_lora, past.known], "int64")

    def _restore_history(self, store):
        past = self._parts.past
        past.known = False
        if KEY in store.keys():
            numbers = (int(number) for number in ops.convert_to_numpy(store[KEY][:]))
            past.steps, past.counted, past.without_lora, known = numbers
            past.known = bool(known)
