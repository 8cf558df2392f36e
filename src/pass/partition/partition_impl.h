/* Shared by the files of the partitioner; see partition.h. */
#ifndef GS_PASS_PARTITION_IMPL_H
#define GS_PASS_PARTITION_IMPL_H

#include "ir/mesh/form.h"
#include "pass/partition/partition.h"
#include "pass/prepare/expand.h"
#include "pass/propagate/project.h"
#include "pass/reshard/reshard.h"

/* One form in which a value is at hand in the program. */
typedef struct gs_held_form {
  gs_form form;
  gs_value *local;
  bool filled; /* the form before it in the list with other padding */
  struct gs_held_form *next;
} gs_held_form;

/* What is planned for a node of a chain. */
typedef struct gs_planned {
  int nfactor;
  const gs_axes *axis; /* [nfactor]; NULL where it unfolds */
  const int64_t *block; /* as in gs_node_choice */
  bool defers;         /* it passes on what is partial */
  bool unfolds;        /* into its split form: the assignment is void */
  int operand;         /* through which the chain comes; -1: the first node */
  const gs_form *held; /* as which that must be at hand */
} gs_planned;

/* What a node is where a dim is split along which it needs all: the nodes of
 * its text in op/functions/split.txt, as a graph of their own with shapes and
 * shardings. */
typedef struct gs_split_form {
  gs_graph *g;
  const gs_node *node;  /* that it is a form of */
  const struct gs_split_form *outer; /* that the node is of; NULL: the model */
  int depth;            /* of split forms within split forms */
  bool flat;            /* the node moves elements between blocks of ranges */
  gs_value **in, **out; /* of g, by operand and result of the node; NULL:
                           absent, or not read */
  const gs_value **same; /* [values of g] the node's operand or result that it
                            stands for, or NULL */
} gs_split_form;

typedef struct gs_partitioner gs_partitioner;
struct gs_partitioner {
  gs_arena *a;
  const gs_graph *g;
  const gs_mesh *m;
  gs_graph *program;
  gs_partition *out;
  gs_partition_memo *memo;
  gs_resharder *resharder; /* this and `expander`: those of memo */
  gs_expander *expander;
  gs_sharding **assigned; /* [nvalue] see gs_partitioner_assigned; NULL: not
                             asked for yet */
  gs_held_form **held;    /* [nvalue] newest first */
  int *nuse;              /* [nvalue] operands and outputs that read it */
  const gs_node **reader; /* [nvalue] the last node that reads it */
  const gs_rule **rule;   /* [nnode] NULL: not asked for yet */
  gs_subset **sums;       /* [nnode] as the above: see partition_defer.c */
  const gs_node *node;    /* being partitioned; NULL for outputs */
  const gs_split_form *form; /* whose nodes are being partitioned, or NULL */
  gs_map *chains; /* what was found for chains, by all that it depends on */
  const gs_planned **plan; /* [nnode] NULL: nothing is planned */
  gs_arena *travel; /* scratch while a partial sum is followed */
  gs_status (*nodes)(gs_partitioner *p); /* partitions those of g */
  const gs_value *link; /* whose price onward does not count, or NULL */
  bool as_split; /* no constant is read otherwise than its sharding says */
  bool trial;    /* what comes of it is thrown away but for its price */
  const gs_partition_options *o;
  gs_err *e;
};

/* A node that only copies elements along dims that are split is one exchange
 * for each dim and result.  Operands are wanted in blocks along `from`. */
typedef struct gs_copies {
  uint64_t dims; /* of the operands that are exchanged */
  uint64_t stay; /* of those: blocks of the result are those of operand 0, of
                    which the padding holds what the node adds */
  gs_axes from[GS_MAX_RANK], to[GS_MAX_RANK];
  double seconds;
} gs_copies;

