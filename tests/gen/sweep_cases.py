#!/usr/bin/env python3
"""Writes tests/data/sweep.txt, the cases of test_sweep.c:

    python3 tests/gen/sweep_cases.py > tests/data/sweep.txt

Every operator on sizes that 2 and 4 devices divide and 3 do not always (8x12)
and on sizes that nothing divides (5x7); sizes 1 and 0, sizes below the number
of devices; several types; the attributes that matter to a split.
"""

cases = []
about = ""


def case(node, *lines):
    """One case: declarations, the node under test."""
    name = node.partition("= ")[2].partition("(")[0].split()[0]
    cases.append("\n".join((f"== {name}: {about}", *lines, node)))


def f(name, *dims, t="f32"):
    return f"input {name} : {t}[{','.join(map(str, dims))}]"


def const(name, values, t="i64"):
    return f"constant {name} : {t}[{len(values)}] = {list(values)}"


def scalar(name, value, t="i64"):
    return f"constant {name} : {t}[] = [{value}]"


def between(name, low, high):
    return f"# range {name} {low} {high}"


def heading(text):
    """What the cases from here on are about."""
    global about
    about = text


SIZES = ((8, 12), (5, 7))
SMALL = ((1, 3), (0, 4), (2, 5))


heading("pointwise, one operand")
UNARY = ("Abs Neg Ceil Floor Round Sign Reciprocal Sqrt Exp Log Sin Cos Tanh "
         "Erf Sigmoid Softplus Relu Gelu IsInf IsNaN Identity Dropout").split()
for op in UNARY:
    for size in SIZES:
        case(f"y = {op}(x)", f("x", *size))
for size in SMALL:
    case("y = Relu(x)", f("x", *size, t="f16"))
    case("y = Not(x)", f("x", *size, t="bool"))
for size in SIZES:
    case("y = Not(x)", f("x", *size, t="bool"))
    case("y = Identity(x)", f("x", *size, t="bool"))
    case("y = Neg(x)", f("x", *size, t="i64"))
    case("y = Abs(x)", f("x", *size, t="u8"))
    case("y = Relu(x)", f("x", *size, t="f64"))
    case("y = Tanh(x)", f("x", *size, t="f16"))
    for t in "f32", "u8", "bool", "f16":
        for to in 1, 2, 7, 9, 10:
            case(f"y = Cast(x) to={to}", f("x", *size, t=t))
    case("y = CastLike(x, t)", f("x", *size, t="i64"), f("t", 1, t="f16"))
    case("y, m = Dropout(x, r) : ?[...], : ?[...]", f("x", *size),
         scalar("r", 0.5, "f32"))
    case("y = Gelu(x) approximate=\"tanh\"", f("x", *size))

heading("pointwise, several operands")
PAIRS = (((8, 12), (12,)), ((5, 7), (5, 1)), ((1, 7), (5, 1)),
         ((3, 1, 5), (4, 1)), ((0, 4), (1, 4)), ((8, 12), ()))
for op in "Add Sub Mul Max Min Mean Sum".split():
    for a, b in PAIRS:
        case(f"y = {op}(a, b)", f("a", *a), f("b", *b))
for op in "Add", "Mul":
    for t in "f16", "i64", "u8":
        for a, b in PAIRS[:2]:
            case(f"y = {op}(a, b)", f("a", *a, t=t), f("b", *b, t=t))
for a, b in PAIRS:
    case("y = Div(a, b)", between("b", 1, 4), f("a", *a), f("b", *b))
    case("y = Div(a, b)", between("a", -9, 9), between("b", 1, 4),
         f("a", *a, t="i64"), f("b", *b, t="i64"))
    case("y = Mod(a, b)", between("a", -9, 9), between("b", 1, 4),
         f("a", *a, t="i64"), f("b", *b, t="i64"))
    case("y = Mod(a, b) fmod=1", between("b", 1, 4), f("a", *a), f("b", *b))
    case("y = Pow(a, b)", between("b", 0, 4), f("a", *a), f("b", *b))
    for op in "And", "Or", "Xor":
        case(f"y = {op}(a, b)", f("a", *a, t="bool"), f("b", *b, t="bool"))
    for op in "Equal Greater GreaterOrEqual Less LessOrEqual".split():
        case(f"y = {op}(a, b)", f("a", *a), f("b", *b))
    case("y = Where(c, a, b)", f("c", *a, t="bool"), f("a", *a), f("b", *b))
