"""`model_index.json` of diffusers' folders: which pipeline it is, and what that means."""

from keras_booth.bases.formats.tensors import read_json
from keras_booth.tools.errors import CheckpointError
from keras_booth.tools.wording import shown

PIPELINES = (
    *("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline", "LatentConsistencyModelPipeline"),
    *("StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline"),
)
MODEL_INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def read_index(folder):
    """What `model_index.json` says, as a dict; refused for a pipeline of another kind of model."""
    index = folder / "model_index.json"
    if not index.is_file():
        return {}
    found = read_json(index)
    pipeline = found.get("_class_name")
    if pipeline not in PIPELINES:
        raise CheckpointError(
            f"This is {kind_of_pipeline(pipeline)}; only text-to-image checkpoints of Stable Diffusion 1.x, 2.x and XL "
            f"are supported. Received: _class_name={shown(pipeline)} in {index}"
        )
    if "text_encoder_2" in found and found.get("text_encoder") == [None, None]:
        raise CheckpointError(
            f"This is the refiner of Stable Diffusion XL, which has one text encoder and cannot draw by itself: take "
            f"the base, stable-diffusion-xl-base-1.0. Received: text_encoder=[null, null] in {index}"
        )
    return found


def kind_of_pipeline(name):
    """What a diffusers pipeline draws with, as far as its name says it."""
    kinds = {
        "Inpaint": "an inpainting checkpoint",
        "Depth": "a depth-to-image checkpoint",
        "StableDiffusion3": "Stable Diffusion 3",
        "Flux": "Flux",
        "PixArt": "PixArt",
        "Kolors": "Kolors",
        "Cascade": "Stable Cascade",
    }
    return next((kind for part, kind in kinds.items() if part in str(name)), "a checkpoint of another kind")


def index_of(config):
    """What `model_index.json` says of a base, as a dict."""
    if config.text_encoder_2 is None:
        return MODEL_INDEX
    kept = {name: value for name, value in MODEL_INDEX.items() if "safety_checker" not in name}
    return kept | {
        "_class_name": "StableDiffusionXLPipeline",
        "force_zeros_for_empty_prompt": config.zeros_for_empty,
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
    }
