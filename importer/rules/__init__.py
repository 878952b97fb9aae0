"""Read cells by the rule of their field, under the import settings of a tenant."""
