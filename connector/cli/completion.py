"""`zindigi completion`: what a shell needs to complete commands and flags."""

from __future__ import annotations

from typing import Literal


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print what a shell needs to complete commands and flags.

    Args:
        shell: For bash or zsh in ~/.bashrc or ~/.zshrc: source <(zindigi completion zsh).
            For fish: zindigi completion fish > ~/.config/fish/completions/zindigi.fish.
    """
    from connector.cli.main import make_app

    print(make_app().generate_completion(prog_name="zindigi", shell=shell))
