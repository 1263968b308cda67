"""A small illustrated world and the base that knows it."""