/* The choice for one node. */
typedef struct gs_node_choice {
  gs_assignment *as; /* of the rule's factors alone */
  const int64_t *block; /* [nfactor] elements of a device, where these are not
                           those of the usual blocks; else 0.  NULL: nowhere */
  gs_form *in; /* what each operand must have, padding included; sharding
                  NULL: absent */
  gs_form *out; /* what each result gets; sharding NULL: absent */
  gs_copies *copies; /* the exchanges that the node itself is; NULL: none */
  gs_subset deferred; /* axes over which partial operands are passed on */
  double compute; /* seconds of the node's own work */
  double seconds; /* with what brings the operands and results in place */
  double *onward; /* [nout] of that, for each result */
} gs_node_choice;

/* Seconds of what is done only where there is no other way. */
#define GS_NEVER 1e9

/* ---- forms (partition_form.c) ---- */

/* v's sharding in the model, without partial axes: what it is given where
 * nobody asks for another. */
const gs_sharding *gs_partitioner_assigned(gs_partitioner *p,
                                           const gs_value *v);
/* Seconds to bring v to `want`; the form to start from in *from, NULL where v
 * is read, or made again of less.  Filling its padding is a local move and
 * counts nothing. */
double gs_partitioner_price(gs_partitioner *p, const gs_value *v,
                            const gs_form *want, gs_held_form **from);
/* Whether v is the same along some dims, for its node makes it of less: it may
 * be made again instead of being moved. */
bool gs_partitioner_repeats(const gs_value *v);
/* Emits what is needed to have v as `want`, padding included, and returns
 * what can be read so. */
gs_held_form *gs_partitioner_need(gs_partitioner *p, const gs_value *v,
                                  const gs_form *want);
/* Registers a form in which v is at hand now. */
gs_held_form *gs_partitioner_add(gs_partitioner *p, const gs_value *v,
                                 const gs_form *form, gs_value *local);
/* The same for one that has the elements of `from` and other padding. */
gs_held_form *gs_partitioner_add_filled(gs_partitioner *p, const gs_value *v,
                                        gs_held_form *from, const gs_form *form,
                                        gs_value *local);

/* ---- what is known of the graph (partition_held.c) ---- */

/* The rule of n, of p's graph; made once, with scratch in tmp. */
gs_status gs_partitioner_rule(const gs_partitioner *p, const gs_node *n,
                              gs_arena *tmp, const gs_rule **r, gs_err *e);
/* The node of p's graph that alone reads v, once; NULL: there is none. */
const gs_node *gs_partitioner_reader(const gs_partitioner *p,
                                     const gs_value *v);

/* ---- what is told (partition_held.c) ---- */

/* What reports call n and v, of p's graph: themselves, or the node and the
 * operand of the model that they come from. */
const gs_node *gs_partitioner_told_node(const gs_partitioner *p,
                                        const gs_node *n);
const gs_value *gs_partitioner_told(const gs_partitioner *p,
                                    const gs_value *v);

/* ---- moves (partition_move.c) ---- */

/* Emits the moves of the cheapest path from x (a form of v) to want, but for
 * its padding; NULL: there is nothing to do. */
gs_held_form *gs_partitioner_move(gs_partitioner *p, const gs_value *v,
                                  const gs_held_form *x, const gs_form *want);
/* Emits an exchange of these local operands along dim d, from `before` to
 * `after`; v is what is made, which has these dims then.  *sends counts those
 * of one node that send something: the next ones start with the first. */
gs_value *gs_partitioner_exchange(gs_partitioner *p, const gs_value *v,
                                  const int64_t *dims, gs_value *const *in,
                                  int nin, const gs_exchange *x, int d,
                                  const gs_form *before, const gs_form *after,
                                  int *sends);
/* Seconds of a move before its first byte is there. */
double gs_partitioner_latency(const gs_partitioner *p, const gs_move *mv);
/* A block of the input or constant `whole`. */
gs_value *gs_partitioner_read(gs_partitioner *p, const gs_value *v,
                              gs_value *whole, const gs_sharding *want);
