"""Multi-task fine-tuning of one text encoder, and export to a bundle for polyhead-server."""
