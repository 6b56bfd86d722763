"""Write the schema: python -m tools.chart_schema > deploy/helm/polyhead/values.schema.json."""

import sys

from tools.chart_schema.schema import schema_text

sys.stdout.write(schema_text())
