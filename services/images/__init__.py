"""Images: prompts, pictures and their files.

Hears that a content was written, asks the model what to draw and then for each picture,
keeps the files and serves them by id. Pays for each step through billing's reservations.
"""
