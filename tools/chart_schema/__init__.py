"""Makes the Helm chart's values.schema.json: `make chart-schema`."""
