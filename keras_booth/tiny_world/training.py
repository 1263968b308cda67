"""The two models that are trained from nothing: the autoencoder, and the denoiser with its text encoder."""

import keras
import numpy as np
from keras import ops

from keras_booth.bases import LOG_VARIANCE
from keras_booth.diffusion import snr_weights
from keras_booth.tiny_world.discriminator import PatchDiscriminator
from keras_booth.tiny_world.losses import decibels, reconstruction_loss

EMPTY_CAPTION_RATE = 0.1  # for classifier-free guidance (arXiv:2207.12598, algorithm 1)
KL_WEIGHT = 1e-5
LATENT_NOISE = 0.03  # of each channel's standard deviation
SNR_GAMMA = 5.0
WORDS_WEIGHT = 0.03


def as_float(pictures):
    """uint8 pictures -> float32 in `[-1, 1]`: here, so that a quarter of the bytes goes to the device."""
    return ops.cast(pictures, "float32") / 127.5 - 1.0


class AutoencoderTraining(keras.Model):
    """Reconstruction plus a light Kullback-Leibler term (LDM, arXiv:2112.10752, section 3.1).

    So light a term leaves hardly any noise in the posterior. A little more is added, in proportion to the latents, so
    that neighbors in latent space mean similar pictures, as a denoiser needs it.

    A batch is uint8 pictures.

    Args:
        image_encoder: `keras.Model`, pictures -> moments.
        decoder: `keras.Model`, latents -> pictures.
        seed: int.
    """

    def __init__(self, image_encoder, decoder, seed=0):
        super().__init__(name="autoencoder_training", dtype="float32", autocast=False)
        self.image_encoder = image_encoder
        self.decoder = decoder
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.psnr = keras.metrics.Mean(name="psnr")
        self.kl = keras.metrics.Mean(name="kl")

    def call(self, pictures):
        moments = ops.cast(self.image_encoder(as_float(pictures)), "float32")
        mean, log_variance = ops.split(moments, 2, axis=-1)
        log_variance = ops.clip(log_variance, *LOG_VARIANCE)
        noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        spread = ops.stop_gradient(ops.std(mean, axis=(0, 1, 2)))
        latents = mean + ops.sqrt(ops.exp(log_variance) + ops.square(LATENT_NOISE * spread)) * noise
        divergence = 0.5 * (ops.square(mean) + ops.exp(log_variance) - 1.0 - log_variance)
        return {"pictures": ops.cast(self.decoder(latents), "float32"), "kl": divergence}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        kl, truth = ops.mean(y_pred["kl"]), as_float(x)
        self.kl.update_state(kl)
        self.psnr.update_state(decibels(y_pred["pictures"], truth))
        return reconstruction_loss(y_pred["pictures"], truth) + KL_WEIGHT * kl


def normalize_latents(image_encoder, decoder, mean, deviation):
    """Fold an affine map into the 1x1 convolutions around the latents, so that each channel has mean 0, variance 1.

    The autoencoder computes the same pictures as before.

    Args:
        mean, deviation: float arrays `(channels,)`, the statistics of the unnormalized latents.
    """
    channels = len(mean)
    out = image_encoder.layers[-1].conv2d
    kernel, bias = (np.array(variable) for variable in (out.kernel, out.bias))
    kernel[..., :channels] /= deviation
    bias[:channels] = (bias[:channels] - mean) / deviation
    bias[channels:] -= 2.0 * np.log(deviation)
    out.kernel.assign(kernel)
    out.bias.assign(bias)
    into = decoder.layers[1].conv2d
    kernel, bias = (np.array(variable) for variable in (into.kernel, into.bias))
    into.kernel.assign(kernel * deviation[:, None])
    into.bias.assign(bias + mean @ kernel[0, 0])


class DecoderTraining(keras.Model):
    """The decoder alone, on latents that stay as they are, so that a trained denoiser keeps its meaning.

    A batch has the means of the `latents` and uint8 `pictures`.

    Args:
        decoder: `keras.Model`, latents -> pictures.
        noise: float. Standard deviation of noise added to the latents: the decoder must forgive a denoiser's errors.
        adversarial_weight: float. Weight of a patch discriminator that is trained beside it; 0 for none.
        seed: int.
    """

    def __init__(self, decoder, noise=0.05, adversarial_weight=0.0, seed=0):
        super().__init__(name="decoder_training", dtype="float32", autocast=False)
        self.decoder = decoder
        self.noise = noise
        self.adversarial_weight = adversarial_weight
        self.discriminator = PatchDiscriminator(seed) if adversarial_weight else None
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.psnr = keras.metrics.Mean(name="psnr")

    def call(self, batch):
        latents = ops.cast(batch["latents"], "float32")
        latents = latents + self.noise * keras.random.normal(ops.shape(latents), seed=self.seed_generator)
        return ops.cast(self.decoder(latents), "float32")

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        truth = as_float(x["pictures"])
        self.psnr.update_state(decibels(y_pred, truth))
        loss = reconstruction_loss(y_pred, truth)
        if self.discriminator is None:
            return loss
        loss = loss + self.adversarial_weight * self.discriminator.fooled(y_pred)
        return loss + self.discriminator.hinge(truth, y_pred)


