"""`headcount doctor`: what is wrong with a data folder, and what to do."""
