"""Draw class images in a process of its own, which can be made to hang in the middle.

    python drawing.py FOLDER [HANG_AT]

Each batch adds a line to `FOLDER/drawn.txt`: the process, and the indices that it is about to draw. The batch that
holds the index HANG_AT waits until there is a file `FOLDER/go_on`.
"""

import os
import pathlib
import sys
import time

from tests.helpers.booths import small_booth

COUNT, BATCH_SIZE = 5, 2


def main(folder, hang_at=-1):
    folder = pathlib.Path(folder)
    booth = small_booth()
    draw = booth.draw

    def watched(prompts, keys, settings, **options):
        indices = [index for _, index in keys]
        with open(folder / "drawn.txt", "a") as log:
            log.write(f"{os.getpid()} {indices}\n")
        while int(hang_at) in indices and not (folder / "go_on").exists():
            time.sleep(0.05)
        return draw(prompts, keys, settings, **options)

    booth.draw = watched
    booth.class_images(COUNT, folder=folder / "sets", batch_size=BATCH_SIZE, steps=1, progress=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
