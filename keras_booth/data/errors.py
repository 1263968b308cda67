"""The one error of this room."""

from keras_booth.tools.errors import InputError


class PhotoError(InputError):
    """Photographs, or the way they are asked for, cannot be used.

    The message is one sentence that a user can act on: what is wrong and what to do, ending in what was received.
    """
