"""The one description of a run."""

import dataclasses
import json
import math
import re
from dataclasses import dataclass
from typing import Literal

from keras_booth.tools.dtypes import HALF
from keras_booth.tools.errors import InputError, require, require_different, require_guidance
from keras_booth.tools.prompts import require_prompt
from keras_booth.tools.wording import shown
from keras_booth.workflow.settings.kinds import is_of_kind
from keras_booth.workflow.settings.limits import check_group

SamplerName = Literal["ddim", "euler", "euler_ancestral", "dpmpp_2m"]
# From the prompts of the DreamBooth data set (arXiv:2208.12242).
SETTINGS = (
    "in the snow",
    "on the beach",
    "in the jungle",
    "with a city in the background",
    "on top of a wooden floor",
    "with a mountain in the background",
)


@dataclass(frozen=True, kw_only=True)
class BaseOptions:
    """The base that is fine-tuned.

    Args:
        preset: A name, such as "tiny_world" or "stable_diffusion_1.4"; a folder in diffusers' format; a .safetensors
            file; a .keras file, to train on from it; or hf://owner/name.
        weights: "pretrained", or null for random ones.
        image_size: Side of the pictures in pixels, or [height, width]; null for the base's own.
        dtype: Precision of text encoder and UNet; null for Keras's own, float32. With bfloat16 the decoder computes in
            it, too. With LoRA, bfloat16 and float16 are the mixed precisions with frozen weights of half the size.
        vocabulary: File with CLIP's merge list, gzipped; null for the base's own.
        prediction_type: "epsilon" or "v_prediction", where a file does not say it; null for the base's own.
        zero_terminal_snr: Rescale the noise schedule so that it ends in noise alone; for bases that predict v.
        merge_tokens: Share of the tokens that the UNet's self-attention merges, for speed at a large size; 0 for none.
        vae: Another autoencoder (vae-ft-mse, …): a folder in diffusers' format, a .safetensors file, or hf://owner/name;
            null for the base's own.
    """

    preset: str = "tiny_world"
    weights: str | None = "pretrained"
    image_size: int | tuple[int, int] | None = None
    dtype: Literal["float32", "mixed_bfloat16", "mixed_float16", "bfloat16", "float16"] | None = None
    vocabulary: str | None = None
    prediction_type: Literal["epsilon", "v_prediction"] | None = None
    zero_terminal_snr: bool = False
    merge_tokens: float = 0.0
    vae: str | None = None

    def __post_init__(self):
        check_group(self, "base", "preset", "vocabulary", "vae")
        require(self.preset.strip(), "base.preset", "a preset, a folder or a file", self.preset)
        for name in ("vocabulary", "vae"):
            path = getattr(self, name)
            require(path is None or path.strip(), f"base.{name}", "a file or null", path)
        size = self.image_size if isinstance(self.image_size, (tuple, list)) else [self.image_size]
        require(all(side is None or side >= 1 for side in size), "base.image_size", ">= 1", self.image_size)
        require(0 <= self.merge_tokens < 0.75, "base.merge_tokens", "in [0, 0.75)", self.merge_tokens)


@dataclass(frozen=True, kw_only=True)
class SubjectOptions:
    """The subject and its photographs.

    Args:
        photos: Folder with the photographs of the subject; three to five are enough.
        class_noun: What the subject is, "dog".
        identifier: The rare word that shall stand for the subject.
        instance_prompt: Prompt of the photographs; null for "a photo of IDENTIFIER CLASS".
        class_prompt: Prompt of the class images; null for "a photo of a CLASS".
        crop: What is cut to the shape of the pictures, the center or a random part; of its class images too.
        flip: Whether to mirror its photographs and class images at random.
        captions: Whether to take the prompts from NAME.txt beside NAME.jpg, or from metadata.jsonl, where they are.
        class_images: Your own class images of this subject; null for those of prior.folder, or to have them drawn.
    """

    photos: str
    class_noun: str
    identifier: str = "sks"
    instance_prompt: str | None = None
    class_prompt: str | None = None
    crop: Literal["center", "random"] = "center"
    flip: bool = False
    captions: bool = False
    class_images: str | None = None

    def __post_init__(self):
        check_group(self, "subject", "photos", "class_images")
        require(self.photos.strip(), "subject.photos", "a folder", self.photos)
        require(self.class_noun.strip(), "subject.class_noun", "the word for what the subject is", self.class_noun)
        require(self.identifier.strip(), "subject.identifier", "a rare word", self.identifier)
        for name in ("class_noun", "identifier", "instance_prompt", "class_prompt"):
            if getattr(self, name) is not None:
                require_prompt(getattr(self, name), f"subject.{name}")
        require(self.class_images is None or self.class_images.strip(), "subject.class_images", "a folder or null", "")
        require_different("subject.identifier", self.identifier, "subject.class_noun", self.class_noun)


