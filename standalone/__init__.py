"""Everything on one machine: the launcher, and the offline model that stands in for a provider."""