for size in SIZES:
    case("y = Sum(a, b, c)", f("a", *size), f("b", size[1]), f("c", 1))
    case("y = Max(a, b, c)", f("a", *size), f("b", size[0], 1), f("c"))
    case("y = Where(c, a, b)", f("c", size[0], 1, t="bool"),
         f("a", *size, t="i64"), f("b", size[1], t="i64"))
    case("y = Clip(a, l, h)", f("a", *size), scalar("l", -1, "f32"),
         scalar("h", 1, "f32"))
    case("y = Clip(a, _, h)", between("a", 0, 9), f("a", *size, t="u8"),
         scalar("h", 4, "u8"))
    case("y = Equal(a, b)", f("a", *size, t="bool"), f("b", *size, t="bool"))
for a, to in (((8, 1), (8, 12)), ((5, 1), (5, 7)), ((7,), (5, 7)),
              ((1,), (3, 8)), ((5, 7), (1, 1)), ((1, 0), (4, 0))):
    case("y = Expand(x, s)", f("x", *a), const("s", to))

heading("contraction")
MATMULS = (((8, 12), (12, 16)), ((5, 7), (7, 3)), ((7,), (7, 5)),
           ((5, 7), (7,)), ((7,), (7,)), ((4, 8, 12), (12, 4)),
           ((3, 5, 7), (3, 7, 2)), ((2, 1, 5, 7), (3, 7, 4)),
           ((1, 7), (7, 1)), ((0, 4), (4, 3)), ((5, 0), (0, 3)),
           ((12,), (4, 12, 8)), ((4, 8, 12), (12,)), ((2, 3), (3, 2)))
for a, b in MATMULS:
    case("y = MatMul(a, b)", f("a", *a), f("b", *b))
for t in "f16", "f64", "i32":
    for a, b in MATMULS[:2]:
        case("y = MatMul(a, b)", f("a", *a, t=t), f("b", *b, t=t))
for m, k, n in (8, 12, 4), (5, 7, 3):
    for ta in 0, 1:
        for tb in 0, 1:
            a = f("a", *((k, m) if ta else (m, k)))
            b = f("b", *((n, k) if tb else (k, n)))
            trans = f"transA={ta} transB={tb}"
            case(f"y = Gemm(a, b) {trans} alpha=0.5", a, b)
            case(f"y = Gemm(a, b, c) {trans}", a, b, f("c", n))
            case(f"y = Gemm(a, b, c) {trans} beta=2.0", a, b, f("c", m, 1))
    case("y = Gemm(a, b, c)", f("a", m, k), f("b", k, n), f("c", m, n))
    case("y = Gemm(a, b, c)", f("a", m, k), f("b", k, n), f("c"))
EINSUMS = (
    ("ij,jk->ik", (8, 12), (12, 4)), ("ij,jk->ik", (5, 7), (7, 3)),
    ("ij,jk", (5, 7), (7, 3)), ("ij->ji", (5, 7)), ("ij->i", (5, 7)),
    ("ij->", (8, 6)), ("ii->i", (8, 8)), ("ii->i", (5, 5)), ("ii->", (5, 5)),
    ("i,j->ij", (5,), (7,)), ("i,i->", (7,), (7,)), ("bij,bjk->bik",
                                                     (4, 8, 6), (4, 6, 8)),
    ("bij,bjk->bik", (3, 5, 7), (3, 7, 2)),
    ("bhqd,bhkd->bhqk", (2, 3, 5, 4), (2, 3, 7, 4)),
    ("ij,jk,kl->il", (5, 7), (7, 3), (3, 6)),
    ("ij,jk,kl->il", (4, 8), (8, 4), (4, 8)),
    ("...ij,...jk->...ik", (3, 5, 7), (3, 7, 2)),
    ("...ij,jk->...ik", (2, 3, 4, 5), (5, 7)),
    ("...d,...d->...", (5, 7), (5, 7)), ("bij,bj->bi", (3, 5, 7), (3, 7)),
    ("bii->bi", (3, 5, 5)), ("gsec,gsm->egcm", (2, 6, 3, 4), (2, 6, 5)),
    ("gsec,gsm->egcm", (4, 4, 4, 2), (4, 4, 8)),
    ("egcm,emh->egch", (3, 2, 4, 5), (3, 5, 7)),
    ("gsec,egcm->gsm", (2, 6, 3, 4), (3, 2, 4, 5)),
    ("ij,ij->", (5, 7), (5, 7)), ("ij,kl->ijkl", (2, 3), (3, 2)),
    ("i,ij,j->", (5,), (5, 7), (7,)))
