"""A model of a day of many servers on one database: `python -m benchmarks fleet`."""
