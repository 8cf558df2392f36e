/* What a spec says of the whole: its key `options`. */
#include "io/spec/spec_read.h"

#define LATER(name) {name, NULL, 0, NULL, NULL, NULL, false}
#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

static const char *const order_words[] = {"first", "last", NULL};
static const char *const unknown_words[] = {"replicate", "error", NULL};
static const char *const uneven_words[] = {"pad", "error", NULL};
static const char *const existing_words[] = {"override", "keep", "error",
                                             NULL};
static const char *const auto_words[] = {"off", "fill", NULL};
static const char *const short_words[] = {"move", "keep", NULL};
static const char *const io_words[] = {"open", "replicated", NULL};

/* true or false; left out, rules decide. */
static gs_status stack_key(gs_reader *r, const gs_yaml *v, const gs_key *k,
                           void *into) {
  bool yes;
  (void)k;
  GS_TRY(gs_yaml_bool(v, &yes, r->err));
  ((gs_spec_options *)into)->stack = yes ? GS_STACK_ALWAYS : GS_STACK_NEVER;
  return GS_OK;
}

#define OPTION(field) offsetof(gs_spec_options, field)
static const gs_key option_keys[] = {
    {"strict", gs_key_bool, OPTION(strict), NULL, NULL,
     "Whether a rule that matches nothing, or not as often as expected, is an "
     "error (default) or a warning.", false},
    {"match_order", gs_key_word, OPTION(match_order), order_words, NULL,
     "Which rule wins when several rules shard the same dim: the first "
     "(default) or the last.", false},
    {"unknown_op", gs_key_word, OPTION(unknown_op), unknown_words, NULL,
     "Operators without a rule: gather and run them replicated (default), or "
     "fail.", false},
    {"uneven", gs_key_word, OPTION(uneven), uneven_words, NULL,
     "Dims that their shards do not divide: pad the last blocks (default), or "
     "fail.", false},
    {"existing", gs_key_word, OPTION(existing), existing_words, NULL,
     "Shardings that the model has already: rules override them (default), "
     "they are kept, or they are an error.", false},
    {"io", gs_key_word, OPTION(io), io_words, NULL,
     "Graph inputs and outputs that no rule names: open to propagation "
     "(default) or replicated.", false},
    {"auto", gs_key_word, OPTION(choose), auto_words, NULL,
     "Whether dims that are open after all rules are split where the cost "
     "model says that it pays (fill), or by propagation alone (off, default).",
     false},
    {"short", gs_key_word, OPTION(keep_short), short_words, NULL,
     "Axes of a dim of which a convolution, a pool or a slice leaves short "
     "blocks, uneven ones or none: they go on along another dim of the result, "
     "where nobody says anything of that and it takes no longer by the cost "
     "model (move, default), or stay as propagation leaves them (keep).",
     false},
    {"stack", stack_key, 0, NULL, "{\"type\": \"boolean\"}",
     "Whether branches of a sum that are equal but for their weights, such as "
     "experts, are computed at once, over a stack of each weight along a new "
     "dim 0. A stack is named as its weights are, with * for the part that "
     "differs, and rules may split it. Branches that take their rows by "
     "NonZero and add them to a tensor, or put them into it, are such "
     "branches, also where they look their weights up in one tensor, which "
     "keeps its name. Default: true where the rules fit the model in no other "
     "way, or where auto: fill finds that it costs less; else false.", false},
    {"capacity", gs_key_count, OPTION(capacity), NULL, NULL,
     "How many rows each branch that takes them by NonZero has room for: the "
     "first ones that are there, further ones are dropped, as GShard drops "
     "tokens, and the result differs. Default: all that there can be.", false},
    {"memory_per_device", gs_key_bytes, OPTION(memory), NULL,
     "{\"anyOf\": [{\"type\": \"integer\", \"minimum\": 1}, {\"type\": "
     "\"string\", \"pattern\": \"^[0-9]+ ?([KMGT]i?)?B?$\"}]}",
     "Bytes that weights and activations may take on a device with auto: "
     "fill, such as 16GiB. Default: any.", false},
    LATER("report"),
};
const gs_keys gs_spec_option_keys = {"options", "options", COUNT(option_keys),
                                     option_keys};
