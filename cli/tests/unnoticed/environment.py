"""Prints the names of its environment variables."""

import os

print("\n".join(sorted(os.environ)))
