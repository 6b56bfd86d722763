"""Servers, gateway, Prometheus and callers as hosts of their own, in network namespaces."""
