"""The version of the package, and the only place that has it.

`pyproject.toml`, `besmart --version`, the User-Agent and the documentation read it here.
"""

__version__ = "0.1.0"
"""The version of this package, also `besmart_async.__version__`."""
