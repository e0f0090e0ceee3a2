"""All SQL of the tasks service, bound to a caller's tenant on construction."""
