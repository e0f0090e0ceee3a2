"""Use cases of the images service, one module per resource."""
