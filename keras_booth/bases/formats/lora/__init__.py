"""What other programs call the layers of a base in LoRA files, and what else they keep in files of that kind."""
