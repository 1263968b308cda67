from . import bases as bases
from . import callbacks as callbacks
from . import data as data
from . import diffusion as diffusion
from . import evaluation as evaluation
from . import figures as figures
from .dreambooth import DreamBooth as DreamBooth
from .dreambooth import LoraConfig as LoraConfig
from .dreambooth import load as load
from .tools.process.devices import on_devices as on_devices
from .version import __version__ as __version__

__all__ = [
    "DreamBooth",
    "LoraConfig",
    "__version__",
    "bases",
    "callbacks",
    "data",
    "diffusion",
    "evaluation",
    "figures",
    "load",
    "on_devices",
]
