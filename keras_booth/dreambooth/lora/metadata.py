"""What a LoRA file says beside its matrices: alphas, and how it was trained."""

import collections
import json
import math
import re

from keras_booth.bases import kohya_model, model_spec, read_json
from keras_booth.tools.errors import CheckpointError
from keras_booth.tools.files.json_files import parse_json
from keras_booth.tools.files.typed_fields import fits
from keras_booth.tools.wording import shown

DIFFUSERS_KEY = "lora_adapter_metadata"
PEFT_CONFIG = "adapter_config.json"
MOST_PATTERNS = 2000  # of layers with an alpha of their own
# Of a layer's name: letters, and a few signs of regular expressions, but nothing that is repeated as a whole, which may
# take for ever to match.
PATTERN = re.compile(r"(?!.*[)\]][*+?{])(?!(.*[*+?]){4})[\w.^$|()\[\]\\*+?-]{1,300}")

# === Written ===


def common(values):
    """The most frequent of some values."""
    return collections.Counter(values).most_common(1)[0][0]


def diffusers_metadata(layers):
    """What peft's `LoraConfig` needs, as diffusers stores it.

    Args:
        layers: dict of low-rank layers by full name.
    """
    adapters = {}
    for component in dict.fromkeys(name.split(".", 1)[0] for name in layers):
        mine = {name.split(".", 1)[1]: layer for name, layer in layers.items() if name.startswith(f"{component}.")}
        # peft compares the ends of names, so that this says the same before and since transformers 5.
        mine = {name.removeprefix("text_model."): layer for name, layer in mine.items()}
        if not mine:
            continue
        rank, alpha = (common(getattr(layer, key) for layer in mine.values()) for key in ("lora_rank", "lora_alpha"))
        ranks = {name: layer.lora_rank for name, layer in mine.items() if layer.lora_rank != rank}
        alphas = {name: layer.lora_alpha for name, layer in mine.items() if layer.lora_alpha != alpha}
        fields = {"r": rank, "lora_alpha": alpha, "rank_pattern": ranks, "alpha_pattern": alphas}
        fields["target_modules"] = sorted(mine)
        adapters |= {f"{component}.{field}": value for field, value in fields.items()}
    return {DIFFUSERS_KEY: json.dumps(adapters, indent=2, sort_keys=True)}


def kohya_metadata(layers, config, prompts, name):
    """What sd-scripts writes of a training, as far as AUTOMATIC1111, Forge and ComfyUI show it.

    Args:
        layers: dict of low-rank layers by full name.
        config: `BaseConfig`.
        prompts: dict of dicts, name of a folder -> prompt -> number of its photographs.
        name: str, of the file.
    """
    windows = [layer for layer in layers.values() if layer.kernel.shape[:-2] not in ((), (1, 1))]
    rank, alpha = sizes_of([layer for layer in layers.values() if layer not in windows] or windows)
    found = {
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(rank),
        "ss_network_alpha": str(alpha),
        "ss_output_name": name,
        "ss_sd_model_name": config.name,
        "ss_tag_frequency": json.dumps(prompts, ensure_ascii=False),
    }
    if windows:
        convolution = dict(zip(("conv_dim", "conv_alpha"), map(str, sizes_of(windows)), strict=True))
        found["ss_network_args"] = json.dumps(convolution)
    return found | kohya_model(config)


def sizes_of(layers):
    """The most frequent `(rank, alpha)` of some layers."""
    return common((layer.lora_rank, layer.lora_alpha) for layer in layers)


def written_metadata(layers, config, layout, subjects, prompts, name):
    """All metadata of a file; see `keras_booth.dreambooth.lora.files.write_lora`."""
    own = kohya_metadata(layers, config, prompts, name) if layout == "kohya" else diffusers_metadata(layers)
    return {"format": "pt"} | model_spec(config, subjects, adapter="lora") | own


# === Read ===


def add_alphas(found, checkpoint):
    """Take alphas from where peft keeps them, for layers of which no tensor says them.

    Args:
        found: dict of `Matrices` by full name.
        checkpoint: `Checkpoint` of the one file.

    Raises:
        CheckpointError: for metadata that are damaged, or of another method than LoRA.
    """
    adapters = {}
    for name, matrices in found.items():
        if matrices.alpha is None:
            component, rest = name.split(".", 1)
            if component not in adapters:
                adapters[component] = Alphas(adapter_of(component, checkpoint), checkpoint.paths[0])
            matrices.alpha = adapters[component].of(rest, len(matrices.down))


def adapter_of(component, checkpoint):
    """The fields of peft's `LoraConfig` for UNet or text encoder; an empty dict where nothing says them."""
    path, text = checkpoint.paths[0], checkpoint.metadata.get(DIFFUSERS_KEY)
    if text is not None:
        fields = parse_json(text, f"The metadata field {DIFFUSERS_KEY!r}", path, CheckpointError)
        mine = {key.split(".", 1)[1]: value for key, value in fields.items() if key.startswith(f"{component}.")}
        # Of a component that was saved alone the fields have no prefix.
        return mine or {key: value for key, value in fields.items() if "." not in key}
    if (path.parent / PEFT_CONFIG).is_file() and any("base_model.model." in key for key in checkpoint.shapes):
        fields = read_json(path.parent / PEFT_CONFIG)
        kind = fields.get("peft_type", "LORA")
        if kind != "LORA":
            raise CheckpointError(
                f"Only LoRA can be loaded. Received: peft_type={shown(kind)} in {path.parent / PEFT_CONFIG}"
            )
        return fields
    return {}


class Alphas:
    """The alphas that peft keeps of a component, each so that alpha / rank is what peft weighs a layer by.

    Args:
        adapter: dict, the fields of `LoraConfig`; empty where nothing says them.
        path: path of the file, for a message.

    Raises:
        CheckpointError: for fields of other types, or patterns that could take for ever to match.
    """

    def __init__(self, adapter, path):
        self.alpha, self.rslora = adapter.get("lora_alpha"), adapter.get("use_rslora")
        patterns = adapter.get("alpha_pattern") or {}
        for field, value, kind in (
            ("lora_alpha", self.alpha, float | None),
            ("use_rslora", self.rslora, bool | None),
            ("alpha_pattern", patterns, dict[str, float]),
        ):
            if not fits(value, kind):
                raise CheckpointError(f"What is said of alpha is damaged. Received: {field}={shown(value)} in {path}")
        odd = next((pattern for pattern in patterns if not PATTERN.fullmatch(pattern)), None)
        if odd is not None or len(patterns) > MOST_PATTERNS:
            raise CheckpointError(
                f"alpha_pattern must be of at most {MOST_PATTERNS} names of layers, or plain patterns of them. "
                f"Received: {len(patterns)} with {shown(odd)} in {path}"
            )
        try:
            self.patterns = [(re.compile(rf"(.*\.)?({part})$"), value) for part, value in patterns.items()]
        except re.error as error:
            raise CheckpointError(
                f"What is said of alpha is damaged: alpha_pattern ({error}). Received: {path}"
            ) from error

    def of(self, name, rank):
        """Alpha of a layer; `None` where nothing says it.

        Args:
            name: str, the layer's name in its component.
            rank: int.
        """
        # As in peft, where the first pattern wins that fits the end of the name.
        alpha = next((value for pattern, value in self.patterns if pattern.match(name)), self.alpha)
        return None if alpha is None else float(alpha) * (math.sqrt(rank) if self.rslora else 1.0)
