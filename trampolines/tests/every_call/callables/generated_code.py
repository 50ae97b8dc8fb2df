"""Code that is made while the program runs, and code that older versions cannot parse."""

import importlib
import sys
import types

from notes import run, scenario

executed = compile('run("code of exec")', "<executed>", "exec")
evaluated = compile('run("code of eval")', "<evaluated>", "eval")


@scenario
def execute():
    exec(executed)
    eval(evaluated)


@scenario
def make_function():
    types.FunctionType((lambda: run("types.FunctionType")).__code__, globals())()


@scenario
def import_module():
    sys.modules.pop("imported", None)
    importlib.import_module("imported").in_imported_module()


modern = {
    (3, 12): '''
@scenario
def type_parameters():
    def generic[Bound: (run("bound of a type variable"), int)[1]](argument):
        run("generic function")
    generic(1)
    generic.__type_params__[0].__bound__
    type Alias = (run("type alias"), int)[1]
    Alias.__value__
''',
    (3, 14): '''
@scenario
def annotations():
    def annotated(argument: run("annotations of a function")):
        pass
    annotated.__annotations__
    class Annotated:
        attribute: run("annotations of a class")
    Annotated.__annotations__
''',
}
generated = [executed, evaluated]
for version, text in modern.items():
    if sys.version_info >= version:
        generated.append(compile(text, "<modern>", "exec"))
        exec(generated[-1])
