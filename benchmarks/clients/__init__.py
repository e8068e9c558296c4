"""The contenders: programs that do one work once, in a process of their own."""
