"""Errors of training that are the user's to mend; the command line prints them in one line."""


class TrainingError(Exception):
    """Something that training needs is missing or does not fit."""


class StoppedError(TrainingError):
    """Another process of the run has failed, and tells why."""


class ExportError(TrainingError):
    """The exported bundle does not give what the network gives."""
