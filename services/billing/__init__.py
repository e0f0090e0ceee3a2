"""Billing owns credits: the ledger, reservations, prices, plans and usage."""
