"""Reading the config files of other programs: complaints name the field and the file."""

from keras_booth.bases.formats.tensors import read_json
from keras_booth.tools.errors import CheckpointError


def read(path, parse, *arguments):
    """Parse a config file; complaints end in its path."""
    config = read_json(path)
    try:
        return parse(config, *arguments)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{error} in {path}") from error


def check_fixed(config, fixed):
    """Raise a `CheckpointError` where a field has another value than the only one supported."""
    for field, value in fixed.items():
        found = config.get(field, value)
        if found != value and not (isinstance(found, list) and all(item == value for item in found)):
            raise CheckpointError(f"{field} must be {value!r}. Received: {field}={found!r}")


def need(config, field):
    """A field that a config must have."""
    if config.get(field) is None:
        raise CheckpointError(f"The field {field!r} is missing. Received: {field}={config.get(field)}")
    return config[field]
