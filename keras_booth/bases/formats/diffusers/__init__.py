"""Folders in diffusers' format."""
