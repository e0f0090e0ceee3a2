"""Accounts, users, keys, sites and sectors: who may call, and for which tenant."""
