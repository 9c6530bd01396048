"""What a `cvm` command ends with (interface.md)."""

DONE = 0
# Files, lock, permissions, row conservation, an error.
FAILED = 1
# Wrong usage, or anything that is wrong in the configuration.
USAGE = 2
# Blocked by quality: the earlier version still stands.
BLOCKED = 3
