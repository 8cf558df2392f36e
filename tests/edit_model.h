/* What other tools do to annotated models. */
#ifndef GS_TESTS_EDIT_MODEL_H
#define GS_TESTS_EDIT_MODEL_H

/* Writes the model of file `in`, edited, to file `out`; edit_model.c has the
 * kinds.  0, or 1 with a message. */
int edit_model(const char *kind, const char *in, const char *out);

#endif
