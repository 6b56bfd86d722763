"""The key that the guarded gateway asks for."""

API_KEY = "open-sesame-open-sesame"
