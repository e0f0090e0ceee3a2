"""All SQL of the content service, bound to a caller's tenant on construction."""
