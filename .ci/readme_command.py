"""Print the README's command that follows the marker `<!-- command: NAME -->`."""

import pathlib
import re
import sys

README = pathlib.Path(__file__).parent.parent / "README.md"


def command(name):
    """The shell text of the first code block after the marker."""
    match = re.search(rf"<!-- command: {re.escape(name)} -->\s*```\w*\n(.*?)```", README.read_text(), re.DOTALL)
    if match is None:
        sys.exit(f"README.md has no code block after <!-- command: {name} -->")
    return match.group(1).strip()


if __name__ == "__main__":
    print(command(sys.argv[1]))
