"""CLIP's text encoder of KerasCV's blocks, described by a config."""

import dataclasses

import keras
from keras import ops
from keras_cv.src.models.stable_diffusion.text_encoder import quick_gelu

from keras_booth.bases.networks.checks import MOST_LAYERS, MOST_TOKENS, check_count, check_heads
from keras_booth.bases.networks.corrections import CLIPEmbedding, CLIPEncoderLayer
from keras_booth.tools.errors import InputError
from keras_booth.tools.files.typed_fields import check_types
from keras_booth.tools.wording import shown

ACTIVATIONS = {"quick_gelu": quick_gelu, "gelu": lambda x: keras.activations.gelu(x, approximate=False)}


@dataclasses.dataclass(frozen=True)
class TextEncoderConfig:
    """Sizes of the text encoder; the defaults are CLIP ViT-L/14's, used by Stable Diffusion 1.x.

    Args:
        vocabulary_size: int. Number of tokens.
        max_length: int. Tokens of a prompt, start and end included.
        width: int. Width of the embeddings.
        layers: int. Number of transformer layers.
        heads: int. Attention heads; divides `width`.
        activation: `"quick_gelu"` or `"gelu"`.
        padding: str. Token that fills short prompts: the end token in Stable Diffusion 1.x, "!" in 2.x.
        added_tokens: tuple of the fields of `AddedToken`s; see `Tokenizer`.
    """

    vocabulary_size: int = 49408
    max_length: int = 77
    width: int = 768
    layers: int = 12
    heads: int = 12
    activation: str = "quick_gelu"
    padding: str = "<|endoftext|>"
    added_tokens: tuple[tuple[str, int, bool], ...] = ()

    def __post_init__(self):
        check_types(self)
        object.__setattr__(self, "added_tokens", tuple(map(tuple, self.added_tokens)))
        check_count("vocabulary_size", "vocab_size", self.vocabulary_size)
        check_count("width", "hidden_size", self.width)
        check_count("layers", "num_hidden_layers", self.layers, MOST_LAYERS)
        check_count("max_length", "max_position_embeddings", self.max_length, MOST_TOKENS)
        # Start and end, and something to say.
        if self.max_length < 3:
            raise InputError(f"max_length must be >= 3. Received: max_length={self.max_length}")
        if self.activation not in ACTIVATIONS:
            raise InputError(
                f"activation must be one of {tuple(ACTIVATIONS)}. Received: activation={shown(self.activation)}"
            )
        for content, number, _ in self.added_tokens:
            if not content or not 0 <= number < self.vocabulary_size:
                raise InputError(
                    f"added_tokens must be texts with ids below vocabulary_size, {self.vocabulary_size}. "
                    f"Received: {shown(content)} with the id {number}"
                )
        check_heads(self.heads, self.width)


class Positions(keras.layers.Layer):
    """The positions 0, 1, … for each prompt: int `(batch, length)` -> int32 `(batch, length)`."""

    def call(self, tokens):
        return ops.broadcast_to(ops.arange(tokens.shape[1], dtype="int32"), ops.shape(tokens))

    def compute_output_spec(self, tokens):
        return keras.KerasTensor(tokens.shape, dtype="int32")


def build_text_encoder(config: TextEncoderConfig, name: str = "text_encoder") -> keras.Model:
    """Tokens -> text embeddings, in the weight order of KerasCV's `TextEncoder`.

    Returns:
        `keras.Model` from int32 `(batch, max_length)` to float `(batch, max_length, width)`.
    """
    tokens = keras.Input((config.max_length,), dtype="int32", name="tokens")
    embedding = CLIPEmbedding(config.vocabulary_size, config.width, config.max_length)
    x = embedding([tokens, Positions()(tokens)])
    for _ in range(config.layers):
        x = CLIPEncoderLayer(config.width, config.heads, activation=ACTIVATIONS[config.activation])(x)
    x = keras.layers.LayerNormalization(epsilon=1e-5)(x)
    return keras.Model(tokens, x, name=name)
