"""Whom the images service asks for prompts and pictures."""
