"""A command of keras_booth without the tracing, which would take most of the time of a tiny one.

python eager.py COMMAND ARGUMENTS…
"""

import importlib
import sys

if __name__ == "__main__":
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    sys.exit(importlib.import_module(f"keras_booth.{sys.argv[1]}").main(sys.argv[2:]))