for equation, *operands in EINSUMS:
    names = "abc"[:len(operands)]
    case(f"y = Einsum({', '.join(names)}) equation=\"{equation}\"",
         *(f(n, *dims) for n, dims in zip(names, operands)))

heading("reductions and scans")
REDUCE = ("ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd "
          "ReduceSumSquare ReduceL2").split()
for op in REDUCE:
    for size in SIZES:
        case(f"y = {op}(x, a) keepdims=0", f("x", *size), const("a", [1]))
        case(f"y = {op}(x, a)", f("x", *size), const("a", [0]))
        case(f"y = {op}(x) keepdims=0", f("x", *size))
    case(f"y = {op}(x, a) keepdims=0", f("x", 3, 5, 4),
         const("a", [-1, 0]))
    case(f"y = {op}(x, a)", f("x", 1, 3, t="f64"), const("a", [1]))
    case(f"y = {op}(x, a) noop_with_empty_axes=1", f("x", 5, 7),
         const("a", []))
for op in "ReduceSum", "ReduceMax", "ReduceMin", "ReduceMean", "ReduceProd":
    for t in "f16", "i64":
        case(f"y = {op}(x, a)", f("x", 5, 7, t=t), const("a", [0]))
for op in "ReduceMax", "ReduceMin":
    for t in "u8", "bool":
        case(f"y = {op}(x, a)", f("x", 5, 7, t=t), const("a", [0]))
case("y = ReduceSum(x, a)", f("x", 4, 0), const("a", [1]))
for op in "ArgMax", "ArgMin":
    for size in SIZES:
        for axis in 0, 1:
            case(f"y = {op}(x) axis={axis} keepdims={axis}", f("x", *size))
            case(f"y = {op}(x) axis={axis} select_last_index=1",
                 f("x", *size))
    case(f"y = {op}(x) axis=-1", f("x", 5, 7, t="u8"))
for size in SIZES:
    for axis in 0, 1:
        for how in "", " exclusive=1", " reverse=1", " exclusive=1 reverse=1":
            case(f"y = CumSum(x, a){how}", f("x", *size), scalar("a", axis))
        case(f"y, i = TopK(x, k) axis={axis} : ?[...], : ?[...]",
             f("x", *size), const("k", [3]))
        case(f"y, i = TopK(x, k) axis={axis} largest=0 : ?[...], : ?[...]",
             f("x", *size, t="i64"), const("k", [size[axis]]))

heading("rows")
for size in SIZES + ((3, 5, 4), (4, 4, 8)):
    for axis in range(len(size)):
        case(f"y = Softmax(x) axis={axis}", f("x", *size))
        case(f"y = LogSoftmax(x) axis={axis}", f("x", *size))
        rest = size[axis:]
        case(f"y = LayerNormalization(x, s, b) axis={axis}", f("x", *size),
             f("s", *rest), f("b", *rest))
        case(f"y = RMSNormalization(x, s) axis={axis}", f("x", *size),
             f("s", *rest))
    case("y, m, d = LayerNormalization(x, s) : ?[...], : ?[...], : ?[...]",
         f("x", *size), f("s", size[-1]))
    case("y = Softmax(x)", f("x", *size, t="f16"))

