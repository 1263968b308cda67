"""What is likely to go wrong with a run, said before it does."""
