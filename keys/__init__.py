"""Host keys and each tenant's public keys. Knows nothing of tenants' data, HTTP or SQL."""

PART_OF = "headcount"
