"""What a task carries: payload bytes, and the blob store for those too large for a stream."""
