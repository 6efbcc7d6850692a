"""``provery hotshot …``: what only the hotshot system has."""

from __future__ import annotations

import typer

from provery.cli.hotshot_deploy import deploy

app = typer.Typer(help="The HotShot state prover: its contract.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps a single command from becoming the whole group."""


app.command("deploy")(deploy)
