"""Names of files in the folder of a sweep."""

CELLS = "cells"  # a folder for each run, and in it:
CELL, CONFIG = "cell.json", "config.yaml"  # what is to be done
RUN, DRAWN, PICTURE = "run", "drawn", "picture.png"  # what training leaves; what each way of drawing leaves
SCORES, FAILED, LOG = "scores.json", "failed.txt", "log.txt"  # how it ended, and what it said
LOCK = ".cell.lock"
