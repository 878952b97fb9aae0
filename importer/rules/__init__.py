"""What a cell means: the rule of every field, and what a tenant may choose about them."""
