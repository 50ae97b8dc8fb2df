"""Classes: how they are made, and what is called on them and on their instances."""

import functools

from notes import run, scenario


class Methods:
    def method(self):
        run("method")

    @classmethod
    def class_method(cls):
        run("classmethod")

    @staticmethod
    def static_method():
        run("staticmethod")


@scenario
def call_method():
    Methods().method()


@scenario
def call_bound_method():
    bound = Methods().method
    bound()


@scenario
def call_class_method():
    Methods.class_method()


@scenario
def call_static_method():
    Methods.static_method()


class Constructed:
    def __new__(cls, *args):
        run("__new__")
        return super().__new__(cls)

    def __init__(self, argument):
        run("__init__ after __new__")


@scenario
def construct_with_new():
    Constructed(1)


class Initialized:
    def __init__(self, argument):
        run("__init__")


@scenario
def construct():
    Initialized(1)


class Base:
    def __init__(self):
        run("__init__ through super()")

    def method(self):
        run("method through super()")


class Derived(Base):
    def __init__(self):
        run("__init__ that calls super()")
        super().__init__()

    def method(self):
        run("method that calls super()")
        super().method()


@scenario
def call_super():
    Derived().method()


class Finalized:
    def __del__(self):
        run("__del__")


@scenario
def finalize():
    Finalized()


class Meta(type):
    def __new__(mcs, name, bases, namespace):
        run("metaclass __new__")
        return super().__new__(mcs, name, bases, namespace)

    @classmethod
    def __prepare__(mcs, name, bases):
        run("metaclass __prepare__")
        return {}

    def __call__(cls):
        run("metaclass __call__")
        return super().__call__()

    def __instancecheck__(cls, instance):
        run("metaclass __instancecheck__")
        return True


@scenario
def make_class():
    class Made(metaclass=Meta):
        run("class body")

    Made()
    isinstance(1, Made)


class Announcing:
    def __init_subclass__(cls):
        run("__init_subclass__")

    def __class_getitem__(cls, item):
        run("__class_getitem__")


class Named:
    def __set_name__(self, owner, name):
        run("__set_name__")


@scenario
def make_subclass():
    type("Subclass", (Announcing,), {"attribute": Named()})
    Announcing[1]


class Properties:
    @property
    def value(self):
        run("property get")

    @value.setter
    def value(self, new):
        run("property set")

    @value.deleter
    def value(self):
        run("property delete")


@scenario
def use_property():
    holder = Properties()
    holder.value
    holder.value
    holder.value = 1
    del holder.value


class Descriptor:
    def __get__(self, instance, owner):
        run("descriptor __get__")

    def __set__(self, instance, value):
        run("descriptor __set__")

    def __delete__(self, instance):
        run("descriptor __delete__")


class Described:
    attribute = Descriptor()


@scenario
def use_descriptor():
    holder = Described()
    holder.attribute
    holder.attribute = 1
    del holder.attribute


class CachedProperty:
    @functools.cached_property
    def value(self):
        run("functools.cached_property")


@scenario
def use_cached_property():
    holder = CachedProperty()
    holder.value
    holder.value
