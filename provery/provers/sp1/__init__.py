"""Parts of the provers that make SP1 proofs."""

import os

# gRPC's own notes (a server that goes away, a reconnect) go to standard error, between a worker's lines of JSON. Read
# when it is imported, which only the modules below do.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
