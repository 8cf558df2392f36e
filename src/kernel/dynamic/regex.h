/* Regular expressions in the syntax of RE2, matched in time that grows with
 * pattern times text: a set of states is followed through the text.
 *
 * Understood: literals, ., [classes] with ranges, negation and [:names:],
 * \d \w \s \D \W \S \b \B \A \z, \t \n \r \f \v \a, \ooo, \xHH, \x{H..},
 * \Q..\E, groups ( ), (?: ), (?P<name> ), flags (?ims) and (?ims: ), ^ $,
 * | * + ? {n} {n,} {n,m} and their lazy forms.  Not: \p (Unicode classes), \C
 * and (?U).  Case is folded for ASCII letters only. */
#ifndef GS_KERNEL_REGEX_H
#define GS_KERNEL_REGEX_H

#include "base/arena.h"
#include "base/status.h"

typedef struct gs_regex gs_regex;

/* GS_DATA with `place` for what is no pattern, GS_UNSUPPORTED for \p, \C. */
gs_status gs_regex_new(gs_arena *a, const char *pattern, size_t n,
                       const char *place, gs_regex **out, gs_err *e);
/* Whether the whole text matches. `tmp` is used and not reset. */
bool gs_regex_full(const gs_regex *r, gs_arena *tmp, const char *text,
                   size_t n);

#endif
