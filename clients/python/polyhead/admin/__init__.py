"""The admin service's messages and stubs."""
