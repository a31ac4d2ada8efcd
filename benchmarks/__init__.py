"""What the client costs, as ratios within one run: `python -m benchmarks`, from the folder above."""
