"""Bytes and models: operations, the entity codec, the fast columns, failures. Pure."""
