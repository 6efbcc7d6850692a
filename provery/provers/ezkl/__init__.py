"""What runs in the child processes of the ``ezkl`` prover, and the form of its public values.

Only ``instance.py`` is imported by a worker: ezkl itself holds the interpreter's lock for as long as it works and ends
the process when memory runs out, so nothing but a child may import it.
"""
