"""Names of the pictures that `generate` writes, and what is noted in them."""