/* x with what is padding along the dims of `padding` set to its value. */
gs_held_form *gs_partitioner_fill(gs_partitioner *p, const gs_value *v,
                                  gs_held_form *x, const gs_padding *padding);
/* x where the index over `axes` is 0, zeros elsewhere: a partial sum. */
gs_value *gs_partitioner_spread(gs_partitioner *p, const gs_value *v,
                                const gs_held_form *x, gs_subset axes);

/* ---- deferred partial sums (partition_defer.c) ---- */

/* Which partial operands of a node may be passed on, so that the result is
 * partial in their place. */
typedef struct gs_deferral {
  gs_subset axes; /* over which they are partial; 0: none */
  int operand;    /* which one; -1: all that are partial */
} gs_deferral;

/* Axes over which v is a partial sum that only one operand reads; 0: none. */
gs_subset gs_partitioner_partial(const gs_partitioner *p, const gs_value *v);
/* What n can pass on.  Of a product that is the largest of its operands; of a
 * sum all, and operands that are whole are spread first, if that saves a
 * reduction. */
gs_deferral gs_partitioner_deferred(const gs_partitioner *p, const gs_node *n);
/* The operand that v is of its only reader, if that could pass it on when it is
 * partial over `axes`; else -1.  *terms grows by the other partial sums that
 * the reader probably adds it to. */
int gs_partitioner_onward(const gs_partitioner *p, const gs_value *v,
                          gs_subset axes, int *terms);

/* ---- prices of choices (partition_price.c) ---- */

/* What a node gathers while it runs, as it is in c; all 0: nothing. */
typedef struct gs_gathered {
  gs_gathers what;
  gs_axes axes;
  double bytes, seconds; /* of all of it */
} gs_gathered;
gs_gathered gs_partitioner_gathered(const gs_partitioner *p, const gs_node *n,
                                    const gs_node_choice *c);
/* Fills in the seconds of c. */
void gs_partitioner_seconds(gs_partitioner *p, const gs_node *n,
                            const gs_rule *r, gs_arena *tmp,
                            gs_node_choice *c);
/* How much of factor f a device has. */
int64_t gs_partitioner_share(const gs_partitioner *p, const gs_rule *r,
                             const gs_node_choice *c, int f);
/* Of those, what the node itself takes. */
double gs_partitioner_local(const gs_partitioner *p, const gs_node *n,
                            const gs_rule *r, const gs_node_choice *c);
/* What that depends on beside p->held: over which axes v will probably be
 * partial. */
gs_subset gs_partitioner_expected(const gs_partitioner *p, const gs_value *v);

/* ---- unusual blocks (partition_blocks.c) ---- */

/* Lists of gs_node_choice.block for the assignment, as operands are held; no
 * more than differ, and without the one of usual blocks everywhere. */
typedef GS_VEC(int64_t *) gs_block_lists;
gs_block_lists gs_partitioner_blocks(const gs_partitioner *p, const gs_node *n,
                                const gs_rule *r, gs_arena *tmp,
                                const gs_assignment *as);
/* Holds the dims of a tensor with map t in these blocks. */
void gs_partitioner_hold_blocks(const gs_partitioner *p, gs_arena *tmp,
                                const gs_tensor_map *t, const int64_t *block,
                                const int64_t *dims, gs_form *form);

/* ---- copies (partition_copy.c) ---- */

/* Whether the rule says that results are copies along some dim. */
bool gs_partitioner_copies(const gs_rule *r);
/* Of the axes `all` those of `first`, which are some of them, as major, then
 * the others: what an exchange can make of [a,b] for an all-to-all to leave b.
 */
gs_axes gs_partitioner_led(const gs_axes *first, const gs_axes *all);
/* Fills in c->copies, where that is better than to compute the dims whole, and
 * the sharding of the operands along them, for the assignment in c. */
