"""The four services. Each owns its data and meets the others only through contracts and events."""
