"""The way to the engine: addresses, connections, Sentinel, and the one place that retries."""
