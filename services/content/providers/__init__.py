"""Whom the content service asks for texts."""
