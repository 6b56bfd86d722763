"""The gateway: Envoy before one or more servers, with a configuration made from settings."""
