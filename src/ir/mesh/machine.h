/* The machine that the cost model plans for: the constants of every predicted
 * time.  pass/reshard/cost.c is the only reader. */
#ifndef GS_IR_MACHINE_H
#define GS_IR_MACHINE_H

/* name, default, meaning.  The default is a core or two that share memory;
 * choices depend on ratios only. */
#define GS_MACHINE_FIELDS(X)                                                   \
  X(flops, 50e9, "Arithmetic operations of one device in a second.")           \
  X(memory_gbs, 10, "Gigabytes that one device reads or writes in a second.")  \
  X(alpha_us, 10, "Latency of one collective in microseconds.")                \
  X(link_gbs, 5, "Gigabytes that one device sends in a second.")

typedef struct gs_machine { /* a field that is 0 is not given */
#define X(name, value, text) double name;
  GS_MACHINE_FIELDS(X)
#undef X
} gs_machine;

extern const gs_machine gs_machine_default;

/* The fields of a, and of b where a does not give them. */
gs_machine gs_machine_or(const gs_machine *a, const gs_machine *b);

#endif
