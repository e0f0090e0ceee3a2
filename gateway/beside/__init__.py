"""Routes that are not made from contracts: pages (health, public keys), files (of images)."""
