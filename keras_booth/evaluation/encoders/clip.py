"""CLIP (arXiv:2103.00020): pictures and texts as vectors of one space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_booth.bases import ForeignModel, Tokenizer, WeightTensor, open_model
from keras_booth.evaluation.encoders.hub_models import attention, keras_hub_models, pair, reshaped
from keras_booth.evaluation.encoders.image_encoder import AT_ONCE, ImageEncoder, unit_length
from keras_booth.evaluation.encoders.preprocessing import Preprocessing
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import InputError

if TYPE_CHECKING:
    from typing import Any

CLIP = "hf://openai/clip-vit-base-patch32"


class TextEncoder:
    """A tokenizer and a network.

    Args:
        name: str, for what is said of it.
        encode: callable, int32 tokens `(batch, length)` -> `(batch, width)`.
        tokenizer: `Tokenizer`.
    """

    def __init__(self, name: str, encode: Any, tokenizer: Tokenizer):
        self.name, self.tokenizer = name, tokenizer
        self._encode = encode

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Encodes texts; what is longer than the encoder takes is cut off, with a warning.

        Returns:
            float32 array `(count, width)`, each row of length 1.

        Raises:
            InputError: if an embedding is not finite, or there is no text.
        """
        if not texts:
            raise InputError(f"{self.name} needs at least one text. Received: 0 texts")
        tokens = self.tokenizer(list(texts))
        parts = [self._encode(tokens[first : first + AT_ONCE]) for first in range(0, len(tokens), AT_ONCE)]
        return unit_length(np.concatenate([keras.ops.convert_to_numpy(part) for part in parts]), self.name)


def load_clip(place: FilePath = CLIP) -> tuple[ImageEncoder, TextEncoder]:
    """CLIP's two towers with their projections: ViT-B/32, ViT-L/14, or any other of its sizes.

    Args:
        place: folder that transformers' `CLIPModel` wrote, or its address on the hub.

    Raises:
        CheckpointError: if it cannot be had, or is another model.
        InputError: without KerasHub.
    """
    found = open_model(place, "clip")
    preprocessing, models = Preprocessing.of(*found.preprocessor()), keras_hub_models()
    with found.building():
        model, side, length = build_clip(found, models)
    found.load(clip_tensors(model), ignored=(r"logit_scale$", r".*\.position_ids$"))
    images = ImageEncoder("CLIP", model.get_vision_embeddings, lambda output: output, preprocessing, (side, side))
    return images, TextEncoder("CLIP", model.get_text_embeddings, found.tokenizer(length))


def build_clip(found: ForeignModel, models: Any) -> tuple[keras.Model, int, int]:
    """`(CLIPBackbone, side of its pictures, length of its texts)` as a config describes it, of `keras_hub.models`."""

    def sizes(tower):
        return {
            "hidden_dim": found.number(tower, "hidden_size"),
            "num_layers": found.number(tower, "num_hidden_layers"),
            "num_heads": found.number(tower, "num_attention_heads"),
            "intermediate_dim": found.number(tower, "intermediate_size"),
            "intermediate_activation": found.config[tower].get("hidden_act", "quick_gelu"),
            "dtype": "float32",
        }

    side, length = found.number("vision_config", "image_size"), found.number("text_config", "max_position_embeddings")
    vision = models.CLIPVisionEncoder(
        patch_size=found.number("vision_config", "patch_size"),
        image_shape=(side, side, 3),
        data_format="channels_last",
        name="vision",
        **sizes("vision_config"),
    )
    text = models.CLIPTextEncoder(
        vocabulary_size=found.number("text_config", "vocab_size"),
        embedding_dim=found.number("text_config", "hidden_size"),
        max_sequence_length=length,
        name="text",
        **sizes("text_config"),
    )
    # A weight that KerasHub's own converters fill; it begins as zeros.
    vision.embedding.position_ids.assign(np.arange(vision.embedding.num_positions)[None])
    # KerasHub writes 1e-6, transformers 1e-5.
    text.layer_norm.epsilon = float(found.config["text_config"].get("layer_norm_eps", 1e-5))
    model = models.CLIPBackbone(vision, text, found.number("projection_dim"), dtype="float32")
    return model, side, length


def clip_tensors(model: keras.Model) -> list[WeightTensor]:
    """The weights of a `CLIPBackbone` by their names in transformers' `CLIPModel`."""
    vision, text = model.vision_encoder, model.text_encoder
    one = vision.embedding.class_embedding
    patches = vision.embedding.patch_embedding
    places = text.embedding.position_embedding.position_embeddings
    found = [
        WeightTensor(one, reshaped(one.shape), "vision_model.embeddings.class_embedding"),
        *pair(patches, "vision_model.embeddings.patch_embedding"),
        embedding(vision.embedding.position_embedding.embeddings, "vision_model.embeddings.position_embedding"),
        *pair(vision.pre_layer_norm, "vision_model.pre_layrnorm"),  # spelled so
        *blocks(vision, "vision_model"),
        *pair(vision.layer_norm, "vision_model.post_layernorm"),
        *pair(model.vision_projection, "visual_projection"),
        embedding(text.embedding.token_embedding.embeddings, "text_model.embeddings.token_embedding"),
        embedding(places, "text_model.embeddings.position_embedding"),
        *blocks(text, "text_model"),
        *pair(text.layer_norm, "text_model.final_layer_norm"),
        *pair(model.text_projection, "text_projection"),
    ]
    return found


def embedding(variable, name):
    """A table of vectors."""
    return WeightTensor(variable, reshaped(variable.shape), f"{name}.weight")


def blocks(tower, name):
    """The transformer's layers of one tower."""
    found = []
    for index, layer in enumerate(tower.encoder_layers):
        prefix = f"{name}.encoder.layers.{index}"
        inner = [f"{prefix}.self_attn.{part}_proj" for part in ("q", "k", "v", "out")]
        found += pair(layer.layer_norm_1, f"{prefix}.layer_norm1")
        found += attention(layer.attention, *inner)
        found += pair(layer.layer_norm_2, f"{prefix}.layer_norm2")
        found += pair(layer.dense_1, f"{prefix}.mlp.fc1")
        found += pair(layer.dense_2, f"{prefix}.mlp.fc2")
    return found
