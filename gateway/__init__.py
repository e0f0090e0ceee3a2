"""The REST gateway: authenticates, transcodes JSON to gRPC and back, and decides nothing else."""