void gs_partitioner_plan_copies(gs_partitioner *p, const gs_node *n,
                                const gs_rule *r, gs_arena *tmp,
                                gs_node_choice *c);
/* Emits the exchanges of l's node, and its local form for what is left. */
gs_status gs_partitioner_copy(gs_partitioner *p, gs_local *l,
                              const gs_node_choice *c);

/* ---- chains of exchanges (partition_join.c) ---- */

/* Replaces an exchange of what an exchange makes by one of the operands of
 * both, where that is cheaper; what nobody reads any more is left to be
 * pruned. */
void gs_partitioner_join(gs_partitioner *p);

/* ---- choices (partition_choose.c) ---- */

typedef GS_VEC(gs_node_choice *) gs_choices;
/* The assignments of a node that its operands and results suggest, priced, or
 * the one that is planned; `wide`: with all others that there are, where these
 * are few. */
gs_choices gs_partitioner_choices(gs_partitioner *p, const gs_node *n,
                                  const gs_rule *r, gs_arena *tmp, bool wide);
/* The least that the node itself takes under any of them, wide. */
double gs_partitioner_least(gs_partitioner *p, const gs_node *n,
                            const gs_rule *r, gs_arena *tmp);
/* The cheapest of those.  GS_UNSUPPORTED only where a test forces one. */
gs_status gs_partitioner_choose(gs_partitioner *p, const gs_node *n,
                                const gs_rule *r, gs_arena *tmp,
                                gs_node_choice *best);

/* ---- looking ahead (partition_ahead.c) ---- */

/* Plans n, which comes next, together with the nodes that follow it in a chain,
 * unless that was done.  Chains that are alike are looked at once. */
gs_status gs_partitioner_look_ahead(gs_partitioner *p, const gs_node *n,
                                    const gs_rule *r, gs_arena *tmp);

/* ---- split forms (partition_split.c) ---- */

/* The split form of n, for the axes that its operands and results have; *form
 * is NULL where no such axes are on a factor that has one. */
gs_status gs_partitioner_split(gs_partitioner *p, const gs_node *n,
                               const gs_rule *r, gs_split_form **form);
/* A partitioner of the form's nodes.  `trial`: into a program of its own, so
 * that nothing but prices comes of it; else into that of p. */
gs_partitioner gs_partitioner_within(gs_partitioner *p,
                                     const gs_split_form *form,
                                     gs_partition *trial, gs_arena *a);
/* Partitions the form's nodes in *q, for their price. */
gs_status gs_partitioner_try(gs_partitioner *p, const gs_split_form *form,
                             gs_arena *tmp, gs_partitioner *q);
/* Seconds of the trial, with what brings the results in place; `but` is one
 * that is not counted, -1: none. */
double gs_partitioner_tried(gs_partitioner *q, int but);
/* Prices that differ by less than this part are close: no better known. */
#define GS_CLOSE 0.05
/* Whether q, which has tried the split form of n, is to be preferred to the
 * choice for n that takes `seconds`: where they are close, bytes decide. */
gs_status gs_partitioner_better(gs_partitioner *p, const gs_node *n,
                                const gs_rule *r, gs_partitioner *q,
                                double seconds, gs_arena *tmp, bool *better);
/* Hands over what q, not a trial, has made. */
void gs_partitioner_return(gs_partitioner *p, const gs_partitioner *q);

/* ---- what is worth a word (partition_note.c) ---- */

/* Notes n in p->out->fallback where it runs whole although an operand is split,
 * or where much is gathered for it, by the collectives from number `first` on;
 * before[operand] were the forms at hand. */
void gs_partitioner_note(gs_partitioner *p, const gs_node *n, const gs_rule *r,
                         const gs_node_choice *c, int first,
                         gs_held_form *const *before, gs_arena *tmp);
/* The same for output v. */
void gs_partitioner_note_output(gs_partitioner *p, const gs_value *v,
                                int first);

#endif
