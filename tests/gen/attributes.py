#!/usr/bin/env python3
"""Compares src/op/schemas/*.def with the schemas of ONNX and ONNX Runtime.

usage: attributes.py [--write]   (needs the packages onnx and onnxruntime)

Every version of every operator of ONNX's domains up to opset 28, and the
operators of com.microsoft and ai.onnx that have a row or a function but stand
only in ONNX Runtime, must have their numbers of operands and results, and
their attributes with type and whether they must be given.  What values an
attribute may have stands in no schema: it is written into the files by hand,
and kept by --write, which writes the files again.

Prints one line per difference; the exit code is 1 when there is one.
"""
import pathlib
import re
import sys

import onnx.defs
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from check_rows import OPSET, functions, rows, text as text_of

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = HERE / "../../src/op/schemas"
FILES = {"ONN": "onnx", "GSH": "gshard", "PRV": "preview", "TRN": "training",
         "MSF": "microsoft"}
SYMBOL = {"": "ONN", "ai.onnx.preview.training": "TRN",
          "ai.onnx.preview": "PRV", "com.microsoft": "MSF"}
MANY = 2147483647
ROW = re.compile(r'SCHEMA\("(\w+)",\s*(\w+), (\d+), (.*?)(?:,((?:\s*"[^"]*")+)'
                 r'|, NONE)\)')


def attribute(name, a):
    kind = str(a.type).split(".")[-1].split(":")[0].lower()
    kind = {"type_proto": "type", "sparse_tensor": "tensor"}.get(kind, kind)
    return f"{name}:{kind}" + ("!" if a.required else "")


def entry(s):
    number = [s.min_input, s.max_input, s.min_output, s.max_output]
    text = "{},{}, {},{}".format(*("MANY" if n == MANY else n
                                   for n in number))
    # Operands of lists of any number are there, but for these.
    spare = []
    for i in s.inputs:
        if i.option.name != "Optional":
            break
        spare.append("?")
    mark = ["".join(spare)] if spare and s.max_input == MANY else []
    return text, mark + [attribute(n, a) for n, a
                         in sorted(s.attributes.items())]


def ours():
    """What has a row or a function: (domain, name)."""
    folder = HERE / "../../src/op/functions"
    found = set(functions(folder))
    text = text_of(folder)
    for domain, name in re.findall(r"^function (?:([\w.]+)\.)?(\w+) \d", text,
                                   re.M):
        found.add((domain, name))
    table = (HERE / "../../src/op/ops.def").read_text()
    for name, domain in re.findall(r'^OP\(\s*\w+\s*,\s*"(\w+)"\s*,\s*(\w+)',
                                   table, re.M):
        for long, short in SYMBOL.items():
            if short == domain:
                found.add((long, name))
    return found


def schemas():
    """(domain, name, since) -> (numbers, attributes), sorted; versions that
    change neither are one."""
    all_of = {}
    for s in onnx.defs.get_all_schemas_with_history():
        if s.domain in SYMBOL and (s.domain or s.since_version <= OPSET):
            all_of[s.domain, s.name, s.since_version] = s
    known = {key[:2] for key in all_of}
    wanted = ours() - known
    for s in runtime.get_all_operator_schema():
        if (s.domain, s.name) in wanted:
            all_of[s.domain, s.name, s.since_version] = s
    found, last = {}, None
    for key in sorted(all_of):
        e = entry(all_of[key])
        if not last or last != (key[:2], e):
            found[key] = e
        last = key[:2], e
    return found


def written():
    """What the files say, with the values: (symbol, name, since) -> ..."""
    found = {}
    text = "".join(f.read_text() for f in sorted(FOLDER.glob("*.def")))
    for name, domain, since, number, text in ROW.findall(text):
        words = "".join(re.findall(r'"([^"]*)"', text)).split()
        found[domain, name, int(since)] = number, words
    return found


def plain(word):
    """Without the values."""
    return re.sub(r"(\{.*\}|\[.*\])$", "", word)


def row(name, domain, since, number, words):
    start = f'SCHEMA("{name}", {domain}, {since}, {number}, '
    if not words:
        return start + "NONE)\n"
    lines = [""]
    for piece in re.findall(r"[^ ,]+[ ,]?", " ".join(words)):
        if len(lines[-1]) + len(piece) > 70:
            lines.append("")
        lines[-1] += piece
    text = "\n".join(f'       "{t}"' for t in lines)
    if len(lines) == 1 and len(start) + len(text) < 72:
        return start + text.strip() + ")\n"
    return start.rstrip() + "\n" + text + ")\n"


def write(want, have):
    values = {}
    for (domain, name, since), (_, words) in sorted(have.items()):
        for w in words:
            values[domain, name, plain(w)] = w
            values[domain, name, since, plain(w)] = w
    ours = {("ai.gshard", *key[1:]): e for key, e in have.items()
            if key[0] == "GSH"}
    body = dict.fromkeys(FILES, "/* Rows of schemas.def. */\n")
    for (domain, name, since), (number, words) in sorted((want | ours).items()):
        d = SYMBOL.get(domain, "GSH")
        words = [values.get((d, name, since, w), values.get((d, name, w), w))
                 for w in words]
        body[d] += row(name, d, since, number, words)
    for d, file in FILES.items():
        (FOLDER / f"{file}.def").write_text(body[d])


def main():
    want, have = schemas(), written()
    if sys.argv[1:] == ["--write"]:
        write(want, have)
        return 0
    bad = 0
    want = {(SYMBOL[d], n, v): e for (d, n, v), e in want.items()}
    for key in sorted(want.keys() | {k for k in have if k[0] != "GSH"}):
        mine = have.get(key)
        if mine:
            mine = mine[0], [plain(w) for w in mine[1]]
        if mine != want.get(key):
            print(*key, "is", mine, "but the schema says", want.get(key))
            bad += 1
    print(f"{len(want)} versions, {bad} differ")
    return 1 if bad or not want else 0


if __name__ == "__main__":
    sys.exit(main())
