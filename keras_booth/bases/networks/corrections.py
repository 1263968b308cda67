"""What has to be corrected in KerasCV 0.9.0's Stable Diffusion blocks, in one place.

Each class has the weights, the names and the weight order of the block it corrects, so KerasCV's
weight files still fit; each says why it exists, and a test compares it with the original.

All of them build their parts in `build` and know their output's shape. The originals leave both to Keras, which then
traces every block once for each level of nesting: loading tiny_world took five times as long.
"""

import keras
from keras import ops
from keras_cv.src.models.stable_diffusion import diffusion_model as kerascv
from keras_cv.src.models.stable_diffusion import text_encoder as clip
from keras_cv.src.models.stable_diffusion.attention_block import AttentionBlock as KerasCVAttentionBlock
from keras_cv.src.models.stable_diffusion.padded_conv2d import PaddedConv2D as KerasCVPaddedConv2D
from keras_cv.src.models.stable_diffusion.resnet_block import ResnetBlock as KerasCVResnetBlock

from keras_booth.bases.networks import winograd
from keras_booth.bases.networks.attention import attend
from keras_booth.bases.networks.lean import gated_gelu, normalize_channels, normalize_groups
from keras_booth.bases.networks.low_rank import Convolution, Dense
from keras_booth.bases.networks.token_merging import count_merged, match, merge, unmerge
from keras_booth.tools.process.machine import has_accelerator

# From so many filters for each pixel of its input on, a convolution is faster as a product.
FILTERS_PER_PIXEL = 20


def build_chain(layers, shape):
    """Build layers of which each takes what the one before puts out. Returns the last one's output shape."""
    for layer in layers:
        layer.build(shape)
        shape = layer.compute_output_shape(shape)
    return shape


class GradientCheckpointing:
    """A block that may forget what it computed inside, and compute it again in the backward pass (gradient
    checkpointing, arXiv:1604.06174). Put it before the class whose `call` it wraps."""

    forgets = False

    def call(self, inputs):
        return keras.remat(super().call)(inputs) if self.forgets else super().call(inputs)


class Conv2D(Convolution):
    """A convolution that on a CPU is computed by matrix products, where that is faster.

    Where its kernel is large beside the feature map it is one product: oneDNN and XLA put a kernel in their own order
    in every call, which there takes longer than the arithmetic; a product takes it as it is and copies the feature
    map, once for each place of the kernel. On 4 x 4 pixels and 1280 channels that is two to five times as fast. On more
    pixels of many channels TensorFlow computes it in Winograd's form (`winograd`), which is twice as fast
    (`benchmarks/convolution.py`).
    """

    def convolution_op(self, inputs, kernel):
        if has_accelerator():
            return super().convolution_op(inputs, kernel)
        if kernel.shape[-1] >= FILTERS_PER_PIXEL * inputs.shape[1] * inputs.shape[2]:
            return convolve_by_product(inputs, kernel, self.strides, self.padding)
        if keras.backend.backend() == "tensorflow" and winograd.pays(inputs, kernel, self.strides, self.padding):
            return winograd.convolve(inputs, kernel)
        return super().convolution_op(inputs, kernel)


