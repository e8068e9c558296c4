"""What the simulator remembers: its SQLite tables, the readings in them, and what a new one starts with."""
