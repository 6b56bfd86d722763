"""Requests that nobody meant, by the thousand, to a live server: `make fuzz`, and CI in short."""
