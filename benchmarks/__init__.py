"""`python -m benchmarks`: everything is compared within one run, interleaved; medians and ratios are printed."""
