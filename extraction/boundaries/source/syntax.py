"""A Python file as a syntax tree: its calls by name, its strings, what its names stand for.

Read by tree-sitter and not by this interpreter's `ast`, which knows no syntax newer than itself. What a name stands for
is followed within the file: imports and their aliases, names that are bound to one constant, `+`, f-strings, a function
that returns a constant, `getattr` and its kin, a module that is imported by its name. What is not known at reading is
HOLE in a string's value. What is kept in an attribute, a list or a dict, or comes from another file, is not followed;
what a loop over a literal goes over, and both sides of a condition or an `or`, only by the rules that ask for `values`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count

from tree_sitter import Node, Parser, Query, QueryCursor

from extraction.boundaries.source.files import in_comment
from extraction.boundaries.source.scopes import LANGUAGE, Scopes

HOLE = "\ufffc"
"""Stands in a value for the part that only the running program knows."""

IMPORTS = ("import_module", "__import__", "find_spec", "run_module", "resolve_name", "locate", "import_string")
"""Functions that import what a string names."""
FILES = {"run_path": 0, "SourceFileLoader": 1, "spec_from_file_location": 1, "load_source": 1}
"""Functions that run the file whose path is this one of their arguments."""

_PARSER = Parser(LANGUAGE)
_PLACES = Query(
    LANGUAGE,
    """
    (import_statement) @import
    (import_from_statement) @import
    (call function: (identifier) @function)
    (call function: (attribute attribute: (identifier) @method))
    (call function: [(call) (subscript) (parenthesized_expression)] @computed)
    (subscript value: (_) @subscripted)
    (string) @string
    (concatenated_string) @joined
    (binary_operator (string)) @joined
    (string (interpolation)) @joined
    (call function: (attribute object: [(string) (parenthesized_expression)] attribute: (identifier) @format)
        (#eq? @format "format")) @joined
    """,
)
_BROKEN = Query(LANGUAGE, "[(ERROR) (MISSING) (print_statement) (exec_statement)] @broken")
_FUNCTIONS = Query(LANGUAGE, "(function_definition name: (identifier) @name)")
_PARTS = Query(LANGUAGE, "[(string) (identifier) (call)] @part")
_OLD = re.compile(rb"^[ \t]*(?:print|exec)[ \t]+[^ \t=:(]", re.MULTILINE)
_STRING = re.compile(rb"""([A-Za-z]*)(\"\"\"|'''|"|')(.*)\2\Z""", re.DOTALL)
_CHOICES = ("conditional_expression", "boolean_operator", "parenthesized_expression")
_PERCENT = re.compile(r"%(?:\((\w+)\))?[-+#0-9.]*[a-zA-Z]")
_BRACES = re.compile(r"\{(\w*)[^{}]*\}")
_SPACE = re.compile(r"\s+")
_ANY_ORIGIN = {"import_module", "__import__", "import_string"}
"""Of IMPORTS, those whose name says so, whatever they come from; the others have to come from _ORIGINS."""
_ORIGINS = {"builtins", "imp", "importlib", "pkgutil", "pydoc", "runpy"}
_BUILTINS = {"__import__", "exec", "eval", "compile", "getattr", "vars"}
_STAND = {*IMPORTS, "getattr", "vars"}
"""Functions whose calls stand for something that has a name."""
_DEEPEST = 100
_SHOWN = 90


@dataclass(frozen=True, slots=True)
class Call:
    """A call, and what is given to it."""

    node: Node
    function: Node
    positional: tuple[Node, ...]
    keywords: dict[str, Node]

    def argument(self, index: int, *names: str) -> Node | None:
        """By its place or one of its names."""
        if index < len(self.positional):
            found = self.positional[index]
            return None if found.type in ("list_splat", "dictionary_splat") else found
        return next((self.keywords[name] for name in names if name in self.keywords), None)


@dataclass(frozen=True, slots=True)
class Text:
    """A string of the code, whole: with all that is joined to it."""

    node: Node
    value: str


class Code:
    """One file. `module` is its dotted name; `words`, in lower case, tells which of its strings are looked at."""

    def __init__(self, data: bytes, module: str, words: re.Pattern[bytes], *, package: str = "") -> None:
        self.data, self.module, self.words = data, module, words
        self._lower = data.lower()
        self.package = package or module.rpartition(".")[0]
        self.root = _PARSER.parse(data).root_node
        self.scopes = Scopes(self.root)
        self._places = QueryCursor(_PLACES).captures(self.root)
        self._open: set[int] = set()
        self._known: dict[int, str] = {}
        """What names stand for, by node."""
        self.taken: set[int] = set()
        """Where strings begin that a rule has judged already."""

    @cached_property
    def broken(self) -> int:
        """The first line that is no Python; 0 if there is none. The grammar knows statements of Python 2 too."""
        if not self.root.has_error and not _OLD.search(self.data):
            return 0
        found = QueryCursor(_BROKEN).captures(self.root).get("broken", [])
        return min((self.line(node) for node in found), default=int(self.root.has_error))

    @cached_property
    def names(self) -> dict[str, str]:
        """What the file's imports bind, in any of its scopes: `il` → `importlib`."""
        return dict(self._imports[0])

    @cached_property
    def imported(self) -> frozenset[str]:
        """Modules that an `import a.b` names."""
        return frozenset(self._imports[1])

    @cached_property
    def texts(self) -> list[Text]:
        """The strings that hold one of the words, and those that are put together of several; no docstrings."""
        found: dict[int, Text] = {}
        seen: set[int] = set()
        end = 0
        for node in sorted(self._places.get("joined", ()), key=lambda node: (node.start_byte, -node.end_byte)):
            if node.end_byte > end:
                whole = self._whole(node)
                self._keep(whole, found, seen)
                end = whole.end_byte
        for node in self._places.get("string", ()):
            if node.start_byte not in seen and self.words.search(self._lower, node.start_byte, node.end_byte):
                self._keep(self._whole(node), found, seen)
        return [found[start] for start in sorted(found)]

    def calls(self, *names: str) -> Iterator[Call]:
        """Calls of a function or a method by one of these names, however the file has renamed it."""
        for name in names:
            for node in self._calls.get(name, ()):
                yield _call(node)

    def subscripts(self, *names: str) -> Iterator[tuple[Node, Node]]:
        """What is subscripted and with what: of `connections[…]` and `django.db.connections[…]`."""
        for name in names:
            for value in self._subscripts.get(name, ()):
                subscript = value.parent
                inner = subscript.child_by_field_name("subscript") if subscript else None
                if inner is not None:
                    yield value, inner

    def in_comment(self, data: bytes, at: int) -> bool:
        """Whether a place stands in a comment of Python, or in one of SQL within a string."""
        node = self.at(at, at + 1)
        return node is not None and (node.type == "comment" or in_comment(data, at))

    def at(self, start: int, end: int) -> Node | None:
        """The smallest node that holds these bytes."""
        return self.root.descendant_for_byte_range(start, end)

    def text(self, node: Node) -> str:
        return self.data[node.start_byte : node.end_byte].decode(errors="replace")

    def shown(self, node: Node) -> str:
        """In one line, cut where it is long."""
        text = _SPACE.sub(" ", self.text(node))
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

    def line(self, node: Node) -> int:
        return node.start_point[0] + 1

    def heard(self, call: Node, given: Node | None) -> tuple[int, ...]:
        """Where a comment speaks of what a call is given: its lines, the call's first, a last that only closes it."""
        arguments = call.child_by_field_name("arguments")
        parts = [part for part in arguments.named_children if part.type != "comment"] if arguments is not None else []
        last, end = call.end_point[0], parts[-1].end_point[0] if parts else call.start_point[0]
        own = range(given.start_point[0], given.end_point[0] + 1) if given is not None else ()
        return tuple(row + 1 for row in {call.start_point[0], *own, *([last] if last > end else [])})

    def line_of(self, text: Text, offset: int) -> int:
        """The line of a place in a string's value, where its lines are those of the file."""
        start = self.line(text.node)
        if text.node.end_point[0] + 1 - start != text.value.count("\n"):
            return start
        return start + text.value.count("\n", 0, offset)

    def name(self, node: Node | None) -> str:
        """The dotted name that an expression stands for; empty where it is none, or may be one of several."""
        attributes = []
        while node is not None and node.type == "attribute":
            attribute = node.child_by_field_name("attribute")
            attributes.append(self.text(attribute) if attribute is not None else "")
            node = node.child_by_field_name("object")
        if node is None or (node.id not in self._known and len(self._open) > _DEEPEST):
            return ""
        if node.id not in self._known:
            self._known[node.id] = ""  # until it is known: what stands for itself stands for nothing
            self._open.add(node.id)
            self._known[node.id] = self._named(node)
            self._open.discard(node.id)
        first = self._known[node.id]
        return ".".join([first, *reversed(attributes)]) if first and HOLE not in first else ""

    def import_of(self, call: Call) -> str | None:
        """The dotted name that a call of IMPORTS imports, with HOLE in it; None where reading tells nothing."""
        named = self.value(call.argument(0, "name", "import_name", "fullname", "mod_name", "dotted_path", "path"))
        if named is None or not named.startswith("."):
            return named
        base = self.value(call.argument(1, "package"))
        if base is None or HOLE in base:
            return None
        inside = named.lstrip(".")
        parts = base.split(".")
        return ".".join([*parts[: len(parts) - (len(named) - len(inside)) + 1], inside])

    def imports(self, call: Call) -> bool:
        """Whether a call of one of IMPORTS is an import: no function or method of the code's own."""
        if name := self.name(call.function):
            return is_import(name)
        text = self.text(call.function)
        return text in _ANY_ORIGIN and not self.is_bound(text) and not self.scopes.local(call.function)

    def value(self, node: Node | None, depth: int = 0) -> str | None:
        """What an expression is, as far as reading tells, with HOLE for the rest; None where it tells nothing."""
        if node is None or depth > _DEEPEST:
            return None
        match node.type:
            case "string":
                return self._of_string(node, depth)
            case "concatenated_string":
                return "".join(self._of_string(part, depth) for part in node.named_children if part.type == "string")
            case "parenthesized_expression":
                inner = [part for part in node.named_children if part.type != "comment"]
                return self.value(inner[0], depth + 1) if inner else None
            case "binary_operator":
                return self._of_operator(node, depth)
            case "call" | "identifier" | "attribute":
                return self._of_name(node, depth)
        return None

    def values(self, node: Node | None) -> list[str]:
        """All that an expression may be: either side of `a if c else b` and of `a or b`, what a loop goes over."""
        return [value for each in self.choices(node) if (value := self.value(each))]

    def choices(self, node: Node | None) -> list[Node]:
        """The expressions that one may stand for, itself if it leaves no choice."""
        found: list[Node] = []
        waiting, seen = [node], set[int]()
        while waiting:
            each = waiting.pop()
            if each is None or each.id in seen:
                continue
            seen.add(each.id)
            if each.type in _CHOICES:
                parts = [part for part in each.named_children if part.type != "comment"]
                waiting += [parts[0], *parts[2:]] if each.type == "conditional_expression" else parts
                continue
            meant = self.looped(each) if each.type == "identifier" else None
            while meant is not None and meant.type == "identifier" and meant.id not in seen:
                seen.add(meant.id)
                meant = self.bound(meant)
            if meant is not None and meant.type in ("list", "tuple", "set"):
                waiting += meant.named_children
            elif (bound := self.bound(each)) is not None:
                waiting.append(bound)
            else:
                found.append(each)
        return found

    def take(self, node: Node | None) -> None:
        """Mark the strings that an expression may stand for as judged."""
        for each in [node, *self.choices(node)]:
            meant = each
            while meant is not None and meant.start_byte not in self.taken:
                self.taken.add(meant.start_byte)
                meant = self._meant(meant)

    def bound(self, name: Node) -> Node | None:
        """What a name is bound to, if that is one thing in the scope in which it is bound."""
        found = self.scopes.bound(name)
        return found[0] if len(found) == 1 else None

    def looped(self, name: Node) -> Node | None:
        """What a name runs through: of the loop or the comprehension around it."""
        outer = name.parent
        while outer is not None:
            loops = [outer] if outer.type == "for_statement" else []
            if outer.type.endswith("_comprehension") or outer.type == "generator_expression":
                loops = [part for part in outer.named_children if part.type == "for_in_clause"]
            for loop in loops:
                left = loop.child_by_field_name("left")
                if left is not None and self.text(left) == self.text(name):
                    return loop.child_by_field_name("right")
            outer = outer.parent
        return None

    def is_bound(self, name: str) -> bool:
        """Whether the file gives a name a meaning of its own: a function, an assignment, an import."""
        own = name in self.names or name in self.scopes.bindings
        return own or re.search(rf"\b(?:def|class)\s+{name}\b".encode(), self.data) is not None

    def around(self, node: Node) -> Call | None:
        """The call of which a node is an argument, however deep in lists and operators."""
        outer = node.parent
        while outer is not None and outer.type not in ("block", "module", "lambda"):
            if outer.type == "argument_list":
                call = outer.parent
                function = call.child_by_field_name("function") if call is not None else None
                if call is not None and function is not None and function.type in ("identifier", "attribute"):
                    return _call(call)
            outer = outer.parent
        return None

    def calls_around(self, node: Node) -> Iterator[Call]:
        """All calls in whose arguments a node stands, the innermost first."""
        call = self.around(node)
        while call is not None:
            yield call
            call = self.around(call.node)

    def called(self, call: Call) -> str:
        """The last part of a called function's name, as it is called where it comes from."""
        return self._last(call.function)

    def keyword(self, node: Node) -> str:
        """The name that a value is given: of a keyword argument, an assignment, a key of a dict."""
        outer = node.parent
        while outer is not None and outer.type in ("list", "tuple", "set", "parenthesized_expression"):
            outer = outer.parent
        if outer is None or outer.type not in ("keyword_argument", "assignment", "pair"):
            return ""
        named = outer.child_by_field_name({"keyword_argument": "name", "assignment": "left", "pair": "key"}[outer.type])
        if named is None or named.start_byte == node.start_byte:
            return ""
        return (self.value(named) or "") if outer.type == "pair" else self.text(named)

    def beside(self, node: Node) -> Iterator[str]:
        """The values of the other strings and names in the statement that holds a node."""
        outer = node
        while outer.parent is not None and not outer.type.endswith("_statement") and outer.parent.type != "block":
            outer = outer.parent
        for each in QueryCursor(_PARTS).captures(outer).get("part", ()):
            if not node.start_byte <= each.start_byte < node.end_byte and (value := self.value(each)):
                yield value

    @cached_property
    def _imports(self) -> tuple[list[tuple[str, str]], list[str]]:
        names: list[tuple[str, str]] = []
        modules: list[str] = []
        for node in self._places.get("import", ()):
            origin = node.child_by_field_name("module_name")
            base = self._absolute(self.text(origin)) if origin is not None else ""
            for each in node.children_by_field_name("name"):
                alias = each.child_by_field_name("alias") if each.type == "aliased_import" else None
                inner = each.child_by_field_name("name") if each.type == "aliased_import" else each
                dotted = self.text(inner) if inner is not None else ""
                if origin is not None:
                    names.append((self.text(alias) if alias is not None else dotted, f"{base}.{dotted}"))
                    continue
                modules.append(dotted)
                if alias is not None:
                    names.append((self.text(alias), dotted))
                else:
                    top = dotted.partition(".")[0]
                    names.append((top, top))
        return names, modules

    @cached_property
    def _calls(self) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = {}
        for kind in ("function", "method", "computed"):
            for function in self._places.get(kind, ()):
                node = function.parent if kind != "method" or function.parent is None else function.parent.parent
                name = self.text(function) if kind == "method" else self._last(function)
                if node is not None and name:
                    found.setdefault(name, []).append(node)
        return found

    def _last(self, function: Node) -> str:
        plain = self._plain(function)
        if plain and (function.type == "attribute" or self.text(function) not in self._aliases):
            return plain
        return self.name(function).rpartition(".")[2] or plain

    def _plain(self, function: Node) -> str:
        """The last part of a name, by the imports alone."""
        if function.type == "attribute":
            return self.text(function.child_by_field_name("attribute") or function)
        text = self.text(function) if function.type == "identifier" else ""
        return self.names.get(text, text).rpartition(".")[2]

    @cached_property
    def _aliases(self) -> frozenset[str]:
        """Names that an assignment, in any scope, binds to something that has a dotted name."""
        bindings = self.scopes.bindings.items()
        return frozenset(local for local, bound in bindings if any(self.name(value) for _, value in bound))

    @cached_property
    def _subscripts(self) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = {}
        for node in self._places.get("subscripted", ()):
            text = self.text(node) if node.type in ("identifier", "attribute") else ""
            if not text or text in self.names or text in self._aliases:
                text = self.name(node) or text
            if text:
                found.setdefault(text.rpartition(".")[2].strip(), []).append(node)
        return found

    @cached_property
    def _returned(self) -> dict[str, Node]:
        """What functions of one return statement, their last, return."""
        found: dict[str, Node] = {}
        for name in QueryCursor(_FUNCTIONS).captures(self.root).get("name", ()):
            body = name.parent.child_by_field_name("body") if name.parent is not None else None
            last = body.named_children[-1] if body is not None and body.named_children else None
            if last is not None and last.type == "return_statement" and last.named_children:
                found[self.text(name)] = last.named_children[0]
        return found

    def _keep(self, node: Node, found: dict[int, Text], seen: set[int]) -> None:
        if node.start_byte in seen:
            return
        value = self.value(node)
        seen.update(part.start_byte for part in _strings(node))
        if value is None or (node.parent is not None and node.parent.type == "expression_statement"):
            return
        found[node.start_byte] = Text(node, value)

    def _whole(self, node: Node) -> Node:
        """With all that is joined to a string by standing beside it or by `+`."""
        while (outer := node.parent) is not None and (
            outer.type in ("concatenated_string", "parenthesized_expression") or _is_sum(outer)
        ):
            node = outer
        return node

    def _absolute(self, origin: str) -> str:
        """Of a relative import's origin: `..models`."""
        name = origin.replace(" ", "").lstrip(".")
        dots = len(origin.replace(" ", "")) - len(name)
        if not dots:
            return name
        parts = self.package.split(".")
        base = ".".join(parts[: len(parts) - dots + 1])
        return f"{base}.{name}" if name else base

    def _of_string(self, node: Node, depth: int) -> str:
        match = _STRING.match(self.data[node.start_byte : node.end_byte])
        if match is None:
            return HOLE
        prefix, body = match[1].lower(), match[3]
        if b"f" not in prefix and b"t" not in prefix:
            return _unescaped(body, raw=b"r" in prefix)
        parts, at = [], match.start(3) + node.start_byte
        for part in node.named_children:
            if part.type == "interpolation":
                known = self.value(part.child_by_field_name("expression"), depth + 1)
                parts += [_unescaped(self.data[at : part.start_byte], raw=b"r" in prefix), known or HOLE]
                at = part.end_byte
        parts.append(_unescaped(self.data[at : match.end(3) + node.start_byte], raw=b"r" in prefix))
        return "".join(parts).replace("{{", "{").replace("}}", "}")

    def _of_operator(self, node: Node, depth: int) -> str | None:
        operator = node.child_by_field_name("operator")
        left = self.value(node.child_by_field_name("left"), depth + 1)
        if operator is None or operator.type not in ("+", "%"):
            return None
        if operator.type == "%":
            return None if left is None else self._filled(_PERCENT, left, node.child_by_field_name("right"), depth)
        right = self.value(node.child_by_field_name("right"), depth + 1)
        if left is None and right is None:
            return None
        return (HOLE if left is None else left) + (HOLE if right is None else right)

    def _filled(self, places: re.Pattern[str], text: str, given: Node | None, depth: int) -> str:
        """What `%` and `.format` make of a text: the given by place or by name, HOLE where it is not known."""
        parts = [given] if given is not None else []
        if given is not None and given.type in ("tuple", "dictionary", "argument_list"):
            parts = [part for part in given.named_children if part.type != "comment"]
        by_name: dict[str, Node | None] = {}
        for index, part in enumerate(parts):
            named = part.child_by_field_name("name" if part.type == "keyword_argument" else "key")
            name = (self.value(named) or "" if part.type == "pair" else self.text(named)) if named else str(index)
            by_name[name] = part.child_by_field_name("value") if named else part
        numbers = map(str, count())
        return places.sub(lambda place: self.value(by_name.get(place[1] or next(numbers)), depth + 1) or HOLE, text)

    def _of_name(self, node: Node, depth: int) -> str | None:
        text = self.text(node)
        if text in ("__name__", "__package__"):
            return self.module if text == "__name__" else self.package
        function = node.child_by_field_name("function")
        if function is not None and function.type == "attribute":
            attribute = function.child_by_field_name("attribute")
            if attribute is not None and self.text(attribute) == "format":
                inner = self.value(function.child_by_field_name("object"), depth + 1)
                given = node.child_by_field_name("arguments")
                return None if inner is None else self._filled(_BRACES, inner, given, depth)
        return self._followed(self._meant(node), depth)

    def _meant(self, node: Node) -> Node | None:
        """What a name or `self.KEY` is bound to, and what a call returns, if the file tells."""
        function = node.child_by_field_name("function")
        if function is None:
            return self.bound(node)
        return self._returned.get(self.text(function)) if function.type == "identifier" else None

    def _followed(self, node: Node | None, depth: int) -> str | None:
        """The value of what a name stands for; of a name that stands for itself, none."""
        if node is None or node.id in self._open:
            return None
        self._open.add(node.id)
        try:
            return self.value(node, depth + 1)
        finally:
            self._open.discard(node.id)

    def _named(self, node: Node) -> str:
        match node.type:
            case "identifier":
                return self._of_identifier(node)
            case "parenthesized_expression":
                return self.name(next((part for part in node.named_children if part.type != "comment"), None))
            case "named_expression":
                return self.name(node.child_by_field_name("value"))
            case "subscript":
                return self._of_key(self.name(node.child_by_field_name("value")), node.child_by_field_name("subscript"))
            case "call":
                return self._of_call(node)
        return ""

    def _of_identifier(self, node: Node) -> str:
        """By its bindings, then by the imports: where the file imports a name and binds it too, it means the import."""
        text = self.text(node)
        bound = self.scopes.local(node)
        if not bound and text in self.names:
            return self.names[text]
        if text == "__builtins__":
            return "builtins"
        if text in _BUILTINS and not bound and not self.is_bound(text):
            return f"builtins.{text}"
        names = {name for value in bound or self.scopes.bound(node) if (name := self.name(value))}
        return names.pop() if len(names) == 1 else ""

    def _of_key(self, container: str, key: Node | None) -> str:
        """What `sys.modules["a.b"]` and `a.__dict__["b"]` stand for."""
        inside = "builtins" if container == "builtins" else container.removesuffix(".__dict__")
        if container != "sys.modules" and inside == container != "builtins":
            return ""
        value = self.value(key)
        return "" if not value else value if container == "sys.modules" else f"{inside}.{value}"

    def _of_call(self, node: Node) -> str:
        """What `getattr(a, "b")`, `vars(a)`, `attrgetter("b")(a)` and `import_module("a")` stand for."""
        function = node.child_by_field_name("function")
        is_nested = function is not None and function.type == "call"
        if function is None or not (is_nested or self._plain(function) in _STAND):
            return ""
        call = _call(node)
        if is_nested:
            getter = _call(call.function)
            taken = self.value(getter.argument(0)) if self._plain(getter.function) == "attrgetter" else None
            inside = self.name(call.argument(0)) if taken else ""
            return f"{inside}.{taken}" if inside else ""
        called = self._plain(function)
        if called in ("getattr", "vars"):
            inside = self.name(call.argument(0)) if self.name(call.function) == f"builtins.{called}" else ""
            attribute = "__dict__" if called == "vars" else self.value(call.argument(1))
            return f"{inside}.{attribute}" if inside and attribute else ""
        if not self.imports(call):
            return ""
        name = self.import_of(call) or ""
        is_top = called == "__import__" and call.argument(3, "fromlist") is None
        return name.partition(".")[0] if is_top else name


def is_import(name: str) -> bool:
    """Whether the name of one of IMPORTS, FILES, `exec` or `eval` is whole that of what is meant."""
    return name.partition(".")[0] in _ORIGINS or name.rpartition(".")[2] in _ANY_ORIGIN


def _call(node: Node) -> Call:
    """Of a call's node."""
    function, arguments = node.child_by_field_name("function"), node.child_by_field_name("arguments")
    assert function is not None
    positional: list[Node] = []
    keywords: dict[str, Node] = {}
    for each in arguments.named_children if arguments is not None and arguments.type == "argument_list" else ():
        if each.type == "keyword_argument":
            name, value = each.child_by_field_name("name"), each.child_by_field_name("value")
            if name is not None and value is not None and name.text is not None:
                keywords[name.text.decode()] = value
        elif each.type != "comment":
            positional.append(each)
    return Call(node, function, tuple(positional), keywords)


def _is_sum(node: Node) -> bool:
    operator = node.child_by_field_name("operator") if node.type == "binary_operator" else None
    return operator is not None and operator.type == "+"


def _strings(node: Node) -> Iterator[Node]:
    """Of a string, a sum or a group, with itself."""
    waiting = [node]
    while waiting:
        part = waiting.pop()
        yield part
        if part.type in ("concatenated_string", "parenthesized_expression", "binary_operator"):
            waiting += part.named_children


def _unescaped(body: bytes, *, raw: bool) -> str:
    text = body.decode(errors="replace")
    if raw or "\\" not in text:
        return text
    try:
        return text.encode("latin-1", "backslashreplace").decode("unicode_escape")
    except UnicodeDecodeError:
        return text
