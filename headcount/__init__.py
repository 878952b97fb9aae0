"""The public face of Headcount: `python -m headcount`, and nothing else."""
