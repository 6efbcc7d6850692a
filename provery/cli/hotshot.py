"""``provery hotshot …``: what only the hotshot system has."""

from __future__ import annotations

import typer

from provery.cli.hotshot_deploy import deploy
from provery.cli.hotshot_run import run

app = typer.Typer(help="The HotShot state prover, and its contract.", no_args_is_help=True)
app.command("deploy")(deploy)
app.command("run")(run)
