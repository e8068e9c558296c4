"""What the commands show: lines and tables, progress bars, reports, the file of rejects, and charts."""
