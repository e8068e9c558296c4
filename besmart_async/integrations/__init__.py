"""Bridges to other libraries. Each module imports its own library only; install it with the extra the module names."""
