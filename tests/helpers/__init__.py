"""What the tests share. Fixtures are in `conftest.py` files; nothing is imported from these, or from another test."""
