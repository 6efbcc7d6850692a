"""Activities: the stages as Temporal runs them, memoised, with heartbeats and one translation of errors."""
