"""Whether a run that goes on still has the photographs that it began with."""

import hashlib
import json

from keras_booth.data import photo_digests
from keras_booth.tools.errors import InputError
from keras_booth.tools.files.writing import read_text, write_text

DIGESTS_FILE = "photos.json"
SHOWN = 5  # files in a sentence


def digest_pictures(photos, own):
    """What tells the user's own pictures from all others.

    Args:
        photos: sequence of `PhotoSet`, one a subject.
        own: sequence of `PhotoSet` of class images, `None` where they are drawn.

    Returns:
        dict of dicts, digests by the name of the file.
    """
    sets = {f"photos of subject {number}": group for number, group in enumerate(photos, start=1)}
    sets |= {f"class images of subject {number}": group for number, group in enumerate(own, start=1) if group}
    digests = {name: photo_digests(group.paths) for name, group in sets.items()}
    captions = {f"captions of {name}": caption_digests(group) for name, group in sets.items() if group.captions}
    return digests | captions


def caption_digests(group):
    """dict of str, a digest of the caption of each photograph by the name of its file."""
    texts = zip(group.paths, group.captions, strict=True)
    return {path.name: hashlib.blake2b(text.encode(), digest_size=16).hexdigest() for path, text in texts}


def write_digests(folder, digests):
    """Keeps the digests in a run folder."""
    write_text(folder / DIGESTS_FILE, json.dumps(digests, indent=1))


def check_digests(folder, digests):
    """Refuses to go on with other photographs than those that the run began with.

    Args:
        folder: `Path` of the run folder. One that was made before digests were kept is not checked.
        digests: what `digest_pictures` finds now.

    Raises:
        InputError: naming the files that changed, vanished or came.
    """
    if not (folder / DIGESTS_FILE).is_file():
        return
    try:
        before = json.loads(read_text(folder / DIGESTS_FILE, DIGESTS_FILE))
        refuse_other_pictures(before, digests, folder)
    except InputError:
        raise
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"The digests of the photographs are damaged. Received: {folder / DIGESTS_FILE}") from error


def refuse_other_pictures(before, digests, folder):
    """`check_digests` with digests from anywhere."""
    changes = [f"{name} of {group}" for group in before for name in differing(before[group], digests.get(group))]
    if changes:
        shown = f"{', '.join(changes[:SHOWN])}{f' and {len(changes) - SHOWN} more' if len(changes) > SHOWN else ''}"
        raise InputError(
            "The pictures are not those that the run began with; put them back, or start a new run. "
            f"Changed, gone or new: {shown}. Received: --resume {folder}"
        )


def differing(before, now):
    """list of the names whose digests are not the same in two dicts."""
    now = now or {}
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
