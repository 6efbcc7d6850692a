"""The command ``provery``: every action as a thin call of the client, the stores and the local installation."""
