"""Where things lie."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
PHOTOS = ROOT / "photos" / "orange_dog"
# What is too large for the repository; tests that need it are skipped where it is not.
SHARED = ROOT.parent / "shared"
CLIP = SHARED / "data" / "clip" / "bpe_simple_vocab_16e6.txt.gz"
# A small one in CLIP's format, of 1211 tokens, with which the golden files were made.
VOCABULARY = ROOT / "tests" / "helpers" / "vocabulary.txt.gz"
