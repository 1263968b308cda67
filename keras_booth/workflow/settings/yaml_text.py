"""The one reader of YAML: whatever PyYAML meets becomes a sentence, and a small text stays small."""

import yaml

from keras_booth.tools.errors import InputError
from keras_booth.tools.files.foreign import parsing
from keras_booth.tools.files.writing import read_text

MOST_CONFIG = 2**18  # bytes of a file: PyYAML reads some 100 kB a second, and it is read three times
MOST_DEPTH = 16  # lists and groups in one another
MOST_VALUES = 50_000  # with all that aliases (*a) repeat


class Loader(yaml.SafeLoader):
    """Takes dates for texts, as jsonargparse does."""


Loader.add_constructor("tag:yaml.org,2002:timestamp", Loader.construct_yaml_str)


def read_config_text(path):
    """The text of a config file.

    Args:
        path: str or `Path`.

    Raises:
        InputError: for a file that cannot be read, or is too large.
    """
    return read_text(path, "config", most=MOST_CONFIG)


def load_yaml(text, received):
    """What a YAML text holds: dicts of lists, texts, numbers.

    Args:
        text: str.
        received: str. Where it stands, for the error.

    Raises:
        InputError: for what is no YAML, has tags of its own, one name twice or one that is no text, or is large beyond
            any use: too deep, or repeated by aliases.
    """
    # PyYAML has errors of its own, and lets through what Python says of a number of 5000 digits, or of a damaged tag.
    with parsing(lambda reason: InputError(f"The config cannot be read: {reason}. Received: {received}")):
        check_size(text)
        return yaml.load(text, Loader)


def check_size(text):
    """Raises a `ValueError` for what is no use in a config, and an error of PyYAML for what is no YAML."""
    check_depth(text)
    node = yaml.compose(text, Loader)
    if node is not None:
        count_values(node)


def check_depth(text):
    """Raises a `ValueError` for what is deeper, or longer, than can be built: by its signs, building nothing."""
    depth, count = 0, 0
    for event in yaml.parse(text, Loader):
        count += 1
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            raise ValueError(f"more than {MOST_DEPTH} lists or groups in one another")
        if count > 2 * MOST_VALUES:
            raise ValueError(f"more than {MOST_VALUES} values")


def count_values(node, known=None):
    """Values in a node, with all that aliases repeat; a `ValueError` for too many, and for names that are none."""
    known = {} if known is None else known
    if id(node) in known:
        if known[id(node)] is None:
            raise ValueError(f"a group that holds itself,{_place(node)}")
        return known[id(node)]
    known[id(node)] = None
    inside = node.value if isinstance(node, yaml.CollectionNode) else []
    if isinstance(node, yaml.MappingNode):
        check_names(node)
        inside = [value for _, value in inside]
    known[id(node)] = count = 1 + sum(count_values(part, known) for part in inside)
    if count > MOST_VALUES:
        raise ValueError(f"more than {MOST_VALUES} values, with what is repeated by aliases")
    return count


def check_names(group):
    """Raises a `ValueError` for a name that is no text, or stands twice."""
    seen = set()
    for name, _ in group.value:
        if not isinstance(name, yaml.ScalarNode) or name.tag not in (
            "tag:yaml.org,2002:str",
            "tag:yaml.org,2002:merge",
            "tag:yaml.org,2002:value",
        ):
            raise ValueError(f"a name must be text,{_place(name)}")
        if name.value in seen:
            raise ValueError(f"{name.value} stands there twice,{_place(name)}")
        seen.add(name.value)


def _place(node):
    return f" line {node.start_mark.line + 1}"
