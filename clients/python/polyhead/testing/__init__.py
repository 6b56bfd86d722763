"""A real gRPC service in this process, for testing code that calls polyhead.

    from polyhead import Client
    from polyhead.testing import serve

    with serve() as service, Client(service.address) as client:
        assert client.annotate("I love it").classification("sentiment").label == "positive"

It speaks the whole protocol (offset units, errors with details, deadlines, streams, health) and
answers by rules simple enough to predict, without a model:

words       Runs of letters and digits, which hyphens join and apostrophes part, and every other
            visible character.
sentiment   Counts of known good ("love", "great") and bad words ("hate", "awful"); none: neutral.
topic       Counts of known words ("bank": Business, "team": Sports, "software": Sci/Tech);
            none: World.
pos         Known short words, digits, punctuation, capitals, "-ly", "-ing" and "-ed"; else NOUN.
entities    Runs of capitalised words that are not known short words: LOC for known places, ORG for
            known firms, else PER.

Pass `heads` to serve other tasks. `Service.fail`, `Service.fail_items`, `Service.hold` and
`Service.calls` make it fail, make it wait, and show what it was asked.
"""

from __future__ import annotations

from polyhead.testing._heads import DEFAULT_HEADS, Head, split_words
from polyhead.testing._service import ServerTLS, Service, serve
from polyhead.testing._servicer import Call

__all__ = ["DEFAULT_HEADS", "Call", "Head", "ServerTLS", "Service", "serve", "split_words"]
