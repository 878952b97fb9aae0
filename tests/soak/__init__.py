"""`make soak`: days of a simulated operation of the real server, each compared with a plain model."""
