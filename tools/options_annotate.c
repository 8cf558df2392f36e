#include "cli.h"

static void schema(FILE *f) { gs_table_print(GS_TABLE_SPEC_SCHEMA, f); }

static const gs_option options[] = {
    {.name = "spec",
     .letter = 's',
     .arg = "SPEC",
     .flags = GS_OPT_REPEAT,
     .group = "Input",
     .help = "Read shardings from SPEC (see gshard-spec(5)), - for standard "
             "input.  Several files act as one: later rules come after "
             "earlier ones.  Without a spec the annotations in the model are "
             "completed."},
    {.name = "mesh",
     .arg = "AXES",
     .help = "The mesh of devices as NAME=SIZE,..., major axis first, such "
             "as dp=2,tp=4.  Replaces the mesh of the spec or of the model."},
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
    {.name = "auto",
     .arg = "BYTES",
     .flags = GS_OPT_OPTIONAL,
     .help = "Split what the rules leave open where the cost model says that "
             "it pays, so that weights and activations take at most BYTES "
             "per device (such as 16GiB; default: any).  The same as "
             "options.auto: fill and options.memory_per_device of the spec. "
             "--dump-spec then prints what was chosen."},
    {.name = "allow-unmatched",
     .help = "Do not fail when a rule of the spec matches no tensor; warn."},
    {.name = "output",
     .letter = 'o',
     .arg = "OUT",
     .group = "Output",
     .help = "Write the annotated model to OUT, - for standard output, which "
     "is the default unless that is a terminal.  The file appears complete or "
     "not at all."},
    {.name = "standard-fields",
     .arg = "WHEN",
     .choices = "auto|yes|no",
     .help = "Write ONNX's own multi-device fields, which list every device "
             "for every use of a tensor, beside the metadata that gshard "
             "reads: auto (the default) for meshes of at most 64 devices, yes "
             "or no."},
    {.name = "report",
     .arg = "FORMAT",
     .flags = GS_OPT_OPTIONAL,
     .choices = "text|json",
     .help = "Report rules with their matches, tensors with sharding and "
             "origin, predicted collectives with bytes, and bytes per "
             "device: text to standard error, json to standard output, or "
             "to standard error when the model goes to standard output."},
    {.name = "explain",
     .arg = "TENSOR",
     .flags = GS_OPT_REPEAT,
     .help = "Say why TENSOR is sharded as it is: the rule of the spec, then "
             "the chain of nodes that carried it there.  The name of a node "
             "stands for all that it makes, unless a tensor has it.  With "
             "--json or --report=json the explanations are the member "
             "\"explained\" of the report."},
    {.name = "check",
     .help = "Write nothing; exit 1 if the annotations of the model are not "
     "complete and consistent."},
    {.name = "dump-spec",
     .help = "Print the spec as it was understood, with defaults filled in "
             "and every tensor named, also those that --auto has chosen, and "
             "exit; with --json as JSON, which a spec may be."},
    {.name = "list-tensors",
     .help = "Print one line for each tensor of the model, with name, type, "
             "shape and sharding, and exit; with --json an array of objects."},
    {.name = "list-nodes",
     .help = "Print one line for each node of the model, with name, operator, "
             "operands, results and module, and exit; with --json an array of "
             "objects."},
    {.name = "list-modules",
     .help = "Print one line for each module of the source, with the number of "
             "its nodes and their weights, as rules that match by module see "
             "them, and exit; with --json an array of objects."},
    {.name = "verify",
     .help = "Check what every step leaves behind: graphs, shardings and "
             "forms.  An error, with exit code 70, is one of this tool."},
    {.name = "print-schema",
     .flags = GS_OPT_ALONE,
     .help = "Print the JSON Schema of the spec and exit.",
     .print = schema},
    {0},
};

const gs_tool gs_tool_annotate = {
    .name = "gshard-annotate",
    .summary = "complete the shardings of an ONNX model",
    .operands = "MODEL|-",
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .examples =
        {{"Shard a model as its spec says and show what follows from it",
          "gshard-annotate -s model.yaml --report -o sharded.onnx model.onnx"},
         {"Why is this tensor split?",
          "gshard-annotate -s model.yaml --explain h -o /dev/null model.onnx"},
         {"Annotate, partition and run without files between",
          "gshard-annotate -s model.yaml model.onnx | gshard-partition -o - "
          "| gshard-run --random 1 --check model.onnx -"},
         {0}},
};
