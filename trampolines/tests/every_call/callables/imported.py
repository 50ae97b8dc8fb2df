"""Is imported again and again: a module's body is called, too."""

from notes import run

run("module body")


def in_imported_module():
    run("function of another module")
