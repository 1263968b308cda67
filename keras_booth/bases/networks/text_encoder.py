"""CLIP's text encoder of KerasCV's blocks, described by a config."""

import dataclasses

import keras
from keras import ops
from keras_cv.src.models.stable_diffusion.text_encoder import quick_gelu

from keras_booth.bases.networks.checks import MOST_LAYERS, MOST_TOKENS, check_count, check_heads
from keras_booth.bases.networks.corrections import CLIPEmbedding, CLIPEncoderLayer
from keras_booth.bases.networks.low_rank import Dense
from keras_booth.tools.errors import InputError
from keras_booth.tools.files.typed_fields import check_types
from keras_booth.tools.wording import shown

END = "<|endoftext|>"
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
        penultimate: bool. Whether the embeddings are what goes into the last layer, without the norm behind it.
        pooled_width: int. Width of the pooled embedding: the last layer's of the end token, through the norm and a
            projection; 0 for none.
    """

    vocabulary_size: int = 49408
    max_length: int = 77
    width: int = 768
    layers: int = 12
    heads: int = 12
    activation: str = "quick_gelu"
    padding: str = END
    added_tokens: tuple[tuple[str, int, bool], ...] = ()
    penultimate: bool = False
    pooled_width: int = 0

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
        if self.pooled_width < 0:
            raise InputError(f"pooled_width must be >= 0. Received: pooled_width={self.pooled_width}")

    @property
    def end(self) -> int:
        """Id of the token that ends a prompt, which is the last one of CLIP's vocabulary."""
        ids = (number for content, number, _ in self.added_tokens if content == END)
        return next(ids, self.vocabulary_size - 1)


class Positions(keras.layers.Layer):
    """The positions 0, 1, … for each prompt: int `(batch, length)` -> int32 `(batch, length)`."""

    def call(self, tokens):
        return ops.broadcast_to(ops.arange(tokens.shape[1], dtype="int32"), ops.shape(tokens))

    def compute_output_spec(self, tokens):
        return keras.KerasTensor(tokens.shape, dtype="int32")


class AtEnd(keras.layers.Layer):
    """What stands at a prompt's end: `[(batch, length, width), tokens (batch, length)]` -> `(batch, width)`.

    Args:
        end: int, id of the token that ends a prompt. The first one counts.
    """

    def __init__(self, end, **kwargs):
        super().__init__(**kwargs)
        self.end = end

    def call(self, inputs):
        x, tokens = inputs
        places = ops.argmax(ops.cast(ops.equal(tokens, self.end), "int32"), axis=1)
        return ops.take_along_axis(x, places[:, None, None], axis=1)[:, 0]

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], input_shape[0][2])


def build_text_encoder(config: TextEncoderConfig, name: str = "text_encoder") -> keras.Model:
    """Tokens -> text embeddings, in the weight order of KerasCV's `TextEncoder`.

    Returns:
        `keras.Model` from int32 `(batch, max_length)` to float `(batch, max_length, width)`. With `penultimate` or a
        `pooled_width` to a list of two: these embeddings, and the pooled one `(batch, pooled_width)`; or, where there
        is none, what the last layer and the norm make of them, which nobody needs, but whose weights checkpoints have.
    """
    tokens = keras.Input((config.max_length,), dtype="int32", name="tokens")
    embedding = CLIPEmbedding(config.vocabulary_size, config.width, config.max_length)
    x = embedding([tokens, Positions()(tokens)])
    for _ in range(config.layers):
        before, x = x, CLIPEncoderLayer(config.width, config.heads, activation=ACTIVATIONS[config.activation])(x)
    x = keras.layers.LayerNormalization(epsilon=1e-5)(x)
    if not config.penultimate and not config.pooled_width:
        return keras.Model(tokens, x, name=name)
    pooled = Dense(config.pooled_width, use_bias=False)(AtEnd(config.end)([x, tokens])) if config.pooled_width else x
    return keras.Model(tokens, [before if config.penultimate else x, pooled], name=name)


def unused_layers(text_encoder: keras.Model, config: TextEncoderConfig) -> list[keras.layers.Layer]:
    """The layers behind the embeddings that nothing is made of, so that they cannot be trained: the last one and the
    norm of an encoder whose embeddings are those before it, and which makes no pooled one.

    Args:
        text_encoder: `keras.Model` of `build_text_encoder`.
        config: `TextEncoderConfig`.
    """
    if not config.penultimate or config.pooled_width:
        return []
    kinds = CLIPEncoderLayer, keras.layers.LayerNormalization
    return [layer for layer in text_encoder.layers if isinstance(layer, kinds)][-2:]
