"""The commands of `besmart`, one file each (or one for each group); `cli/app.py` imports the one that is called."""
