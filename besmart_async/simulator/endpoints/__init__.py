"""The 26 operations: per group of the document a module with its handlers and its part of the route table."""
