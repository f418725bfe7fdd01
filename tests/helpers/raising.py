"""Which of fluctua's exceptions a function raises, read off the source: its own `raise`s and those of what it calls.

A call is followed where annotations say whose it is: a function of the package, a class (its constructor), a method or
a property of what a parameter, a field or another function's return annotation names. What is caught on the way is
taken off. Other calls are not followed. So the answer may lack some, and has none too many but for those that the
caller's own arguments rule out.
"""

from __future__ import annotations

import ast
import builtins
from collections import defaultdict
from functools import cache
from pathlib import Path

import fluctua as fl
from fluctua import errors

HOUSE = Path(fl.__file__).parent
ERRORS = {name: kind for name in errors.__all__ if issubclass(kind := getattr(errors, name), fl.FluctuaError)}
CONSTRUCTORS = ("__new__", "__init__", "__post_init__")


@cache
def package():
    """Everything that can be called, by its place: (module, name) and (module, class, name); and what it raises."""
    return Package()


def raised(*place):
    """The names of the exceptions of one function, (module, name) or (module, class, name)."""
    return package().found[place]


def constructed(module, kind):
    """Those of making an object of a class."""
    return {name for place in package().constructors(module, kind) for name in package().found[place]}


class Package:
    def __init__(self):
        self.nodes, self.imports, self.bases, self.fields = {}, {}, {}, defaultdict(dict)
        for path in sorted(HOUSE.rglob("*.py")):
            parts = path.relative_to(HOUSE.parent).with_suffix("").parts
            self.read(parts[:-1] if parts[-1] == "__init__" else parts, path)
        self.edges = {place: Reader(self, place).read() for place in self.nodes}
        self.found = dict.fromkeys(self.nodes, frozenset())
        while self.spread():
            pass

    def read(self, parts, path):
        module, tree = ".".join(parts), ast.parse(path.read_text(encoding="utf-8"))
        room = parts if path.name == "__init__.py" else parts[:-1]
        self.imports[module] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                source = ".".join([*room[: len(room) - node.level + 1], *filter(None, [node.module])])
                for alias in node.names:
                    self.imports[module][alias.asname or alias.name] = (source, alias.name)
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                self.nodes[module, node.name] = node
            elif isinstance(node, ast.ClassDef):
                self.bases[module, node.name] = [base.id for base in node.bases if isinstance(base, ast.Name)]
                for part in node.body:
                    if isinstance(part, ast.FunctionDef):
                        self.nodes[module, node.name, part.name] = part
                    elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                        self.fields[module, node.name][part.target.id] = part.annotation

    def spread(self):
        """Carry what is raised one call further; whether anything was new."""
        new = {}
        for place, (own, calls) in self.edges.items():
            more = set(own)
            for called, caught in calls:
                more |= {name for name in self.found[called] if not is_caught(name, caught)}
            new[place] = frozenset(more)
        changed, self.found = new != self.found, new
        return changed

    def resolved(self, module, name):
        """Where a name of a module is defined: a function's place, a class's, or None."""
        seen = set()
        while (module, name) not in seen:
            seen.add((module, name))
            if (module, name) in self.nodes or (module, name) in self.bases:
                return module, name
            if name in self.imports.get(module, ()):
                module, name = self.imports[module][name]
        return None

    def family(self, module, kind):
        """A class and its bases."""
        yield module, kind
        for base in self.bases.get((module, kind), ()):
            if (place := self.resolved(module, base)) in self.bases:
                yield from self.family(*place)

    def method(self, module, kind, name):
        """Where a class has a method from."""
        return next((p for base in self.family(module, kind) if (p := (*base, name)) in self.nodes), None)

    def constructors(self, module, kind):
        places = (self.method(module, kind, name) for name in CONSTRUCTORS)
        return [place for place in places if place]

    def annotated(self, module, annotation):
        """The class of the package that an annotation names first, or None."""
        names = [node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)] if annotation else []
        return next((p for name in names if (p := self.resolved(module, name)) in self.bases), None)

    def member(self, kind, name):
        """The class of what a class's field, property or method gives."""
        for base in self.family(*kind):
            if name in self.fields[base]:
                return self.annotated(base[0], self.fields[base][name])
            if (node := self.nodes.get((*base, name))) is not None:
                return self.annotated(base[0], node.returns)
        return None


