#include "cli.h"

static const gs_option options[] = {
    {.name = "output",
     .letter = 'o',
     .arg = "DIR",
     .group = "Output",
     .help = "Make the directory DIR with the plan, its graphs and the "
             "sliced weights (see gshard-plan(5)); - writes one SPMD program "
             "as an ONNX file to standard output.  The directory appears "
             "complete or not at all."},
    {.name = "emit",
     .arg = "FORM",
     .choices = "spmd|device",
     .help = "spmd (the default): one program for all devices.  device: one "
             "graph for each device, with constant coordinates, which other "
             "runtimes can load."},
    {.name = "shards-per-file",
     .arg = "N",
     .help = "With --emit=device: write a file of weights for every N devices, "
             "with the blocks that these read, so that a host needs the files "
             "of its own devices only (see gshard-mpi(7)).  What several files "
             "need is in each of them.  The default is one file for all, which "
             "holds each block once."},
    {.name = "hash-weights",
     .help = "Hash all of the external files that a program refers to (-o -), "
             "which reads them, and not only their first and last MiB.  "
             "Weights that are copied into a plan are always hashed."},
    {.name = "report",
     .arg = "FORMAT",
     .flags = GS_OPT_OPTIONAL,
     .choices = "text|json",
     .help = "Report every collective with bytes and origin, and weights, "
             "activations and operations per device: text to standard "
             "error, json to standard output, or to standard error when the "
             "program goes to standard output."},
    {.name = "mesh",
     .arg = "AXES",
     .group = "Input",
     .help = "The mesh of devices as NAME=SIZE,..., when the model does not "
     "have one or to replace the one that it has."},
    {.name = "bind",
     .arg = "NAME=N[,N...]",
     .flags = GS_OPT_REPEAT,
     .help = "Let the symbolic dimension NAME of the model be N.  Several "
             "sizes are several bindings, as bindings of the spec: a plan has "
             "a program for each."},
    {.name = "configuration",
     .arg = "NAME",
     .help = "Read the shardings of configuration NAME of the model's "
             "standard fields, also where the model has gshard's metadata.  "
             "The default is the metadata, or else the first configuration."},
    {.name = "dump",
     .arg = "PASS",
     .choices = "propagate|partition|all",
     .group = "Looking inside",
     .help = "Print the graph in text form after PASS to standard error."},
    {.name = "verify",
     .help = "Check what every step leaves behind: graphs, shardings and "
             "forms, and what is written, compiled as for a run: memory and "
             "the order of collectives.  An error, with exit code 70, is one "
             "of this tool."},
    {0},
};

const gs_tool gs_tool_partition = {
    .name = "gshard-partition",
    .summary = "turn an annotated ONNX model into a program for many devices",
    .operands = "[ANNOTATED|-]",
    .min_operands = 0,
    .max_operands = 1,
    .options = options,
    .examples =
        {{"Make a plan and say what it costs",
          "gshard-partition --report -o plan sharded.onnx"},
         {"One graph for each device, replacing an older plan",
          "gshard-partition --emit device -f -o plan sharded.onnx"},
         {"What would be communicated? Write nothing",
          "gshard-partition -n --report=json -o plan sharded.onnx"},
         {0}},
};