def middling_timesteps(size, steps, seed):
    """Timesteps of a batch, spread evenly over the quantiles of Beta(2, 2), which prefers the middle.

    In the middle the shapes of a picture are decided; at the ends there is little to learn. The even spread
    (arXiv:2107.00630, appendix I.1) takes variance from the loss.

    Returns:
        int32 `(size,)` in `[0, steps)`.
    """
    offset = keras.random.uniform((), seed=seed)
    quantiles = (ops.arange(size, dtype="float32") + offset) / ops.cast(size, "float32")
    places = 0.5 - ops.sin(ops.arcsin(1.0 - 2.0 * quantiles) / 3.0)
    return ops.clip(ops.cast(places * steps, "int32"), 0, steps - 1)


def words_so_far(tokens, vocabulary_size):
    """The tokens up to each position, all alike: int `(batch, length)` -> float `(batch, length, vocabulary_size)`.

    Each position's shares sum to 1. It is what a causal text encoder can know at that position.
    """
    seen = ops.cast(ops.cumsum(ops.one_hot(tokens, vocabulary_size), axis=1) > 0, "float32")
    return seen / ops.sum(seen, axis=-1, keepdims=True)


class DenoiserTraining(keras.Model):
    """Text encoder and UNet trained together.

    The text encoder is also asked, lightly, which words it has read. CLIP's contrastive training makes it tell all
    words apart; the denoising loss alone has it forget those that no picture shows, and the rare identifiers are such
    words: then "a photo of sks dog" is "a photo of a dog" to the UNet, and DreamBooth has nothing to hold on to.

    An error of z_0 weighs SNR at a timestep, kept within [1, SNR_GAMMA]: capped as in min-SNR (arXiv:2303.09556,
    section 3.4), and not below 1 (arXiv:2202.00512, section 4), because class, colors and setting are decided where
    there is nearly only noise.

    A batch has the `moments` of the latents, means and log variances, and `tokens`.

    Args:
        base: `StableDiffusionBase`, whose text encoder and UNet are trained.
        seed: int.
    """

    def __init__(self, base, seed=0):
        super().__init__(name="denoiser_training", dtype="float32", autocast=False)
        self.base = base
        self.text_encoder = base.text_encoder
        self.unet = base.unet
        self.schedule = base.schedule
        self.empty_tokens = base.tokenizer([""])
        self.words = keras.layers.Dense(base.config.text_encoder.vocabulary_size, dtype="float32", name="words")
        self.words_loss = keras.metrics.Mean(name="words")
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, batch):
        mean, log_variance = ops.split(ops.cast(batch["moments"], "float32"), 2, axis=-1)
        noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        latents, tokens = mean + ops.exp(0.5 * log_variance) * noise, batch["tokens"]
        size = ops.shape(latents)[0]
        keep = keras.random.uniform((size, 1), seed=self.seed_generator) >= EMPTY_CAPTION_RATE
        tokens = ops.where(keep, tokens, self.empty_tokens)
        timesteps = middling_timesteps(size, self.schedule.steps, self.seed_generator)
        noise = keras.random.normal(ops.shape(latents), seed=self.seed_generator)
        noisy = self.schedule.add_noise(latents, noise, timesteps)
        given = self.base.condition(tokens)
        prediction = self.base.denoise(noisy, timesteps, given)
        error = ops.square(prediction - self.schedule.target(latents, noise, timesteps))
        logits = self.words(given["context"])
        words = keras.losses.categorical_crossentropy(words_so_far(tokens, logits.shape[-1]), logits, from_logits=True)
        return {"error": ops.mean(error, axis=(1, 2, 3)), "timesteps": timesteps, "words": ops.mean(words)}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        self.words_loss.update_state(y_pred["words"])
        weights = snr_weights(self.schedule, y_pred["timesteps"], SNR_GAMMA, least=1.0)
        denoising = ops.mean(weights * y_pred["error"])
        return denoising + WORDS_WEIGHT * y_pred["words"]
