#include "cli.h"

static void list(FILE *f) { gs_table_print(GS_TABLE_OPERATORS, f); }
static void list_json(FILE *f) { gs_table_print(GS_TABLE_OPERATORS_JSON, f); }
static void mpi(FILE *f) { gs_table_print(GS_TABLE_MPI, f); }

static const gs_option options[] = {
    {.name = "input",
     .letter = 'i',
     .arg = "NAME=FILE",
     .flags = GS_OPT_REPEAT | GS_OPT_ALIKE_USE,
     .group = "Input",
     .help = "Read the graph input NAME from FILE: .npy, or .pb for an ONNX "
             "TensorProto.  FILE may be - for standard input (as .npy).  With "
             "--steps it holds records."},
    {.name = "random",
     .arg = "SEED",
     .flags = GS_OPT_ALIKE,
     .help = "Make up the inputs that are not given: floats are normally "
             "distributed, integers lie in their range, those that index a "
             "dim in that dim (token ids in the vocabulary), and others are "
             "0 or 1.  The same seed "
             "gives the same inputs, however the model is sharded."},
    {.name = "range",
     .arg = "NAME=LO:HI",
     .flags = GS_OPT_REPEAT | GS_OPT_ALIKE,
     .help = "Draw the random integer input NAME from LO to HI - 1.  Takes "
             "the place of the input's metadata gshard.range, and of the size "
             "of the dim that it indexes."},
    {.name = "no-verify",
     .flags = GS_OPT_ALIKE_USE,
     .help = "Do not compare graphs and weights with the hashes that "
             "gshard-partition wrote: runs a plan whose files were changed on "
             "purpose."},
    {.name = "bind",
     .arg = "NAME=N",
     .flags = GS_OPT_REPEAT | GS_OPT_ALIKE,
     .help = "Let the symbolic dimension NAME of a plain model be N."},
    {.name = "output",
     .letter = 'o',
     .arg = "DIR|NAME=FILE",
     .flags = GS_OPT_REPEAT,
     .group = "Output",
     .help = "Write all outputs as .npy files into the directory DIR, or the "
     "output NAME to FILE (.npy or .pb, - for standard output as .npy).  In "
     "DIR the file is named after the output, with %2F in place of a slash and "
     "%XX for other characters that do not belong in a file name.  All files "
     "appear or none.  Without -o a line for each output is printed, with "
     "type, shape and a digest of its bytes."},
    {.name = "steps",
     .arg = "N",
     .flags = GS_OPT_OPTIONAL | GS_OPT_ALIKE,
     .group = "Execution",
     .help = "Stay and make a step for each record of the inputs, N at most: "
     "see STEPS.  -i names where the records of an input lie: -, a pipe, a "
     "file, or a directory of .npy files; -o where those of an output go."},
    {.name = "feed",
     .arg = "OUT=IN",
     .flags = GS_OPT_REPEAT | GS_OPT_ALIKE,
     .help = "With --steps: what the output OUT is in a step the input IN is "
     "in the next one.  Records of IN come first."},
    {.name = "argmax",
     .arg = "OUT=IN",
     .flags = GS_OPT_REPEAT | GS_OPT_ALIKE,
     .help = "Likewise for the index of the largest element of OUT along its "
     "last dim: --argmax logits=input_ids takes the likeliest token."},
    {.name = "sample",
     .arg = "OUT=IN",
     .flags = GS_OPT_REPEAT | GS_OPT_ALIKE,
     .help = "Likewise for an index that is drawn: softmax(OUT / T) along the "
     "last dim is how likely each is."},
    {.name = "temperature",
     .arg = "T",
     .flags = GS_OPT_ALIKE,
     .help = "Of --sample: 1, the default, as OUT says; 0 is the largest."},
    {.name = "top-k",
     .arg = "K",
     .flags = GS_OPT_ALIKE,
     .help = "Of --sample: one of the K largest; 0, the default, of all."},
    {.name = "top-p",
     .arg = "P",
     .flags = GS_OPT_ALIKE,
     .help = "Of --sample: one of the likeliest that together have the "
     "probability P; 1, the default, of all."},
    {.name = "seed",
     .arg = "N",
     .flags = GS_OPT_ALIKE,
     .help = "Of --sample: the same N (0) draws the same numbers, on every "
     "mesh and transport, and also in a run that goes on from a saved state."},
    {.name = "stop",
     .arg = "TOKEN",
     .flags = GS_OPT_REPEAT | GS_OPT_ALIKE,
     .help = "With --argmax or --sample: end after the step in which every row "
     "has had this number chosen, or another one given so."},
    {.name = "tokens",
     .arg = "FILE",
     .help = "With --argmax or --sample: write records of what is chosen, of "
     "the first of them, to FILE (- for standard output)."},
    {.name = "count",
     .arg = "IN[=N]",
     .flags = GS_OPT_REPEAT | GS_OPT_ALIKE,
     .help = "With --steps: the input IN, of whole numbers, counts from N (0) "
     "along its last dim and goes on in the next step."},
    {.name = "mask",
     .arg = "IN[=N]",
     .flags = GS_OPT_REPEAT | GS_OPT_ALIKE,
     .help = "With --steps: the input IN is 1 at the places along its last dim "
     "that are filled: N (0), and those of the steps so far and of this one.  "
     "As an attention mask is, over a cache of that many places."},
    {.name = "beams",
     .arg = "K",
     .flags = GS_OPT_ALIKE,
     .help = "With --argmax and --mask: search with K hypotheses for each "
     "sequence; see Beams."},
    {.name = "length-penalty",
     .arg = "A",
     .flags = GS_OPT_ALIKE,
     .help = "Of --beams: hypotheses of n tokens are compared by their score "
     "divided by ((5 + n) / 6)^A; the default is 0.6."},
    {.name = "no-state",
     .flags = GS_OPT_ALIKE,
     .help = "With --steps: do not take outputs and inputs for state because "
     "of their names."},
    {.name = "load-state",
     .arg = "DIR",
     .flags = GS_OPT_ALIKE_USE,
     .help = "With --steps: begin with the state in DIR, not with zeros; it "
     "may be that of another mesh."},
    {.name = "save-state",
     .arg = "DIR",
     .flags = GS_OPT_ALIKE_USE,
     .help = "With --steps: write the state after the last step to DIR."},
    {.name = "transport",
     .arg = "NAME",
     .choices = "threads|mpi",
     .help = "threads: each device is a team of threads in this process.  "
             "mpi: devices are spread over the ranks that mpirun started.  "
             "The default is mpi under mpirun and threads otherwise."},
    {.name = "bind-to",
     .arg = "WHAT",
     .choices = "none|core|socket|numa",
     .help = "What of the machine the threads of a device keep to: a core for "
             "each of them, a socket, a NUMA node, or, the default, any of the "
             "processors that this process may use.  It is never bound to "
             "others: see BINDING in gshard-mpi(7)."},
    {.name = "no-huge-pages",
     .help = "Do not ask the system for large pages (2 MiB) for packed weights "
             "and arenas."},
    {.name = "no-prefault",
     .help = "Do not read weights ahead, on several threads, while kernels are "
             "made, nor map them before the first run: what is read then is "
             "read when it is needed."},
    {.name = "no-fusion",
     .help = "Run every node as a step of its own.  Without this option a "
             "convolution and the normalisation after it are one step, for "
             "instance, and so are the products of attention: faster, with "
             "sums that may differ in their last bits."},
    {.name = "timeout",
     .arg = "SECONDS",
     .help = "Give up, with exit code 75, when a device has waited this long "
             "for another, or a rank for one that does not answer; 0: wait "
             "for ever.  The default is 600."},
    {.name = "check",
     .arg = "MODEL",
     .flags = GS_OPT_ALIKE_USE,
     .group = "Comparing",
     .help = "Also run the unpartitioned MODEL on the same inputs and compare "
     "the outputs; then run both again with small whole numbers in place of "
     "the floats, since their sums rarely round.  For each comparison one line "
     "says that the bytes are the same, or how far off the worst element is; "
     "exit 1 if one differs by more than the tolerances."},
    {.name = "test-data",
     .arg = "DIR",
     .flags = GS_OPT_ALIKE_USE,
     .help = "Feed input_N.pb of DIR and compare the outputs with "
             "output_N.pb; print the worst element, exit 1 on a mismatch."},
    {.name = "rtol",
     .arg = "R",
     .help = "Relative tolerance of comparisons; the default is 1e-3, and for "
             "outputs that are computed through a coarser type, such as f16, "
             "eight units in its last place."},
    {.name = "atol",
     .arg = "A",
     .help = "Absolute tolerance of comparisons; the default is 1e-5 times "
             "the largest absolute value of the tensor, or as many units as "
             "above."},
    {.name = "bench",
     .arg = "N",
     .flags = GS_OPT_ALIKE,
     .group = "Measuring",
     .help = "Run N times and print the shortest and the median time and the "
             "bytes moved."},
    {.name = "profile",
     .flags = GS_OPT_ALIKE,
     .help = "Print where the time of the runs went on device 0, by operator "
             "and by step, slowest first: milliseconds of a run (of several, "
             "all but the first), share, "
             "billions of operations (Gop) and of bytes in a second "
             "(collectives: bytes sent), and under `model` the time that the "
             "cost model gives by the time taken.  Operations are known of "
             "products, convolutions and the like.  What is computed from "
             "constants once is in no run.  With --json every step."},
    {.name = "trace",
     .arg = "FILE",
     .flags = GS_OPT_ALIKE,
     .help = "Write when each step of each device ran as Chrome's trace events "
             "(JSON), for chrome://tracing or Perfetto: a rank is a process, a "
             "device a thread.  Waiting for a collective that was started "
             "earlier is an event of its own.  A million events of a device "
             "at most."},
    {.name = "verify",
     .flags = GS_OPT_ALIKE,
     .help = "Check the program once it is compiled: that what is in memory at "
             "once lies apart, that nothing is read before it is written, and "
             "that collectives meet on all devices.  An error, with exit code "
             "70, is one of this tool; files are compared with their hashes "
             "anyway."},
    {.name = "list-ops",
     .flags = GS_OPT_ALONE,
     .help = "Print the table of operators and exit; with --json as an array "
             "of objects.",
     .print = list,
     .print_json = list_json},
    {0},
};

const gs_tool gs_tool_run = {
    .name = "gshard-run",
    .summary = "run a partitioned or plain ONNX model",
    .operands = "PLAN|PROGRAM|MODEL|-",
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .built = mpi,
    .joined = gs_mpi_launched,
    .examples =
        {{"Run a plan on threads and write its outputs to a directory",
          "gshard-run -i x=x.npy -o out plan"},
         {"Is the partitioned model equal to the whole one?",
          "gshard-run --random 1 --check model.onnx plan"},
         {"The same on four MPI ranks",
          "mpirun -n 4 gshard-run --random 1 plan"},
         {0}},
};
