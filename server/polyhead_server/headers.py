"""Names of metadata that callers, a gateway and the server pass to each other."""

REQUEST_ID_HEADER = "x-request-id"
"""The caller's name for a call, or the server's."""
CLIENT_HEADER = "x-polyhead-client"
"""Name of the client, as a gateway knows it from a key or a token; it passes nobody else's on."""
PROXY_HEADER = "x-polyhead-proxy"
"""Tells servers that a gateway asks. It tries a call elsewhere as long as nothing came back, so
they keep even the metadata until they have the answer."""
PROXY = "gateway"
PROXY_FOR_JSON = "json"
"""What the header says; callers in JSON do not wait for the beginning of a stream, either."""
