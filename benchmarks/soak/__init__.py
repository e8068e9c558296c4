"""`python -m benchmarks soak`: everything at once for minutes, before an oracle, with an eye on memory and files."""