def is_caught(name, caught):
    return any(issubclass(ERRORS[name], kind) for kind in caught)


class Reader(ast.NodeVisitor):
    """One function's own raises, and its calls with what is caught around them."""

    def __init__(self, package, place):
        self.package, self.place, self.module = package, place, place[0]
        self.own, self.calls, self.caught = set(), [], ()
        arguments = package.nodes[place].args
        given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        self.locals = {one.arg: package.annotated(self.module, one.annotation) for one in given}
        if len(place) == 3:
            self.locals.update(dict.fromkeys(("self", "cls"), place[:2]))

    def read(self):
        for node in self.package.nodes[self.place].body:
            self.visit(node)
        return self.own, self.calls

    def visit_Try(self, node):
        kinds = [kind for handler in node.handlers for kind in self.kinds(handler)]
        before, self.caught = self.caught, (*self.caught, *kinds)
        for each in node.body:
            self.visit(each)
        self.caught = before
        for each in [*node.handlers, *node.orelse, *node.finalbody]:
            self.visit(each)

    def kinds(self, handler):
        """The exceptions that a handler stops: fluctua's, and Python's, which may be bases of fluctua's."""
        if any(isinstance(each, ast.Raise) and each.exc is None for each in ast.walk(handler)):
            return []
        nodes = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        names = [node.id for node in nodes if isinstance(node, ast.Name)]
        return [kind for name in names if (kind := ERRORS.get(name) or getattr(builtins, name, None))]

    def visit_Raise(self, node):
        target = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        if isinstance(target, ast.Name):
            made = self.package.nodes.get(self.package.resolved(self.module, target.id))
            names = {target.id, getattr(getattr(made, "returns", None), "id", None)}  # a function may make it
            self.own |= {name for name in names if name in ERRORS and not is_caught(name, self.caught)}
        self.generic_visit(node)

    def visit_Name(self, node):
        """A function's name is taken as a call of it, also where it is handed on."""
        self.call(self.package.resolved(self.module, node.id))

    def call(self, place):
        if place in self.package.bases:
            self.calls += [(each, self.caught) for each in self.package.constructors(*place)]
        elif place:
            self.calls.append((place, self.caught))

    def visit_Attribute(self, node):
        if isinstance(node.value, ast.Name) and node.value.id in self.package.imports[self.module]:
            source = ".".join(self.package.imports[self.module][node.value.id])  # which may be a module
            self.call(self.package.resolved(source, node.attr))
        if (kind := self.kind(node.value)) and (place := self.package.method(*kind, node.attr)):
            self.calls.append((place, self.caught))
        self.generic_visit(node)

    def visit_Assign(self, node):
        """A local name is of what it is first made of; a tuple's names are of its elements."""
        for target in node.targets:
            both = isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
            pairs = zip(target.elts, node.value.elts, strict=False) if both else [(target, node.value)]
            for each, value in pairs:
                if isinstance(each, ast.Name):
                    self.locals.setdefault(each.id, self.kind(value))
        self.generic_visit(node)

    def kind(self, node):
        """The class of an expression, or None where annotations do not tell."""
        package = self.package
        if isinstance(node, ast.Name):
            return self.locals.get(node.id)
        if isinstance(node, ast.Attribute):
            return package.member(owner, node.attr) if (owner := self.kind(node.value)) else None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            place = package.resolved(self.module, node.func.id)
            return (
                place
                if place in package.bases or not place
                else package.annotated(place[0], package.nodes[place].returns)
            )
        return self.kind(node.func) if isinstance(node, ast.Call) else None