def convolve_by_product(inputs, kernel, strides=(1, 1), padding="valid"):
    """A convolution as one matrix product.

    Args:
        inputs: float array `(batch, H, W, channels)`.
        kernel: float array `(height, width, channels, filters)`, of odd height and width.
        strides: (down, right); with `"same"` padding 1.
        padding: `"valid"` or `"same"`.

    Returns:
        float array `(batch, h, w, filters)`.
    """
    height, width, channels, filters = kernel.shape
    if padding == "same":
        inputs = ops.pad(inputs, ((0, 0), *((side // 2, side // 2) for side in (height, width)), (0, 0)))
    down, right = strides
    rows, columns = (inputs.shape[1] - height) // down + 1, (inputs.shape[2] - width) // right + 1
    places = [
        inputs[:, top : top + down * rows : down, left : left + right * columns : right]
        for top in range(height)
        for left in range(width)
    ]
    seen = ops.reshape(ops.concatenate(places, axis=-1), (-1, height * width * channels))
    products = ops.matmul(seen, ops.reshape(kernel, (height * width * channels, filters)))
    return ops.reshape(products, (-1, rows, columns, filters))


class PaddedConv2D(KerasCVPaddedConv2D):
    """A convolution that pads by itself where it can: the original writes a padded copy of its input first."""

    def __init__(self, filters, kernel_size, padding=0, strides=1, **kwargs):
        keras.layers.Layer.__init__(self, **kwargs)
        self.pads_itself = strides == 1 and padding == kernel_size // 2
        self.padding2d = keras.layers.ZeroPadding2D(padding)
        self.conv2d = Conv2D(filters, kernel_size, strides=strides, padding="same" if self.pads_itself else "valid")

    def build(self, input_shape):
        # Of a model with a layer that is not built Keras's `predict` computes its first batch without compiling (JAX).
        self.padding2d.build(input_shape)
        self.conv2d.build(self._padded_shape(input_shape))

    def compute_output_shape(self, input_shape):
        return self.conv2d.compute_output_shape(self._padded_shape(input_shape))

    def _padded_shape(self, shape):
        return shape if self.pads_itself else self.padding2d.compute_output_shape(shape)

    def call(self, inputs):
        return self.conv2d(inputs if self.pads_itself else self.padding2d(inputs))


class GroupNormalization(keras.layers.GroupNormalization):
    """Keras's, which keeps less for the backward pass (`lean`), and may be followed by swish, as it is nearly
    everywhere."""

    def __init__(self, groups=32, swish=False, **kwargs):
        super().__init__(groups, **kwargs)
        self.swish = swish

    def call(self, inputs):
        gamma, beta = (ops.cast(variable, "float32") for variable in (self.gamma, self.beta))
        inputs = ops.cast(inputs, self.compute_dtype)
        return normalize_groups(inputs, gamma, beta, self.groups, self.epsilon, self.swish)


class LayerNormalization(keras.layers.LayerNormalization):
    """Keras's, which keeps less for the backward pass (`lean`)."""

    def call(self, inputs):
        gamma, beta = (ops.cast(variable, "float32") for variable in (self.gamma, self.beta))
        return normalize_channels(ops.cast(inputs, self.compute_dtype), gamma, beta, self.epsilon)


class ResBlock(GradientCheckpointing, kerascv.ResBlock):
    """The UNet's residual block with convolutions that pad by themselves, and as many groups in its norms as one likes;
    `call` is inherited."""

    def __init__(self, output_dim, groups=32, **kwargs):
        keras.layers.Layer.__init__(self, **kwargs)
        self.output_dim = output_dim
        self.entry_flow = convolve_after_norm(output_dim, groups)
        self.embedding_flow = [keras.layers.Activation("swish"), Dense(output_dim)]
        self.exit_flow = convolve_after_norm(output_dim, groups)

    def build(self, input_shape):
        shape, embedding_shape = input_shape
        build_chain(self.embedding_flow, embedding_shape)
        build_chain(self.exit_flow, build_chain(self.entry_flow, shape))
        self.residual_projection = residual_projection(shape, self.output_dim)

    def compute_output_shape(self, input_shape):
        return (*input_shape[0][:-1], self.output_dim)


def convolve_after_norm(channels, groups):
    """The layers of one half of a residual block of the UNet."""
    return [GroupNormalization(groups, swish=True, epsilon=1e-5), PaddedConv2D(channels, 3, padding=1)]


def residual_projection(shape, channels):
    """What fits the input of a residual block to its output."""
    if shape[-1] == channels:
        return lambda x: x
    projection = PaddedConv2D(channels, 1)
    projection.build(shape)
    return projection


class Upsample(kerascv.Upsample):
    """The original with a convolution that pads by itself; `call` is inherited."""

    def __init__(self, channels, **kwargs):
        keras.layers.Layer.__init__(self, **kwargs)
        self.ups = keras.layers.UpSampling2D(2)
        self.conv = PaddedConv2D(channels, 3, padding=1)

    def build(self, input_shape):
        build_chain([self.ups, self.conv], input_shape)

    def compute_output_shape(self, input_shape):
        return self.conv.compute_output_shape(self.ups.compute_output_shape(input_shape))


class CrossAttention(kerascv.CrossAttention):
    """Attention in the layer's own precision.

    The original multiplies through a `keras.layers.Dot` made inside `call`, which takes the *global* dtype
    policy of the moment of tracing, and scales the scores after the product, which overflows in float16.
    """

    def __init__(self, num_heads, head_size, **kwargs):
        keras.layers.Layer.__init__(self, **kwargs)
        self.to_q, self.to_k, self.to_v = (Dense(num_heads * head_size, use_bias=False) for _ in range(3))
        self.scale = head_size**-0.5
        self.num_heads = num_heads
        self.head_size = head_size
        self.out_proj = Dense(num_heads * head_size)

    def build(self, inputs_shape, context_shape=None):
        self.to_q.build(inputs_shape)
        self.to_k.build(context_shape or inputs_shape)
        self.to_v.build(context_shape or inputs_shape)
        self.out_proj.build((*inputs_shape[:-1], self.num_heads * self.head_size))

    def compute_output_shape(self, inputs_shape, context_shape=None):
        return (*inputs_shape[:-1], self.num_heads * self.head_size)

    def call(self, inputs, context=None):
        context = inputs if context is None else context
        query = self._split_heads(self.to_q(inputs)) * self.scale
        key = self._split_heads(self.to_k(context))
        value = self._split_heads(self.to_v(context))
        attended = ops.transpose(attend(query, key, value), (0, 2, 1, 3))
        return self.out_proj(ops.reshape(attended, (-1, inputs.shape[1], self.num_heads * self.head_size)))

    def _split_heads(self, x):
        return ops.transpose(ops.reshape(x, (-1, x.shape[1], self.num_heads, self.head_size)), (0, 2, 1, 3))


class SelfAttention(CrossAttention):
    """Attention of a feature map's tokens to each other, which may merge the most similar of them for as long as it
    lasts (`token_merging`); the original does not."""

    # (height, width) of the feature map, and how many of its tokens go away.
    size, merged = None, 0

    def call(self, inputs, context=None):
        if not self.merged:
            return super().call(inputs, context)
        groups = match(inputs, self.size, self.merged)
        return unmerge(super().call(merge(inputs, groups, self.merged)), groups)


class GEGLU(kerascv.GEGLU):
    """Gated exact GELU. The original writes out the tanh approximation and squares the gate, which overflows in
    float16; Stable Diffusion was trained with the exact function."""

    def __init__(self, output_dim, **kwargs):
        keras.layers.Layer.__init__(self, **kwargs)
        self.output_dim = output_dim
        self.dense = Dense(output_dim * 2)

    def build(self, input_shape):
        self.dense.build(input_shape)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.output_dim)

    def call(self, inputs):
        return gated_gelu(self.dense(inputs))


class BasicTransformerBlock(kerascv.BasicTransformerBlock):
    """The original with the corrected attention and GEGLU; `call` is inherited."""

    def __init__(self, dim, num_heads, head_size, **kwargs):
        # Not the parent's __init__: layers it makes stay tracked even when they are replaced.
        keras.layers.Layer.__init__(self, **kwargs)
        self.norm1 = LayerNormalization(epsilon=1e-5)
        self.attn1 = SelfAttention(num_heads, head_size)
        self.norm2 = LayerNormalization(epsilon=1e-5)
        self.attn2 = CrossAttention(num_heads, head_size)
        self.norm3 = LayerNormalization(epsilon=1e-5)
        self.geglu = GEGLU(dim * 4)
        self.dense = Dense(dim)

    def build(self, input_shape):
        shape, context_shape = input_shape
        for norm in (self.norm1, self.norm2, self.norm3):
            norm.build(shape)
        self.attn1.build(shape)
        self.attn2.build(shape, context_shape)
        build_chain([self.geglu, self.dense], shape)

    def compute_output_shape(self, input_shape):
        return input_shape[0]


class SpatialTransformer(GradientCheckpointing, kerascv.SpatialTransformer):
    """The original with the corrected transformer block, as many of them as one likes, and the group-norm epsilon
    Stable Diffusion was trained with (1e-6, where KerasCV has 1e-5)."""

    def __init__(self, num_heads, head_size, fully_connected=False, groups=32, depth=1, **kwargs):
        keras.layers.Layer.__init__(self, **kwargs)
        channels = num_heads * head_size
        self.norm = GroupNormalization(groups, epsilon=1e-6)
        self.proj1 = Dense(channels) if fully_connected else PaddedConv2D(channels, 1)
        # The first one by itself, as in KerasCV, whose files and ours know it by this name.
        self.transformer_block = BasicTransformerBlock(channels, num_heads, head_size)
        self.further_blocks = [BasicTransformerBlock(channels, num_heads, head_size) for _ in range(depth - 1)]
        self.proj2 = Dense(channels) if fully_connected else PaddedConv2D(channels, 1)

    @property
    def blocks(self):
        """list of the transformer blocks, in their order."""
        return [self.transformer_block, *self.further_blocks]

    def build(self, input_shape):
        (batch, height, width, channels), context_shape = input_shape
        for layer in (self.norm, self.proj1, self.proj2):
            layer.build((batch, height, width, channels))
        for block in self.blocks:
            block.build([(batch, height * width, channels), context_shape])
            block.attn1.size = (height, width)

    def call(self, inputs):
        inputs, context = inputs
        _, height, width, channels = inputs.shape
        x = ops.reshape(self.proj1(self.norm(inputs)), (-1, height * width, channels))
        for block in self.blocks:
            x = block([x, context])
        return self.proj2(ops.reshape(x, (-1, height, width, channels))) + inputs

    @property
    def size(self):
        """(height, width) of the feature map."""
        return self.transformer_block.attn1.size

    def merge_tokens(self, ratio):
        """Have the self-attentions see fewer tokens: `ratio` of them go away (`token_merging`); 0 for none."""
        for block in self.blocks:
            block.attn1.merged = count_merged(self.size, ratio)

    def compute_output_shape(self, input_shape):
        return input_shape[0]


class ResnetBlock(KerasCVResnetBlock):
    """The VAE's residual block with the group-norm epsilon it was trained with (1e-6, where KerasCV has 1e-5), as many
    groups as one likes, and convolutions that pad by themselves."""

    def __init__(self, output_dim, groups=32, **kwargs):
        keras.layers.Layer.__init__(self, **kwargs)
        self.output_dim = output_dim
        self.norm1 = GroupNormalization(groups, swish=True, epsilon=1e-6)
        self.conv1 = PaddedConv2D(output_dim, 3, padding=1)
        self.norm2 = GroupNormalization(groups, swish=True, epsilon=1e-6)
        self.conv2 = PaddedConv2D(output_dim, 3, padding=1)

    def build(self, input_shape):
        build_chain([self.norm1, self.conv1, self.norm2, self.conv2], input_shape)
        self.residual_projection = residual_projection(input_shape, self.output_dim)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.output_dim)

    def call(self, inputs):
        x = self.conv2(self.norm2(self.conv1(self.norm1(inputs))))
        return x + self.residual_projection(inputs)


class AttentionBlock(KerasCVAttentionBlock):
    """The VAE's attention with the group-norm epsilon it was trained with (1e-6, where KerasCV has 1e-5), as many
    groups as one likes, and in slices where the picture is large."""

    def __init__(self, output_dim, groups=32, **kwargs):
        keras.layers.Layer.__init__(self, **kwargs)
        self.output_dim = output_dim
        self.norm = GroupNormalization(groups, epsilon=1e-6)
        self.q = PaddedConv2D(output_dim, 1)
        self.k = PaddedConv2D(output_dim, 1)
        self.v = PaddedConv2D(output_dim, 1)
        self.proj_out = PaddedConv2D(output_dim, 1)

    def build(self, input_shape):
        for layer in (self.norm, self.q, self.k, self.v, self.proj_out):
            layer.build(input_shape)

    def compute_output_shape(self, input_shape):
        return input_shape

    def call(self, inputs):
        x = self.norm(inputs)
        # One head.
        query, key, value = (
            ops.reshape(layer(x), (-1, 1, inputs.shape[1] * inputs.shape[2], self.output_dim))
            for layer in (self.q, self.k, self.v)
        )
        attended = attend(query * self.output_dim**-0.5, key, value)
        return self.proj_out(ops.reshape(attended, (-1, *inputs.shape[1:3], self.output_dim))) + inputs


class CLIPEmbedding(clip.CLIPEmbedding):
    """The original, built at once."""

    def build(self, input_shape):
        for layer, shape in zip((self.token_embedding, self.position_embedding), input_shape, strict=True):
            layer.build(shape)

    def compute_output_shape(self, input_shape):
        return self.token_embedding.compute_output_shape(input_shape[0])


class CLIPAttention(clip.CLIPAttention):
    """The original of layers that can be given low-rank matrices; `call` is inherited."""

    def __init__(self, embed_dim, num_heads, causal=True, **kwargs):
        keras.layers.Layer.__init__(self, **kwargs)
        self.embed_dim, self.num_heads, self.causal = embed_dim, num_heads, causal
        self.head_dim = embed_dim // num_heads
        self.scale = self.head_dim**-0.5
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (Dense(embed_dim) for _ in range(4))


class CLIPEncoderLayer(GradientCheckpointing, clip.CLIPEncoderLayer):
    """The original, built at once, of layers that can be given low-rank matrices; `call` is inherited."""

    def __init__(self, embed_dim, num_heads, activation=None, **kwargs):
        keras.layers.Layer.__init__(self, **kwargs)
        self.layer_norm1 = LayerNormalization(epsilon=1e-5)
        self.clip_attn = CLIPAttention(embed_dim, num_heads)
        self.layer_norm2 = LayerNormalization(epsilon=1e-5)
        self.fc1 = Dense(embed_dim * 4)
        self.fc2 = Dense(embed_dim)
        self.activation = activation

    def build(self, input_shape):
        build_chain([self.layer_norm1, self.layer_norm2, self.fc1, self.fc2], input_shape)
        attention = self.clip_attn
        for layer in (attention.q_proj, attention.k_proj, attention.v_proj, attention.out_proj):
            layer.build(input_shape)
        attention.built = True

    def compute_output_shape(self, input_shape):
        return input_shape
