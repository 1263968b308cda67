"""A method measured over many subjects."""
