"""Files in and out: a module a format, and one table of names."""
