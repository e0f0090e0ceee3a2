"""Content: what has been written or imported, and how it is classified.

Owns Content, its revisions, taxonomy terms and clusters; asks the model for text. Nothing a
model answers can change anything but the fields of its own article.
"""