@dataclass(frozen=True, kw_only=True)
class PriorOptions:
    """Prior preservation: class images keep the class from turning into the subject.

    Args:
        loss_weight: Weight of the prior loss, the paper's lambda. 0 trains without class images.
        count: Number of class images.
        settings: Settings in which every other class image shows the class, by turns: [in the snow, on the beach]; what
            settings look like is kept, too. Null for the class prompt alone.
        ratio: Class images per photograph in training.
        target: What the model's prediction for a class image is held against, what was added to the image (images, as
            in the paper), or what the base predicts (base, for LoRA), which keeps the class as the base draws it.
        folder: Your own class images; null to have the base draw them once and keep them in a cache.
        seed: Seed of the drawn class images.
        steps: Sampling steps of the drawn class images; null for the base's own.
        guidance_scale: Guidance of the drawn class images; null for the base's own.
        sampler: Sampler of the drawn class images; null for the base's own.
    """

    loss_weight: float = 1.0
    count: int = 200
    settings: tuple[str, ...] | None = None
    ratio: float = 1.0
    target: Literal["images", "base"] = "images"
    folder: str | None = None
    seed: int = 0
    steps: int | None = None
    guidance_scale: float | None = None
    sampler: SamplerName | None = None

    def __post_init__(self):
        check_group(self, "prior", "folder")
        require(0 <= self.loss_weight < math.inf, "prior.loss_weight", ">= 0", self.loss_weight)
        require(self.count >= 1, "prior.count", ">= 1", self.count)
        require(self.settings is None or self.settings, "prior.settings", "null or at least one", [])
        for setting in self.settings or ():
            require_prompt(setting, "prior.settings")
        require(0 <= self.ratio < math.inf, "prior.ratio", ">= 0", self.ratio)
        require(self.folder is None or self.folder.strip(), "prior.folder", "a folder or null", self.folder)
        require(self.seed >= 0, "prior.seed", ">= 0", self.seed)
        require(self.steps is None or self.steps >= 1, "prior.steps", ">= 1", self.steps)
        require_guidance("prior.guidance_scale", self.guidance_scale)

    @property
    def wanted(self):
        """Whether there are class images in this run at all."""
        return self.loss_weight > 0 and self.ratio > 0

    def prompts(self, class_prompt):
        """The prompts of the class images that are drawn, which take turns: list of str."""
        pairs = ((class_prompt, f"{class_prompt} {setting.strip()}") for setting in self.settings or ())
        return [prompt for pair in pairs for prompt in pair] or [class_prompt]


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """The fit.

    Args:
        steps: Number of steps. A step is one batch; all that is counted in steps counts batches.
        batch_size: Pictures in a step, photographs and class images together.
        learning_rate: Learning rate, the highest of the run.
        warmup_steps: Steps in which the learning rate grows from 0.
        learning_rate_schedule: What follows the warm-up, a constant learning rate or half a cosine down to 0.
        text_encoder: Whether to train the text encoder along with the UNet.
        text_encoder_learning_rate: The text encoder's own; null for that of the UNet.
        text_encoder_2_learning_rate: A second text encoder's own; null for the first one's.
        text_encoder_until: Step after which the text encoder stays as it is; null to train it to the end.
        optimizer: Name of the Keras optimizer.
        optimizer_arguments: Further arguments of the optimizer, as Keras names them: {beta_2: 0.99}.
        ema_momentum: Momentum of an exponential moving average of the weights, a step at a time, which then is what is
            saved, and what samples and validation show, during training too; 0.999 is usual. Null for none.
        weight_decay: Decoupled weight decay.
        global_clipnorm: Limit of the norm of all gradients together; null for none.
        min_snr_gamma: Weighs the timesteps so that an error of the picture counts min(SNR, gamma); 5 is usual. Null for
            the paper's unweighted objective.
        noise_offset: Noise that is the same all over a picture, for very dark and very bright ones; 0.1 is usual.
        cache_latents: Whether to encode all pictures once before training (and all prompts, if the text encoder is not
            trained), and not in every step.
        gradient_checkpointing: Whether to compute the blocks' inner values again in the backward pass, and not to keep
            them: less memory, more time.
        accumulation: Steps whose gradients are put together before the weights change. What is left over at the end of
            the run changes them, too.
        validate_every: Steps between two measurements of the loss on fixed samples, in validation.csv; 0 for none.
        hold_out: Photographs of each subject, the last by name, that are not trained on; validation.csv has their loss.
        keep_best: Steps between two measurements of subject, prompt and class, the best of which is what is saved, with
            best.csv and best.png of all; 0 to save the last.
        patience: Measurements without a better one after which training stops; null to go on to the end.
        tensorboard: Whether to write event files for TensorBoard.
        checkpoint_every: Steps between two checkpoints, from which `--resume` goes on; 0 for none.
        keep_last: How many checkpoints stay; of two, one is left where a disk damages the other. They are deleted when
            the run is finished.
        seed: Seed of noise, time steps and the order of the photographs.
    """

    steps: int = 800
    batch_size: int = 2
    learning_rate: float = 5e-6
    warmup_steps: int = 0
    learning_rate_schedule: Literal["constant", "cosine"] = "constant"
    text_encoder: bool = False
    text_encoder_learning_rate: float | None = None
    text_encoder_2_learning_rate: float | None = None
    text_encoder_until: int | None = None
    optimizer: Literal["adamw", "adam", "lion", "adafactor", "lamb", "sgd"] = "adamw"
    optimizer_arguments: dict[str, float | bool | str] = dataclasses.field(default_factory=dict)
    ema_momentum: float | None = None
    weight_decay: float = 0.01
    global_clipnorm: float | None = 1.0
    min_snr_gamma: float | None = None
    noise_offset: float = 0.0
    cache_latents: bool = True
    gradient_checkpointing: bool = False
    accumulation: int = 1
    validate_every: int = 0
    hold_out: int = 0
    keep_best: int = 0
    patience: int | None = None
    tensorboard: bool = False
    checkpoint_every: int = 100
    keep_last: int = 2
    seed: int = 0

    def __post_init__(self):
        check_group(self, "training")
        require(self.steps >= 1, "training.steps", ">= 1", self.steps)
        require(self.batch_size >= 1, "training.batch_size", ">= 1", self.batch_size)
        require(0 < self.learning_rate < math.inf, "training.learning_rate", "> 0", self.learning_rate)
        require(self.warmup_steps >= 0, "training.warmup_steps", ">= 0", self.warmup_steps)
        require(0 <= self.weight_decay < math.inf, "training.weight_decay", ">= 0", self.weight_decay)
        clipnorm = self.global_clipnorm
        require(clipnorm is None or clipnorm > 0, "training.global_clipnorm", "> 0", clipnorm)
        rate, until = self.text_encoder_learning_rate, self.text_encoder_until
        second = self.text_encoder_2_learning_rate
        require(rate is None or 0 <= rate < math.inf, "training.text_encoder_learning_rate", ">= 0", rate)
        require(second is None or 0 <= second < math.inf, "training.text_encoder_2_learning_rate", ">= 0", second)
        require(until is None or until >= 0, "training.text_encoder_until", ">= 0", until)
        momentum = self.ema_momentum
        require(momentum is None or 0 <= momentum < 1, "training.ema_momentum", "in [0, 1)", momentum)
        require(self.validate_every >= 0, "training.validate_every", ">= 0", self.validate_every)
        require(self.hold_out >= 0, "training.hold_out", ">= 0", self.hold_out)
        require(self.keep_best >= 0, "training.keep_best", ">= 0", self.keep_best)
        require(self.patience is None or self.patience >= 1, "training.patience", ">= 1", self.patience)
        gamma = self.min_snr_gamma
        require(gamma is None or 0 < gamma < math.inf, "training.min_snr_gamma", "> 0", gamma)
        require(0 <= self.noise_offset < math.inf, "training.noise_offset", ">= 0", self.noise_offset)
        require(self.accumulation >= 1, "training.accumulation", ">= 1", self.accumulation)
        require(self.checkpoint_every >= 0, "training.checkpoint_every", ">= 0", self.checkpoint_every)
        require(self.keep_last >= 1, "training.keep_last", ">= 1", self.keep_last)
        require(self.seed >= 0, "training.seed", ">= 0", self.seed)


