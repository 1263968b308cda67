"""On the path of processes that make the runs of a sweep: no tracing, most of the time of tiny ones."""

import sys

if "keras_booth.experiments.cell" in sys.orig_argv:
    import os

    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
