"""Looks for known vulnerabilities in the packages of constraints.txt: `make audit`."""
