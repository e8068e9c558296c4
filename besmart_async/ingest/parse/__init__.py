"""Pages of texts to columns of numbers: times, values and origins."""
