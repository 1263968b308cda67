"""Pictures that a command draws, with names and notes."""
