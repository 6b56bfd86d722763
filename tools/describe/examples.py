"""Requests to begin with, by method."""

EXAMPLES = {
    "Annotate": {
        "documents": [
            {"text": "Apple's new store in Berlin opened to long queues, and the fans loved it."}
        ],
        "tasks": ["*"],
    },
    "AnnotateStream": [
        {
            "items": [
                {"id": "first", "document": {"text": "The team won in Berlin."}},
                {"id": "second", "document": {"words": {"words": ["Shares", "fell", "."]}}},
            ],
            "tasks": ["sentiment", "topic"],
        }
    ],
}
