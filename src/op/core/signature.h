/* Signatures: what a row says of types and shapes in one line.
 *
 *   SIG("T, slope T[<] -> T")
 *
 * stands in the column `shape` of ops.def, or SIGNED(function, ..) where there
 * is more to do than it can say.  Operands, then results; operands
 * past the last that is said may be anything.  Each is a type
 *
 *   T U V       any type, the same wherever the letter stands
 *   T:float     one of a class: float, integer, number, wide (a float of 16
 *               bits or more), bits (as many bits as operand 0)
 *   bool i64    this type             .          any
 *   seq(T)      a sequence of tensors of that type
 *   T|U         of a result: T, or U where T is not known
 *   @to         of a result: the type that the attribute says;
 *   @dtype=T    T, or a type, where it is left out
 *
 * with, after an operand, conditions on its shape,
 *
 *   []    one number: rank 0, or one element of rank 1
 *   [2]   of that rank                [2+]       of that rank or a higher one
 *   [=]   the shape of operand 0      [<]        broadcasts to operand 0
 *   [square]    its last two dims are equally long
 *   [channels]  one number for each of dim 1 of operand 0
 *   [axes=0,2]  the attribute `axes`, this list where it is left out, names
 *               some of its dims, each once
 *   [axis]  its one number is an axis of operand 0
 *   [axis=-1]   the attribute `axis`, -1 where it is left out, is one of its
 *               dims
 *
 * and, after a result, its shape:
 *
 *         (nothing) that of operand 0            []  a scalar
 *   [+]   all operands broadcast                 [?] only a run knows it
 *
 * Behind a ';' stand conditions on attributes: p=1|2, mode=avg|max, size>=1.
 *
 * A word before the type names the operand in messages.  A '*' after it all
 * stands for every operand (result) from there on.  An operand that is left
 * out, or whose type or shape is not known yet, agrees with everything. */
#ifndef GS_OP_SIGNATURE_H
#define GS_OP_SIGNATURE_H

#include "op/core/op.h"

/* GS_DATA where an operand of n is not what the signature of its row says:
 * called before a shape function of SIGNED. */
gs_status gs_signature_check(gs_graph *g, gs_node *n, gs_err *e);
/* The type that the signature gives result i. */
gs_status gs_signature_type(gs_graph *g, gs_node *n, int i, gs_dtype *out,
                            gs_err *e);
/* The shape function of rows with SIG: checks the operands, and gives the
 * results type and shape.  GS_DATA for what the signature forbids. */
gs_shape_fn gs_shape_signed;

#endif
