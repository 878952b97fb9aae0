"""Code that tests share."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The checkout that is tested."""
