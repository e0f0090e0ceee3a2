"""Use cases of the content service, one module per resource."""
