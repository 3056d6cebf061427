"""`--help`: its panels, its examples, and shell completion; the names of options."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from xpfeh.cli import panels
from xpfeh.cli.main import app
from xpfeh.commands.labels import COMPILATIONS

ROOT: Any = typer.main.get_command(app)


def leaves(group: Any = ROOT, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Each command that can be run, by its words after `xpfeh`."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(leaves())


def examples(command: Any) -> list[str]:
    return re.fullmatch(r"Examples:\n```\n(.+)\n```", command.epilog, re.DOTALL)[1].replace("\\\n", "").splitlines()


def parse(words: list[str]) -> str:
    """The words of the parsed command; wrong and missing options are refused, and nothing is run."""
    command, names = ROOT, []
    while hasattr(command, "commands"):
        names.append(words[len(names)])
        command = command.commands[names[-1]]
    command.make_context(names[-1], words[len(names) :])
    return " ".join(names)


def test_each_command_is_in_a_panel() -> None:
    shown = {command.rich_help_panel for command in ROOT.commands.values()}
    assert shown == {panels.ANSWERS, panels.DATA, panels.TRAINING, panels.CATALOG, panels.TOOLS}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_s_help_is_short_and_ends_with_examples_that_work(name: str) -> None:
    command = COMMANDS[name]
    assert re.fullmatch(r"[A-Z].*\.", command.help.split("\n\n")[0], re.DOTALL)
    lines = examples(command)
    assert 1 <= len(lines) <= 3
    for line in lines:
        program, *words = shlex.split(line.partition(" > ")[0])
        assert (program, parse(words)) == ("xpfeh", name)
    assert max(map(len, command.epilog.splitlines())) <= 76, "a line of 80 columns must hold it"


def test_an_example_that_does_not_work_would_be_noticed() -> None:
    for words in (
        ["predict", "x.csv"],
        ["predict", "--outt", "y"],
        ["tune", "--features", "f", "--labels", "l", "--trials", "x"],
    ):
        with pytest.raises(Exception, match=r"Missing|No such option|valid integer"):
            parse(words)


def test_one_word_for_one_thing() -> None:
    used = {option for command in COMMANDS.values() for each in command.params for option in each.opts}
    assert {"--workers", "--cpus-per-worker", "--gpus-per-worker", "--members"} <= used
    assert not {option for option in used if re.search(r"trial$|max-workers|ensemble|_", option)} - {"--help"}
    positional = {
        each.name for command in COMMANDS.values() for each in command.params if each.param_type_name == "argument"
    }
    assert not positional & {"features", "labels"}


def test_each_compilation_of_labels_has_a_command() -> None:
    with_gaia = {name for name, command in COMMANDS.items() if "--gaia" in {o for p in command.params for o in p.opts}}
    assert with_gaia == {f"labels {kind}" for kind in COMPILATIONS}


def test_train_takes_the_best_recipe() -> None:
    assert next(each.default for each in COMMANDS["train"].params if each.name == "recipe") == "best"


def test_the_shell_completes_commands() -> None:
    asked = {"_XPFEH_COMPLETE": "complete_bash", "COMP_WORDS": "xpfeh pre", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv[0] = 'xpfeh'; from xpfeh.cli.main import main; main()"],
        env=os.environ | asked, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert set(done.stdout.split()) == {"predict", "pretrain"}
