"""The figures Headcount holds, each measured beside its floor or peer in the same run: `python -m benchmarks`."""
