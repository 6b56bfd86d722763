"""What becomes of training examples that dev or test data have too."""

from polyhead_training.config_types import Config
from polyhead_training.data.examples import SourceData
from polyhead_training.leakage import Leak, find_leaks, without_leaks
from polyhead_training.problems import Problems


def guarded(
    config: Config, data: dict[str, SourceData], problems: Problems
) -> dict[str, SourceData]:
    """The data as ``[data] leakage`` wants them: as they are, or without those examples.

    With "error" each such example is noted as a problem at its line. With "drop" a source that
    would be left with nothing to train on is noted.
    """
    if config.data.leakage == "warn":
        return data
    leaks = find_leaks(data)
    if config.data.leakage == "drop":
        kept = without_leaks(data, leaks)
        _note_emptied(config, data, kept, problems)
        return kept
    for leak in leaks:
        if leak.kind != "short":
            _note(leak, data, problems)
    return data


def _note(leak: Leak, data: dict[str, SourceData], problems: Problems) -> None:
    file, _, line = data[leak.source].train[leak.index].origin.rpartition(":")
    measured = data[leak.of].dev if leak.part == "dev" else data[leak.of].test
    where = f"{leak.part} part of {leak.of} too ({leak.kind}): {measured[leak.other].origin}"
    problems.add(file, int(line), f"this training example is in the {where}")


def _note_emptied(
    config: Config, before: dict[str, SourceData], after: dict[str, SourceData], problems: Problems
) -> None:
    for source in config.sources:
        if before[source.name].train and not after[source.name].train:
            line = source.lines.get(source.train[0], 1)
            message = f"dev or test data have every training example of {source.name} too"
            problems.add(source.config, line, f'{message}, so leakage = "drop" leaves none')
