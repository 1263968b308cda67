"""The process: how a command ends, what is loaded, what the machine has, and what is put back."""
