"""DINO (arXiv:2104.14294): a vision transformer that tells single subjects apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_booth.bases import WeightTensor, open_model
from keras_booth.evaluation.encoders.hub_models import attention, keras_hub_models, pair, reshaped
from keras_booth.evaluation.encoders.image_encoder import ImageEncoder
from keras_booth.evaluation.encoders.preprocessing import Preprocessing
from keras_booth.tools.annotations import FilePath

if TYPE_CHECKING:
    import keras

DINO = "hf://facebook/dino-vits16"


def load_dino(place: FilePath = DINO) -> ImageEncoder:
    """DINO's ViT-S/16, the encoder of the paper's subject fidelity (arXiv:2208.12242, section 4.1).

    Args:
        place: folder that transformers' `ViTModel` wrote, or its address on the hub.

    Returns:
        `ImageEncoder`, whose embedding is the class token behind the last norm.

    Raises:
        CheckpointError: if it cannot be had, or is another model.
        InputError: without KerasHub.
    """
    found = open_model(place, "vit")
    preprocessing = Preprocessing.of(*found.preprocessor())
    side, models = found.number("image_size"), keras_hub_models()
    with found.building():
        model = models.ViTBackbone(
            image_shape=(side, side, 3),
            patch_size=found.number("patch_size"),
            num_layers=found.number("num_hidden_layers"),
            num_heads=found.number("num_attention_heads"),
            hidden_dim=found.number("hidden_size"),
            mlp_dim=found.number("intermediate_size"),
            layer_norm_epsilon=found.config.get("layer_norm_eps", 1e-12),
            use_mha_bias=found.config.get("qkv_bias", True),
            data_format="channels_last",
            dtype="float32",
        )
    found.load(vit_tensors(model), ignored=(r"pooler\.",))
    return ImageEncoder("DINO", model, lambda output: output[:, 0], preprocessing, (side, side))


def vit_tensors(model: keras.Model) -> list[WeightTensor]:
    """The weights of a `ViTBackbone` by their names in transformers' `ViTModel`."""
    embedding, encoder = model.get_layer("vit_patching_and_embedding"), model.get_layer("vit_encoder")
    places = embedding.position_embedding.embeddings
    found = pair(embedding.patch_embedding, "embeddings.patch_embeddings.projection")
    token = embedding.class_token
    found.append(WeightTensor(token, reshaped(token.shape), "embeddings.cls_token"))
    found.append(WeightTensor(places, reshaped(places.shape, (1, *places.shape)), "embeddings.position_embeddings"))
    for index, block in enumerate(encoder.encoder_layers):
        name = f"encoder.layer.{index}"
        inner = [f"{name}.attention.attention.{part}" for part in ("query", "key", "value")]
        found += pair(block.layer_norm_1, f"{name}.layernorm_before")
        found += attention(block.mha, *inner, f"{name}.attention.output.dense")
        found += pair(block.layer_norm_2, f"{name}.layernorm_after")
        found += pair(block.mlp.dense_1, f"{name}.intermediate.dense")
        found += pair(block.mlp.dense_2, f"{name}.output.dense")
    return found + pair(encoder.layer_norm, "layernorm")
