"""`besmart completion`: scripts that let a shell complete commands and options."""

from __future__ import annotations

from typing import Literal

from besmart_async.cli.app import build
from besmart_async.cli.terminal.output import write


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print a script that completes commands and options of besmart in a shell.

    bash: besmart completion bash > ~/.local/share/bash-completion/completions/besmart

    zsh: besmart completion zsh > ~/.zfunc/_besmart, with ~/.zfunc in fpath before compinit

    fish: besmart completion fish > ~/.config/fish/completions/besmart.fish

    Parameters
    ----------
    shell
        The shell.
    """
    write(build().generate_completion(prog_name="besmart", shell=shell))
