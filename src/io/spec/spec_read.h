/* Shared by the files that read specs; not for others. */
#ifndef GS_IO_SPEC_READ_H
#define GS_IO_SPEC_READ_H

#include "io/spec/keys.h"
#include "io/spec/spec_io.h"

extern const gs_keys gs_spec_rule_keys, gs_spec_match_keys, gs_spec_dim_keys,
    gs_spec_split_keys, gs_spec_assign_keys, gs_spec_state_keys,
    gs_spec_option_keys;
extern const gs_key_list gs_spec_state_list;

/* Definitions of JSON Schema that are no tables: patterns, dim, ... */
extern const char gs_spec_definitions[];

gs_key_fn gs_spec_match_key;    /* gs_spec_match at k->offset */
gs_key_fn gs_spec_patterns_key; /* gs_spec_patterns at k->offset */

gs_key_fn gs_spec_orders_key;   /* into a gs_spec */
gs_key_fn gs_spec_plan_key;     /* likewise: adds rules */

/* With what the name of an axis may begin. */
#define GS_SPEC_LETTERS                                                        \
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
/* A letter, then letters, digits, '_', '-' or '.', and no word of dims. */
bool gs_spec_names_axis(const char *s);
/* Fails where the key `name` cannot name an axis. */
gs_status gs_spec_axis_name(gs_reader *r, const gs_yaml *name);
gs_status gs_spec_rule_read(gs_reader *r, const gs_yaml *v,
                            gs_spec_rule *rule);
/* "tp" or "tp:(1)2" at *s, which is advanced; y is blamed. */
gs_status gs_spec_axis_parse(gs_reader *r, const gs_yaml *y, const char **s,
                             gs_spec_axis *out);
/* A scalar that is one axis. */
gs_status gs_spec_axis_read(gs_reader *r, const gs_yaml *y,
                            gs_spec_axis *out);
/* One axis or a list of axes. */
gs_status gs_spec_axes_read(gs_reader *r, const gs_yaml *y,
                            gs_spec_axes *out);
/* "shard": a list of dims, or a sharding as one text. */
gs_status gs_spec_shard_read(gs_reader *r, const gs_yaml *y,
                             gs_spec_rule *rule);
gs_status gs_spec_text_read(gs_reader *r, const gs_yaml *y,
                            gs_spec_rule *rule);

#endif
