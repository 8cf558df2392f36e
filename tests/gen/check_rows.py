#!/usr/bin/env python3
"""Compares the table of operators with the schemas of the onnx package.

usage: check_rows.py [FOLDER]     (needs the Python package onnx)

FOLDER, src/op unless given, has ops.def and functions/*.txt.  For every row and
every function of ONNX's domains: `since` must be the newest version up to
opset 28, the numbers of operands and results those of its schema; a function
must also have the schema's attributes, with the same defaults.  No operator
stands in both.

Prints one line per difference, and the operators of ai.onnx up to opset 28
that are in neither file.  The exit code is 1 when something differs; what is
in neither file is no difference.
"""
import pathlib
import re
import sys

import onnx.defs

OPSET = 28
MANY = 2147483647
DOMAINS = {"ONN": "", "TRN": "ai.onnx.preview.training",
           "PRV": "ai.onnx.preview"}
# Exported into ai.onnx by tools, though ONNX does not define it.
FOREIGN = {("", "SimplifiedLayerNormalization")}


def schema(domain, name):
    version = OPSET if domain == "" else 1
    return onnx.defs.get_schema(name, version, domain)


def rows(path):
    """(domain, name) -> (since, in, in, out, out)"""
    pattern = (r'^OP\(\s*\w+\s*,\s*"(\w+)"\s*,\s*(\w+)\s*,\s*(\d+)\s*,\s*(\d+)'
               r'\s*,\s*(\w+)\s*,\s*(\d+)\s*,\s*(\w+)\s*,')
    found = {}
    for m in re.finditer(pattern, path.read_text(), re.M):
        name, domain, *numbers = m.groups()
        if domain in DOMAINS:
            found[DOMAINS[domain], name] = tuple(
                MANY if n == "MANY" else int(n) for n in numbers)
    return found


def arity(text):
    """Least and most of "a, b?, c*"."""
    least = most = 0
    for value in filter(None, (v.strip() for v in text.split(","))):
        most += 1
        if not value.endswith("?"):
            least = most
        if value.endswith("*"):
            return least, MANY
    return least, most


def text(folder):
    """All that stands in the files of functions."""
    return "".join(f.read_text() for f in sorted(folder.glob("*.txt")))


def functions(path):
    """(domain, name) -> (first, since, in, in, out, out, attributes);
    attributes: name -> default as text, None without one"""
    found, attributes = {}, {}
    for line in text(path).splitlines():
        m = re.match(r"function ((?:[\w.]+\.)?)(\w+) (\d+)(?:-(\d+))? "
                     r"\((.*?)\) -> \((.*?)\)$", line)
        if m:
            domain, name, first, since, operands, results = m.groups()
            attributes = {}
            if domain[:-1] == "" or domain.startswith("ai.onnx"):
                found[domain[:-1], name] = (
                    int(first), int(since or first), *arity(operands),
                    *arity(results), attributes)
        m = re.match(r"  attribute (\w+)\??(?: = (.*)| : \w+)$", line)
        if m:
            attributes[m[1]] = m[2]
    return found


def defaults(s):
    """The schema's attributes, name -> default or None."""
    for name, a in s.attributes.items():
        value = onnx.helper.get_attribute_value(a.default_value) \
            if a.default_value.type else None
        yield name, value.decode() if isinstance(value, bytes) else value


def same(text, value):
    if text is None or value is None:
        return text is None and value is None
    if isinstance(value, str):
        return text == f'"{value}"'
    return abs(float(text) - value) <= 1e-6 * abs(value)


def differences(got, found):
    """What is wrong with the functions."""
    for (domain, name), (first, since, *counts, attributes) in found.items():
        if (domain, name) in got:
            yield f"{name}: has a row and a function"
        if (domain, name) in FOREIGN:
            continue
        s = schema(domain, name)
        versions = [v.since_version
                    for v in onnx.defs.get_all_schemas_with_history()
                    if (v.domain, v.name) == (domain, name)]
        if (first, since) != (min(versions), s.since_version):
            yield (f"{name}: opsets {first}-{since}, but the schemas have "
                   f"{min(versions)}-{s.since_version}")
        # The schema counts operands of optimisers from the fixed ones on.
        want = [s.min_input, s.max_input, s.min_output, s.max_output]
        if any(c != w for c, w in zip(counts, want)
               if MANY not in want[:2] or w == MANY):
            yield f"{name}: in, out {counts}, but the schema has {want}"
        known = dict(defaults(s))
        for a in known.keys() | attributes.keys():
            if a not in known or a not in attributes:
                yield f"{name}: attribute {a} is on one side only"
            elif not same(attributes[a], known[a]):
                yield (f"{name}: attribute {a} is {attributes[a]}, but "
                       f"{known[a]} in the schema")


def main():
    here = pathlib.Path(__file__).resolve().parent
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else \
        here / "../../src/op"
    got, found = rows(folder / "ops.def"), functions(folder / "functions")
    bad = list(differences(got, found))
    for (domain, name), row in got.items():
        s = schema(domain, name)
        want = (s.since_version, s.min_input, s.max_input, s.min_output,
                s.max_output)
        if row != want:
            bad.append(f"{name}: since, in, out {row}, but the schema has "
                       f"{want}")
    print(*bad, sep="\n", end="\n" if bad else "")
    names = {s.name for s in onnx.defs.get_all_schemas_with_history()
             if s.domain == "" and s.since_version <= OPSET}
    lacking = sorted(n for n in names if ("", n) not in got | found
                     and not schema("", n).deprecated)
    print(f"in neither file: {len(lacking)} operators")
    for name in lacking:
        print(" ", name)
    print(f"{len(got)} rows, {len(found)} functions, {len(bad)} differ")
    return 1 if bad or not got else 0


if __name__ == "__main__":
    sys.exit(main())
