"""Offline scoring: Parquet and JSON lines of any size annotated with a bundle, by many processes.

`fragments` cuts the input up, `plan` writes down what is to be done, `work` scores one fragment,
`journal` knows which are finished, `alone` and `cluster` run them: in this process, or by Ray Data.
"""
