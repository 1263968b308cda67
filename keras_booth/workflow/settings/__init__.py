"""The one description of a run, and its ways in and out."""