heading("movement")
RESHAPES = (((8, 12), (96,)), ((96,), (8, 12)), ((4, 6, 8), (24, 8)),
            ((24, 8), (4, 6, 8)), ((5, 7), (35,)), ((35,), (5, 7)),
            ((6, 10), (60,)), ((2, 7, 12), (2, 7, 3, 4)),
            ((2, 7, 3, 4), (2, 7, 12)), ((8, 12), (12, 8)),
            ((5, 6), (5, 2, 3)), ((1, 7), (7,)), ((4, 1, 6), (24,)),
            ((0, 6), (0, 2, 3)), ((8, 4, 3), (4, 8, 3)), ((3, 8), (24,)),
            ((8, 3), (24,)), ((2, 4, 5), (8, 5)), ((16,), (2, 2, 4)))
for a, to in RESHAPES:
    case("y = Reshape(x, s)" + (" allowzero=1" if 0 in to else ""),
         f("x", *a), const("s", to))
for t in "u8", "bool", "f16":
    case("y = Reshape(x, s)", f("x", 8, 12, t=t), const("s", [8, 3, -1]))
for size in (4, 6, 8), (3, 5, 7):
    for axis in 0, 1, 2, 3:
        case(f"y = Flatten(x) axis={axis}", f("x", *size))
    for perm in ([2, 0, 1], [1, 0, 2], [0, 2, 1]):
        listed = ",".join(map(str, perm))
        case(f"y = Transpose(x) perm=[{listed}]", f("x", *size))
    case("y = Unsqueeze(x, a)", f("x", *size), const("a", [0, 2, -1]))
    case("y = Squeeze(x, a)", f("x", 1, *size, 1), const("a", [0, -1]))
    case("y = Transpose(x)", f("x", *size, t="bool"))
case("y = Squeeze(x)", f("x", 5, 1, 8))
for t in "f32", "u8":
    for a, b, axis in (((8, 12), (8, 4), 1), ((8, 12), (4, 12), 0),
                       ((5, 7), (3, 7), 0), ((5, 7), (5, 2), 1),
                       ((5, 7), (0, 7), 0)):
        case(f"y = Concat(a, b, a) axis={axis}", f("a", *a, t=t),
             f("b", *b, t=t))
for size in SIZES:
    for axis in 0, 1:
        n = size[axis]
        case(f"a, b = Split(x) axis={axis} num_outputs=2 : ?[...], : ?[...]",
             f("x", *size))
        case(f"a, b, c = Split(x, s) axis={axis} : ?[...], : ?[...], "
             ": ?[...]", f("x", *size), const("s", [1, n - 3, 2]))
SLICES = (([1], [-1], [1]), ([2], [99], [1]), ([0], [4], [1]),
          ([-1], [-99], [-1]), ([-2], [-99], [-2]), ([1], [99], [3]),
          ([3], [3], [1]), ([4], [5], [1]))
for size in SIZES:
    for axis in 0, 1:
        for start, end, step in SLICES:
            case("y = Slice(x, b, e, a, s)", f("x", *size), const("b", start),
                 const("e", end), const("a", [axis]), const("s", step))
    case("y = Slice(x, b, e, a, s)", f("x", *size, t="u8"),
         const("b", [1, -2]), const("e", [4, 0]), const("a", [0, 1]),
         const("s", [2, -1]))
    for pads in ([0, 1, 0, 2], [1, 0, 3, 0], [1, 2, 1, 2], [-1, 1, 0, -2]):
        for mode in "constant", "reflect", "edge", "wrap":
            if mode == "constant" or min(pads) >= 0:
                case(f"y = Pad(x, p) mode=\"{mode}\"", f("x", *size),
                     const("p", pads))
    case("y = Pad(x, p, v, a)", f("x", *size, t="i64"), const("p", [1, 1]),
         scalar("v", 7), const("a", [1]))
    for repeats in [1, 2], [3, 1], [2, 2], [1, 1], [0, 1]:
        case("y = Tile(x, r)", f("x", *size), const("r", repeats))
    for k in -2, 0, 3:
        for upper in 0, 1:
            case(f"y = Trilu(x, k) upper={upper}", f("x", 3, *size),
                 scalar("k", k))
