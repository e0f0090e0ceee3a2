"""Use cases of the tasks service, one module per resource."""
