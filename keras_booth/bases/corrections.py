"""What has to be corrected in KerasCV 0.9.0's Stable Diffusion blocks, in one place.

Each class has the weights, the names and the weight order of the block it corrects, so KerasCV's
weight files still fit; each says why it exists, and a test compares it with the original.
"""

import keras
from keras import ops
from keras_cv.src.models.stable_diffusion import diffusion_model as kerascv
from keras_cv.src.models.stable_diffusion.attention_block import AttentionBlock as KerasCVAttentionBlock
from keras_cv.src.models.stable_diffusion.padded_conv2d import PaddedConv2D
from keras_cv.src.models.stable_diffusion.resnet_block import ResnetBlock as KerasCVResnetBlock


class CrossAttention(kerascv.CrossAttention):
    """Attention in the layer's own precision.

    The original multiplies through a `keras.layers.Dot` made inside `call`, which takes the *global* dtype
    policy of the moment of tracing, and scales the scores after the product, which overflows in float16.
    """

    def call(self, inputs, context=None):
        context = inputs if context is None else context
        query = self._split_heads(self.to_q(inputs)) * self.scale
        key = self._split_heads(self.to_k(context))
        value = self._split_heads(self.to_v(context))
        weights = ops.softmax(ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))))
        attended = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))
        return self.out_proj(ops.reshape(attended, (-1, inputs.shape[1], self.num_heads * self.head_size)))

    def _split_heads(self, x):
        return ops.transpose(ops.reshape(x, (-1, x.shape[1], self.num_heads, self.head_size)), (0, 2, 1, 3))


class GEGLU(kerascv.GEGLU):
    """Gated exact GELU. The original writes out the tanh approximation and squares the gate, which overflows in
    float16; Stable Diffusion was trained with the exact function."""

    def call(self, inputs):
        x, gate = ops.split(self.dense(inputs), 2, axis=-1)
        return x * keras.activations.gelu(gate, approximate=False)


class BasicTransformerBlock(kerascv.BasicTransformerBlock):
    """The original with the corrected attention and GEGLU; `call` is inherited."""

    def __init__(self, dim, num_heads, head_size, **kwargs):
        # Not the parent's __init__: layers it makes stay tracked even when they are replaced.
        keras.layers.Layer.__init__(self, **kwargs)
        self.norm1 = keras.layers.LayerNormalization(epsilon=1e-5)
        self.attn1 = CrossAttention(num_heads, head_size)
        self.norm2 = keras.layers.LayerNormalization(epsilon=1e-5)
        self.attn2 = CrossAttention(num_heads, head_size)
        self.norm3 = keras.layers.LayerNormalization(epsilon=1e-5)
        self.geglu = GEGLU(dim * 4)
        self.dense = keras.layers.Dense(dim)


class SpatialTransformer(kerascv.SpatialTransformer):
    """The original with the corrected transformer block and the group-norm epsilon Stable Diffusion was trained
    with (1e-6, where KerasCV has 1e-5); `call` is inherited."""

    def __init__(self, num_heads, head_size, fully_connected=False, **kwargs):
        keras.layers.Layer.__init__(self, **kwargs)
        channels = num_heads * head_size
        self.norm = keras.layers.GroupNormalization(epsilon=1e-6)
        self.proj1 = keras.layers.Dense(channels) if fully_connected else PaddedConv2D(channels, 1)
        self.transformer_block = BasicTransformerBlock(channels, num_heads, head_size)
        self.proj2 = keras.layers.Dense(channels) if fully_connected else PaddedConv2D(channels, 1)


class ResnetBlock(KerasCVResnetBlock):
    """The VAE's residual block with the group-norm epsilon it was trained with (1e-6, where KerasCV has 1e-5)."""

    def __init__(self, output_dim, **kwargs):
        super().__init__(output_dim, **kwargs)
        self.norm1.epsilon = self.norm2.epsilon = 1e-6


class AttentionBlock(KerasCVAttentionBlock):
    """The VAE's attention with the group-norm epsilon it was trained with (1e-6, where KerasCV has 1e-5)."""

    def __init__(self, output_dim, **kwargs):
        super().__init__(output_dim, **kwargs)
        self.norm.epsilon = 1e-6
