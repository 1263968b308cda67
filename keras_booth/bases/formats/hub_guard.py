"""What a hub may send: a mirror (`HF_ENDPOINT`) is anybody's.

huggingface_hub makes names of files in its cache of what an answer's headers say, and reads as long as something
comes. Here each answer is looked at before it acts on it: names are plain, sizes are limited, and what stops coming is
given up.
"""

import contextlib
import pathlib
import re
import threading
import time

from keras_booth.tools.errors import CheckpointError
from keras_booth.tools.files.reading import size_text
from keras_booth.tools.wording import shown

HOME = "https://huggingface.co"
# What a file or a commit is called in the cache: digests in hexadecimal, or what a storage calls its files.
PLAIN = re.compile(r"\w[\w.+=-]{0,127}", re.ASCII)
NAMES = ("ETag", "X-Linked-ETag", "X-Repo-Commit")
SIZES = ("Content-Length", "X-Linked-Size")
# Others may make a megabyte of a few bytes.
ENCODINGS = ("", "identity", "gzip")
MOST_ANSWER = 16 * 2**20  # bytes of what the hub says of a repository
MOST_SMALL = 64 * 2**20  # of a config or a vocabulary
MOST_WEIGHTS = 64 * 2**30  # of a file of weights
MOST_FILES = 500  # of a checkpoint
PATIENCE = 20.0  # seconds, after which less than `SLOWEST` is nothing
SLOWEST = 1000  # bytes a second, on average
SILENCE = 60.0  # seconds in which nothing comes at all, also while the network is tried again
ANSWER_SECONDS = 60.0  # for what the hub says of a repository


class Watch:
    """Looks at all answers that one call of huggingface_hub gets.

    Args:
        most: int. Bytes that one answer may have.
        seconds: float. What one answer may take; `None` for as long as it comes fast enough.
    """

    def __init__(self, most, seconds=None):
        self.most, self.seconds = most, seconds
        self.thread = None
        self.stopped = False
        self.moved = time.monotonic()

    @contextlib.contextmanager
    def on(self, session):
        """Watches what this thread does with a session of httpx, or of requests (huggingface_hub before 1.0)."""
        self.thread = threading.get_ident()
        if hasattr(session, "event_hooks"):
            pairs = [(session.event_hooks["request"], self.asked), (session.event_hooks["response"], self.answered)]
        else:
            pairs = [(session.hooks["response"], self.answered)]
        for hooks, hook in pairs:
            hooks.append(hook)
        try:
            yield
        finally:
            for hooks, hook in pairs:
                with contextlib.suppress(ValueError):
                    hooks.remove(hook)

    def asked(self, request):
        """Looks at a question of httpx."""
        if threading.get_ident() == self.thread:
            request.headers["Accept-Encoding"] = "identity"

    def answered(self, response, **_):
        """Looks at an answer, whose body is still to come."""
        # Others of the process use the same session.
        if threading.get_ident() != self.thread:
            return
        self.progress()
        self.check_headers(response.headers)
        if _endpoint() != HOME and "X-Xet-Hash" in response.headers:
            # It would go around this watch; without, the file comes as others do.
            del response.headers["X-Xet-Hash"]
        if hasattr(response, "iter_raw"):
            response.iter_raw = self.counted(response.iter_raw)
            response.iter_bytes = self.counted(response.iter_bytes)
        else:
            response.raw.stream = self.counted(response.raw.stream)

    def check_headers(self, headers):
        """Refuses names that are no names, and sizes that are too large."""
        for name in NAMES:
            value = headers.get(name)
            # As huggingface_hub strips it.
            if value is not None and not PLAIN.fullmatch(value.lstrip("W/").strip('"')):
                raise CheckpointError(f"The hub sent a name that is none, in {name}: {shown(value)}.")
        for name in SIZES:
            size = headers.get(name)
            if size is not None and not (size.isdecimal() and int(size[:20]) <= self.most):
                raise CheckpointError(self._too_large(f"{shown(size)} bytes, in {name}"))
        if headers.get("Content-Encoding", "").lower() not in ENCODINGS:
            raise CheckpointError(
                f"The hub sent what was not asked for: {shown(headers['Content-Encoding'])} encoding."
            )

    def counted(self, parts):
        """A method that yields the parts of a body, as one that stops when there are too many, or too few in time."""

        def count(*args, **options):
            received, began = 0, time.monotonic()
            for part in parts(*args, **options):
                self.progress()
                received, seconds = received + len(part), time.monotonic() - began
                if received > self.most:
                    raise CheckpointError(self._too_large("more"))
                slow = seconds > PATIENCE and received < SLOWEST * seconds
                if slow or (self.seconds is not None and seconds > self.seconds):
                    raise CheckpointError(f"The hub is too slow: {received} bytes in {seconds:.0f} seconds.")
                yield part

        return count

    def progress(self):
        """Says that something came; raises where nobody waits any more."""
        self.moved = time.monotonic()
        if self.stopped:
            raise CheckpointError("The download was given up.")

    def _too_large(self, received):
        return f"The hub sent more than the {size_text(self.most)} that a file of this kind may have: {received}."


def watched(call, most, seconds=None):
    """Does a call of huggingface_hub, in a thread of its own so that it can be left alone when nothing comes.

    Args:
        call: callable without arguments.
        most, seconds: see `Watch`.

    Returns:
        What `call` returns.

    Raises:
        CheckpointError: for an answer that is refused, and where nothing comes for `SILENCE` seconds from a mirror.
        Exception: of the call.
    """
    from huggingface_hub.utils import get_session

    watch, outcome = Watch(most, seconds), {}

    def work():
        try:
            with watch.on(get_session()):
                outcome["value"] = call()
        # Told in the thread that waits; KeyboardInterrupt comes to that one.
        except Exception as error:
            outcome["error"] = error

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    mirror = _endpoint() != HOME
    try:
        while thread.is_alive():
            thread.join(0.05)
            # What comes from the hub itself may come around the watch (`hf_xet`).
            if mirror and time.monotonic() - watch.moved > SILENCE:
                raise CheckpointError(f"The hub sent nothing for {SILENCE:.0f} seconds.")
    finally:
        watch.stopped = True
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]


def most_of(name):
    """Bytes that a file may have, by its name."""
    weights = pathlib.PurePosixPath(name).suffix in (".safetensors", ".ckpt", ".bin", ".pt", ".pth")
    return MOST_WEIGHTS if weights else MOST_SMALL


def plain_names(names):
    """The names of files in a repository as a set; refused if one of them leads out of it."""
    names = list(names)
    for name in names:
        if not isinstance(name, str):
            raise CheckpointError(f"The hub names a file by what is no name: {shown(name)}.")
        parts = re.split(r"[/\\]", name)
        if not {"", ".", ".."}.isdisjoint(parts) or "\0" in name or ":" in parts[0]:
            raise CheckpointError(f"The hub names a file that is not in the repository: {shown(name)}.")
    return set(names)


def require_cached(path):
    """A `Path` of what came, which lies in the cache wherever links lead; else a `CheckpointError`."""
    from huggingface_hub.constants import HF_HUB_CACHE

    path = pathlib.Path(path)
    if not path.resolve().is_relative_to(pathlib.Path(HF_HUB_CACHE).resolve()):
        raise CheckpointError(f"What came from the hub lies outside of its cache, {HF_HUB_CACHE}: {path}.")
    return path


def _endpoint():
    from huggingface_hub.constants import ENDPOINT

    return ENDPOINT.rstrip("/")
