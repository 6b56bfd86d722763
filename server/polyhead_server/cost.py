"""What a run of the engine costs, learned from its runs."""

from __future__ import annotations

import itertools
import math

_MEMORY = 0.99
"""What a run counts for after each later one: about the last hundred count."""
_INERTIA = 1e-3
"""How much the last fit counts, which alone decides what the runs say nothing about."""
_UNIT = 256.0
"""Tokens in the fit's own unit, so that its three columns are of one size."""
_SMALL = 32.0
_FIRST_GUESS = (0.0, _UNIT / 20_000, 0.0)
_TRUSTED_RUNS = 6
_EAGER_RUNS = 64
_RUNS_A_FIT = 8
"""Later on a fit is made after so many runs: it takes longer than to note a run."""
_MOST_SURPRISE = 8.0
"""A run counts as this many times longer or shorter than expected, at most: it may be a hiccup."""
_LEAST_SECONDS = 1e-7
_LONGEST_SECONDS = 1e6
"""A run that is said to have taken longer says nothing: forecasts made of it could overflow."""
_SUPPORTS = [s for size in (3, 2, 1) for s in itertools.combinations(range(3), size)]

Coefficients = tuple[float, float, float]


class RunCost:
    """Seconds of a run as a + b * tokens + c * tokens**2, none of the three negative.

    The square is that of the batch's length: attention is masked by window, not skipped, so windows
    of any lengths cost what their sum costs, less where they lie in rows (``packing``). Fitted by
    least squares of the relative error, forgetting older runs, in the information form (normal
    equations), which unlike the covariance form neither loses definiteness nor winds up while all
    runs are alike. One thread may learn while others ask.
    """

    def __init__(self) -> None:
        self._fit: Coefficients = _FIRST_GUESS
        self._powers = [0.0] * 5  # sums of length**0 to length**4: the matrix's diagonals
        self._moment = [0.0] * 3
        self._runs = 0

    @property
    def trusted(self) -> bool:
        """Whether enough runs were seen to refuse anybody for what they say."""
        return self._runs >= _TRUSTED_RUNS

    def learn(self, tokens: int, seconds: float) -> None:
        """Take one run into account, of so many tokens including those that filled it up."""
        if tokens <= 0 or not 0 < seconds <= _LONGEST_SECONDS:
            return
        if self.trusted:
            expected = self.seconds(tokens)
            seconds = min(max(seconds, expected / _MOST_SURPRISE), expected * _MOST_SURPRISE)
        length = tokens / _UNIT
        term = (_UNIT / (_SMALL + tokens)) ** 2
        for power in range(len(self._powers)):
            self._powers[power] = _MEMORY * self._powers[power] + term
            if power < len(self._moment):
                self._moment[power] = _MEMORY * self._moment[power] + term * seconds
            term *= length
        self._runs += 1
        if self._runs < _EAGER_RUNS or self._runs % _RUNS_A_FIT == 0:
            self._fit = self._refitted()

    def seconds(self, tokens: float) -> float:
        """Expected seconds of a run of so many tokens, above 0."""
        a, b, c = self._fit
        length = tokens / _UNIT
        return max(a + (b + c * length) * length, _LEAST_SECONDS)

    def price(self, tokens: int, batch_tokens: int) -> float:
        """Seconds that an entry takes up: its part of a full batch, or a run of its own."""
        whole = max(tokens, batch_tokens)
        return self.seconds(whole) * tokens / whole

    def backlog_seconds(self, tokens: int, batch_tokens: int) -> float:
        """Expected seconds of all the runs that so many tokens take."""
        full, rest = divmod(tokens, batch_tokens)
        seconds = full * self.seconds(batch_tokens)
        return seconds + self.seconds(rest) if rest else seconds

    def most_tokens(self, seconds: float) -> float:
        """Tokens of the longest run that is expected to take no more than this; may be infinite."""
        a, b, c = self._fit
        spare = seconds - a
        if spare <= 0:
            return 0.0
        slope = b + math.sqrt(b * b + 4 * c * spare)
        return _UNIT * 2 * spare / slope if slope > 0 else math.inf

    def _refitted(self) -> Coefficients:
        """The best fit without a negative coefficient; the last one is worth a little, too."""
        normal = [
            [self._powers[i + j] + (_INERTIA if i == j else 0.0) for j in range(3)]
            for i in range(3)
        ]
        moment = [m + _INERTIA * old for m, old in zip(self._moment, self._fit, strict=True)]
        best, least = self._fit, math.inf
        for support in _SUPPORTS:
            fit = _solve(normal, moment, support)
            if fit is None or min(fit) < 0:
                continue
            if len(support) == len(moment):
                return fit  # the best of all, and allowed
            loss = _loss(normal, moment, fit)
            if loss < least:
                best, least = fit, loss
        return best


def _solve(
    normal: list[list[float]], moment: list[float], support: tuple[int, ...]
) -> Coefficients | None:
    """Solve for some coefficients while the others are 0; None where that has no answer."""
    rows = [[*(normal[i][j] for j in support), moment[i]] for i in support]
    for i, pivot in enumerate(rows):
        if not pivot[i] > 0:
            return None
        for row in rows[i + 1 :]:
            factor = row[i] / pivot[i]
            for j in range(i, len(row)):
                row[j] -= factor * pivot[j]
    fit = [0.0, 0.0, 0.0]
    for i in reversed(range(len(rows))):
        known = sum(rows[i][j] * fit[support[j]] for j in range(i + 1, len(rows)))
        fit[support[i]] = (rows[i][-1] - known) / rows[i][i]
    return (fit[0], fit[1], fit[2]) if all(map(math.isfinite, fit)) else None


def _loss(normal: list[list[float]], moment: list[float], fit: Coefficients) -> float:
    """The squared error of a fit, less what is the same for all."""
    quadratic = sum(
        fit[i] * normal[i][j] * fit[j] for i, j in itertools.product(range(3), repeat=2)
    )
    return quadratic - 2 * sum(m * value for m, value in zip(moment, fit, strict=True))
