"""The REST gateway: hosted services' HTTP shapes over the engine's own queue."""
