"""Reading the config files of other programs: complaints name the field and the file."""

from keras_booth.bases.formats.tensors import read_json
from keras_booth.tools.errors import CheckpointError, InputError
from keras_booth.tools.files.typed_fields import fits, in_words
from keras_booth.tools.wording import shown


def read(path, parse, *arguments):
    """Parse a config file; complaints end in its path."""
    config = read_json(path)
    try:
        return parse(config, *arguments)
    except InputError as error:
        raise CheckpointError(f"{error} in {path}") from error


def check_fixed(config, fixed):
    """Raise a `CheckpointError` where a field has another value than the only one supported."""
    for field, value in fixed.items():
        found = config.get(field, value)
        if found != value and not (isinstance(found, list) and all(item == value for item in found)):
            raise CheckpointError(f"{field} must be {value!r}. Received: {field}={shown(found)}")


def need(config, field, kind):
    """A field that a config must have, of a type; see `keras_booth.tools.files.typed_fields.fits`."""
    if config.get(field) is None:
        raise CheckpointError(f"The field {field!r} is missing. Received: {field}={config.get(field)}")
    return typed(field, config[field], kind)


def have(config, field, kind, default):
    """A field that a config may have, of a type."""
    return typed(field, config.get(field, default), kind)


def typed(field, value, kind):
    """A value, if it is of a type."""
    if not fits(value, kind):
        raise CheckpointError(f"{field} must be {in_words(kind)}. Received: {field}={shown(value)}")
    return value
