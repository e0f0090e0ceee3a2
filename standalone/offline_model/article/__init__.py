"""Writing an article about a brief, from patterns, without a model."""