case("y = Trilu(x)", f("x", 4, 4, 4, t="i64"))
case("y = Tile(x, r)", f("x", 3, 1, t="bool"), const("r", [2, 5]))

heading("indexing")
for rows, width in (16, 12), (13, 7):
    for t in "f32", "f16", "i64", "u8":
        case("y = Gather(x, i)", between("i", 0, rows),
             f("x", rows, width, t=t), f("i", 3, 4, t="i64"))
    case("y = Gather(x, i)", between("i", -rows, rows), f("x", rows, width),
         f("i", 5, t="i32"))
    case("y = Gather(x, i) axis=1", between("i", -width, width),
         f("x", rows, width), f("i", 4, 2, t="i64"))
    case("y = Gather(x, i) axis=1", between("i", 0, width),
         f("x", 3, width, 5), f("i", t="i64"))
    case("y = Gather(x, i)", between("i", 0, rows),
         f("x", rows, t="bool"), f("i", 7, t="i64"))
    for axis in 0, 1:
        n = (rows, width)[axis]
        case(f"y = GatherElements(x, i) axis={axis}", between("i", -n, n),
             f("x", rows, width), f("i", rows - 2 * axis, width - 3, t="i64"))
        for how in "add", "mul", "max", "min":
            case(f"y = ScatterElements(x, i, u) axis={axis} "
                 f"reduction=\"{how}\"", between("i", -n, n),
                 f("x", rows, width), f("i", rows - 2, width - 3, t="i64"),
                 f("u", rows - 2, width - 3))
    case("y = GatherND(x, i)", between("i", 0, width), f("x", rows, width, 3),
         f("i", 5, 2, t="i64"))
    case("y = GatherND(x, i) batch_dims=1", between("i", -width, width),
         f("x", rows, width, 3), f("i", rows, 4, 1, t="i64"))
    for how in "add", "mul", "max", "min":
        case(f"y = ScatterND(x, i, u) reduction=\"{how}\"",
             between("i", 0, rows), f("x", rows, width),
             f("i", 6, 1, t="i64"), f("u", 6, width))
    case("y = ScatterND(x, i, u)", f("x", rows, width),
         "constant i : i64[3,2] = [0, 5, 12, 1, -1, -1]", f("u", 3))
    case("y = ScatterElements(x, i, u) axis=0", f("x", rows, 3),
         "constant i : i64[2,3] = [0, 5, 12, 1, 2, 3]", f("u", 2, 3))
    for axis in 0, -1:
        case(f"y = OneHot(i, d, v) axis={axis}", between("i", -width, width),
             f("i", rows, 3, t="i64"), scalar("d", width),
             const("v", [2, 5], "f32"))

heading("creation")
for n, t in (8, "i64"), (5, "i32"), (12, "f32"), (7, "f64"):
    case(f"y = Range(a, b, c) : {t}[{n}]", between("a", 3, 4),
         between("b", 3 + 2 * n, 4 + 2 * n), between("c", 2, 3),
         f("a", t=t), f("b", t=t), f("c", t=t))
for n in 8, 5, 1:
    case(f"y = ConstantOfShape(s) : f32[{n},{n}]", between("s", n, n + 1),
         f("s", 2, t="i64"))
case("y = RandomUniform() shape=[8,12] seed=3.0")
case("y = RandomUniform() shape=[5,7] low=-1.0 high=2.0")
case("y = RandomUniform() shape=[5,1,3] dtype=11")
case("y = RandomUniform() shape=[0,3]")
for size in SIZES:
    case("y = RandomUniformLike(x)", f("x", *size))
    case("y = RandomUniformLike(x) dtype=10 seed=1.5", f("x", *size, t="i64"))

print(f"# at least {len(cases)} cases")
print("# More cases of test_sweep.c; written by gen/sweep_cases.py.")
print(*cases, sep="\n")
