"""Small checkpoints in diffusers' format, and what diffusers computes with them."""
