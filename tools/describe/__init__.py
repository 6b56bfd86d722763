"""Makes the API's descriptions from the protos."""
