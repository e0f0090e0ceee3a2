"""Routes that are not made from contracts: health, keys (public ones), files (of images)."""
