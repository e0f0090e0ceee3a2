"""The reference: an OpenAPI 3.1 document made from the contracts, and the page that shows it."""
