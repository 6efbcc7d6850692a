"""Exit statuses of commands; what each means to people is in ``provery.cli.failures``."""

OK = 0
UNEXPECTED = 1
USAGE = 2
UNIT_FAILED = 3
INVALID_INPUT = 4
NOT_FOUND = 5
UNAVAILABLE = 6
CONFIGURATION = 7
INTERRUPTED = 130
