"""How the tiny world is painted."""
