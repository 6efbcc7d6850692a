"""A small HotShot network for tests and demos: validators with real keys, a relay server and a sequencer.

States, stake tables and signatures are made from a seed, without consensus: what a light client is shown is as in a
real network, and speaks the real JSON over HTTP. ``python -m provery.systems.hotshot.network --help`` runs one.
"""
