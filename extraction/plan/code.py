"""Python that is written for a person to read."""

import ast
import re

WIDTH = 100


def narrow(text: str) -> str:
    """Lines that are wider than WIDTH, an argument each."""
    lines = []
    for line in text.splitlines():
        lines += [line] if len(line) <= WIDTH else _broken(line)
    return "\n".join(lines) + "\n"


def _broken(line: str) -> list[str]:
    indent = " " * (len(line) - len(line.lstrip()))
    body = line.strip()
    start, comma = re.match(r"(\w+=|\w+ = )?", body)[0], "," if body.endswith(",") else ""  # type: ignore[index]
    try:
        node = ast.parse(body[len(start) :].removesuffix(","), mode="eval").body
    except SyntaxError:
        return [line]
    if isinstance(node, ast.Tuple) and len(node.elts) == 2 and isinstance(node.elts[1], ast.Call):
        inner = _broken(f"{indent}    {ast.unparse(node.elts[1])},")
        return [f"{indent}({ast.unparse(node.elts[0])},", *inner, f"{indent}){comma}"]
    if not isinstance(node, ast.Call):
        return [line]
    arguments = [*map(ast.unparse, node.args), *(ast.unparse(keyword) for keyword in node.keywords)]
    return [
        f"{indent}{start}{ast.unparse(node.func)}(",
        *(f"{indent}    {argument}," for argument in arguments),
        f"{indent}){comma}",
    ]
