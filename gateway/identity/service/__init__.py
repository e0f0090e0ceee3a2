"""Use cases of identity, one module per resource."""
