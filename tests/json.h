/* A check of JSON texts by the part of JSON Schema that ours use. */
#ifndef GS_TESTS_JSON_H
#define GS_TESTS_JSON_H

/* Whether the file at `path` is JSON as `schema` says; `test_onnx --json
 * SCHEMA FILE` does this.  1 and a message when it is not. */
int json_check(const char *schema, const char *path);

#endif
