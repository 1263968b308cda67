"""Names for what annotations mean."""

import os
from collections.abc import Iterable
from typing import Any, TypeAlias

FilePath: TypeAlias = str | os.PathLike[str]
Prompts: TypeAlias = str | Iterable[str]
# Of Keras's backend: an array of TensorFlow or JAX, or what stands for one while a function is compiled.
Tensor: TypeAlias = Any
