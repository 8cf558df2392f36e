/* Small models that the tests of the tools annotate, partition and run. */
#ifndef GS_TESTS_SAMPLES_H
#define GS_TESTS_SAMPLES_H

/* Writes them into DIR; `test_onnx --samples DIR` does this.  Returns an exit
 * code. */
int samples_write(const char *dir);

/* Whether two models differ in nothing but what annotating changes: the IR
 * version, metadata, device configurations.  `test_onnx --same A B` does
 * this; 1 and a message when they differ. */
int samples_same(const char *a, const char *b);

#endif
