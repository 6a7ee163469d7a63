"""Compares, checks and builds a version. Each module is behind a make target; CONTRIBUTING.md has the loop."""
