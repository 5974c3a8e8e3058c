"""What speaks gRPC: calls, middleware, registration, decoding, errors, bytes in flight."""
