"""What README and pages say: commands, configs, and the parsers that must take them."""

import re
import shlex

from keras_booth import evaluate, export, generate, pretrain, sweep
from keras_booth.experiments.options import sweep_options
from keras_booth.tools.process.command import take_devices
from keras_booth.tools.process.fellows import of_flags
from keras_booth.workflow.parsing import parse_sweep, parse_train, read_config

CODE = re.compile(r"^ *```(?P<kind>\w*)[^\n]*\n(?P<block>.*?)^ *```|`(?P<span>[^`]+)`", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"python -m (keras_booth[\w.]*)([^\n&]*)")


def parse_train_command(arguments):
    """Parses what `python -m keras_booth.train` is given; `--config list` asks for a list, and runs nothing."""
    if arguments == ["--config", "list"]:
        return None
    devices, rest = take_devices(arguments)
    of_flags(devices)
    return parse_train(rest)


def parse_sweep_command(arguments):
    """Parses what `python -m keras_booth.sweep` is given: its own flags, then the fields and its config's group."""
    flags, fields = sweep.make_parser().parse_known_args(arguments)
    _, content = parse_sweep(["--config", flags.config, *fields])
    return sweep_options(content)


PARSERS = {
    "keras_booth.train": parse_train_command,
    "keras_booth.doctor": lambda arguments: read_config(*arguments),
    "keras_booth.generate": lambda arguments: generate.make_parser().parse_args(arguments),
    "keras_booth.evaluate": lambda arguments: evaluate.make_parser().parse_args(arguments),
    "keras_booth.export": lambda arguments: export.make_parser().parse_args(arguments),
    "keras_booth.pretrain": lambda arguments: pretrain.make_parser().parse_args(arguments),
    "keras_booth.sweep": parse_sweep_command,
}


def commands_in(text):
    """`(module, arguments)` of all commands in code of a Markdown text, in order: list of pairs of str."""
    found = []
    for code in CODE.finditer(text):
        # A line that ends in a backslash goes on; a span of code may go over the end of a line of prose.
        lines = code["block"].replace("\\\n", " ") if code["span"] is None else " ".join(code["span"].split())
        found += COMMAND.findall(lines)
    return found


def blocks_in(text, kind):
    """The blocks of code of one language: list of str."""
    return [code["block"] for code in CODE.finditer(text) if code["kind"] == kind]


def spans_in(text):
    """The code within lines: list of str."""
    return [" ".join(code["span"].split()) for code in CODE.finditer(text) if code["span"] is not None]


def parse_command(module, arguments):
    """What a command's parser makes of the text that follows its name."""
    return PARSERS[module](shlex.split(arguments))
