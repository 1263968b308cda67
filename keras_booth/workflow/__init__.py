"""Files, folders, progress and plots: one run is prior, data, fit, save, report.

Nothing is imported here, so that a command can refuse a mistake in its flags without waiting for TensorFlow.
"""
