"""``python -m provery.cli``."""

from provery.cli.main import app

if __name__ == "__main__":
    app(prog_name="provery")
