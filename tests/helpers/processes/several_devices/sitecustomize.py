"""On the path of processes that find several devices of TensorFlow where there is one CPU (`LOGICAL_DEVICES`)."""

import os

if os.environ.get("KERAS_BACKEND") != "jax":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    devices = [tf.config.LogicalDeviceConfiguration() for _ in range(int(os.environ["LOGICAL_DEVICES"]))]
    tf.config.set_logical_device_configuration(cpu, devices)
