"""Files in and out: whole or not at all, ordinary, and of a stated size."""
