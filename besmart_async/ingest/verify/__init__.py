"""Reading back what was delivered, and comparing it."""
