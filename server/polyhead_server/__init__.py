"""The server of polyhead: many task heads on one shared text encoder, over gRPC, on CPU."""