@dataclass(frozen=True, kw_only=True)
class LoraOptions:
    """LoRA: small matrices beside the frozen weights are all that trains.

    Args:
        rank: Rank of the matrices, 4 to 32; 0 to train the weights themselves.
        alpha: The matrices' product is weighed by alpha / rank; null for the rank.
        targets: Which layers get them, any of attention, feed_forward, convolution.
        layout: Layout of the LoRA's file; kohya is read by AUTOMATIC1111, ComfyUI, Forge and diffusers.
    """

    rank: int = 0
    alpha: float | None = None
    targets: tuple[Literal["attention", "feed_forward", "convolution"], ...] = ("attention",)
    layout: Literal["kohya", "diffusers"] = "kohya"

    def __post_init__(self):
        check_group(self, "lora")
        require(self.rank >= 0, "lora.rank", ">= 0", self.rank)
        require(self.alpha is None or 0 < self.alpha < math.inf, "lora.alpha", "> 0", self.alpha)
        require(len(self.targets) > 0, "lora.targets", "a list of at least one", self.targets)


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """The sample pictures.

    Args:
        prompts: List of prompts; null for the subject in some settings, and its class alone.
        count: Pictures of each prompt.
        every: Training steps between two sheets of samples; 0 for one at the end only.
        steps: Sampling steps; null for the base's own.
        guidance_scale: Guidance; null for the base's own.
        sampler: Sampler; null for the base's own.
        batch_size: Pictures drawn at once, class images included.
        seed: Seed of the samples.
    """

    prompts: tuple[str, ...] | None = None
    count: int = 4
    every: int = 0
    steps: int | None = None
    guidance_scale: float | None = None
    sampler: SamplerName | None = None
    batch_size: int = 8
    seed: int = 0

    def __post_init__(self):
        check_group(self, "sampling")
        prompts = self.prompts
        filled = prompts is None or (len(prompts) > 0 and all(prompt.strip() for prompt in prompts))
        require(filled, "sampling.prompts", "a list of prompts, none empty", prompts)
        for prompt in prompts or ():
            require_prompt(prompt, "sampling.prompts")
        require(self.count >= 1, "sampling.count", ">= 1", self.count)
        require(self.every >= 0, "sampling.every", ">= 0", self.every)
        require(self.steps is None or self.steps >= 1, "sampling.steps", ">= 1", self.steps)
        require_guidance("sampling.guidance_scale", self.guidance_scale)
        require(self.batch_size >= 1, "sampling.batch_size", ">= 1", self.batch_size)
        require(self.seed >= 0, "sampling.seed", ">= 0", self.seed)


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Where the results go.

    Args:
        folder: The run folder. If it is taken, the run goes to FOLDER-2, FOLDER-3 and so on.
        dtype: Precision in which the model is stored; float16 halves the file.
    """

    folder: str = "runs/dreambooth"
    dtype: Literal["float32", "float16"] = "float32"

    def __post_init__(self):
        check_group(self, "output", "folder")
        require(self.folder.strip(), "output.folder", "a folder", self.folder)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """All that a run depends on: the same config on the same machine gives the same pictures.

    Args:
        subject: `SubjectOptions`.
        base: `BaseOptions`.
        prior: `PriorOptions`.
        training: `TrainingOptions`.
        lora: `LoraOptions`.
        sampling: `SamplingOptions`.
        output: `OutputOptions`.
        more_subjects: tuple of `SubjectOptions`, learned in the same run, by turns; each has its own identifier.

    Example:

    ```python
    config = RunConfig(subject=SubjectOptions(photos="photos/orange_dog", class_noun="dog"))
    config = config.replace("training", steps=300)
    ```
    """

    subject: SubjectOptions
    base: BaseOptions = BaseOptions()
    prior: PriorOptions = PriorOptions()
    training: TrainingOptions = TrainingOptions()
    lora: LoraOptions = LoraOptions()
    sampling: SamplingOptions = SamplingOptions()
    output: OutputOptions = OutputOptions()
    more_subjects: tuple[SubjectOptions, ...] = ()

    def __post_init__(self):
        for field in dataclasses.fields(self):
            if dataclasses.is_dataclass(field.type) and not isinstance(getattr(self, field.name), field.type):
                found = shown(getattr(self, field.name))
                raise InputError(f"{field.name} must be {field.type.__name__}. Received: {field.name}={found}")
        if not is_of_kind(self.more_subjects, tuple[SubjectOptions, ...]):
            found = shown(self.more_subjects)
            raise InputError(f"more_subjects must be a tuple of SubjectOptions. Received: more_subjects={found}")
        text = json.dumps(self.to_dict(), ensure_ascii=False)
        # Of a name that is not UTF-8 the system makes text that no file can hold.
        odd = re.search(r"[^\"]*[\ud800-\udfff][^\"]*", text)
        if odd:
            raise InputError(f"Names and texts must be UTF-8; rename the file or folder. Received: {odd[0]!a}")
        if self.prior.target == "base" and self.prior.wanted and not self.lora.rank:
            raise InputError(
                "prior.target base is for LoRA, beside which the base stays as it is. Set lora.rank, or prior.target "
                "images. Received: prior.target=base, lora.rank=0"
            )
        pairs = [(subject.identifier.strip().lower(), subject.class_noun.strip().lower()) for subject in self.subjects]
        twice = next((pair for pair in pairs if pairs.count(pair) > 1), None)
        if twice:
            raise InputError(
                "more_subjects must each have an identifier of their own. "
                f"Received: more_subjects with identifier={twice[0]!r}, class_noun={twice[1]!r} twice"
            )
        if self.base.dtype in HALF and not self.lora.rank:
            raise InputError(
                "base.dtype in half precision is for LoRA: weights that are trained must be float32. Set lora.rank, or "
                f"base.dtype mixed_{self.base.dtype}. Received: base.dtype={self.base.dtype}"
            )

    @property
    def subjects(self):
        """tuple of `SubjectOptions`: the subject and those of `more_subjects`."""
        return (self.subject, *self.more_subjects)

    def replace(self, group, **fields):
        """A copy with other values for some fields of a group."""
        return dataclasses.replace(self, **{group: dataclasses.replace(getattr(self, group), **fields)})

    def to_dict(self):
        """A dict of dicts, fit for YAML and JSON."""
        groups = dataclasses.asdict(self)
        more = [listed(fields) for fields in groups.pop("more_subjects")]
        return {group: listed(fields) for group, fields in groups.items()} | ({"more_subjects": more} if more else {})


def listed(fields):
    """A dict with lists for its tuples."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}


def sample_prompts(prompts):
    """Each subject in some settings; last the classes alone, where language drift would show.

    Args:
        prompts: list of `(instance prompt, class prompt)`, one a subject.
    """
    settings = SETTINGS[: max(2, len(SETTINGS) // len(prompts))]
    subjects = [f"{instance_prompt} {setting}" for instance_prompt, _ in prompts for setting in settings]
    return (*subjects, *dict.fromkeys(class_prompt for _, class_prompt in prompts))
