"""The public name of Headcount: `python -m headcount`, and nothing else."""
