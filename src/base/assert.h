/* Assertions: what a contract or a comment promises, stated so that a broken
 * promise ends the process where it is broken and not three passes later.
 *
 * They are about the program, never about its input: what a file, an option or
 * another rank may get wrong is a gs_status.  A condition has no side effects.
 * On by default; configure --disable-assertions turns them off, and then the
 * condition is compiled but not evaluated. */
#ifndef GS_BASE_ASSERT_H
#define GS_BASE_ASSERT_H

/* Writes "file:line: function: assertion failed: condition" to standard error
 * and aborts. */
_Noreturn void gs_assert_failed(const char *file, int line,
                                const char *function, const char *condition);

#ifdef GS_NO_ASSERTIONS
#define gs_assert(condition) ((void)sizeof((condition) ? 1 : 0))
#else
#define gs_assert(condition)                                                   \
  ((condition)                                                                 \
       ? (void)0                                                               \
       : gs_assert_failed(__FILE__, __LINE__, __func__, #condition))
#endif

#endif
