/* The parts of the JSON Schema that are no tables of keys. */
#include "io/spec/spec_read.h"

#define STRING "{\"type\": \"string\"}"
#define INT(min) "{\"type\": \"integer\", \"minimum\": " min "}"
#define REF(name) "{\"$ref\": \"#/$defs/" name "\"}"
#define ANY(a, b) "{\"anyOf\": [" a ", " b "]}"
#define LIST(of) "{\"type\": \"array\", \"items\": " of "}"
#define MAP(of) "{\"type\": \"object\", \"additionalProperties\": " of "}"
#define ENUM(words) "{\"enum\": [" words "]}"
#define DEF(name, text) "    \"" name "\": " text
#define KINDS                                                                  \
  "\"graph_input\", \"graph_output\", \"weight\", \"activation\""

const char gs_spec_definitions[] =
    DEF("patterns", ANY(STRING, LIST(STRING))) ",\n"
    DEF("kinds", ANY(ENUM(KINDS), LIST(ENUM(KINDS)))) ",\n"
    DEF("ranks", ANY(INT("0"), LIST(INT("0")))) ",\n"
    DEF("axis", "{\"type\": \"string\", \"pattern\": "
        "\"^[A-Za-z_][A-Za-z0-9_.-]*(:\\\\([1-9][0-9]*\\\\)[1-9][0-9]*)?$\"}")
    ",\n"
    DEF("axes", ANY(REF("axis"), LIST(REF("axis")))) ",\n"
    DEF("dim", "{\"anyOf\": [{\"type\": [\"string\", \"null\"]}, "
        REF("dim-map") ", " LIST(REF("dim")) "]}") ",\n"
    DEF("shard", ANY(STRING, LIST(REF("dim")))) ",\n"
    DEF("devices-array", ANY(INT("0"), LIST(REF("devices-array")))) ",\n"
    DEF("assign-any", ANY(LIST(REF("devices-array")), REF("assign"))) ",\n"
    DEF("expect", ANY(INT("0"), "{\"type\": \"string\", \"pattern\": "
        "\"^(any|>= *[0-9]+)$\"}")) ",\n"
    DEF("partial", "{\"type\": \"object\", \"minProperties\": 1, "
        "\"maxProperties\": 1, \"propertyNames\": "
        ENUM("\"sum\", \"prod\", \"max\", \"min\"")
        ", \"additionalProperties\": " REF("axes") "}") ",\n"
    DEF("sizes", MAP(ANY(INT("1"), "{\"const\": \"auto\"}"))) ",\n"
    DEF("orders", MAP(LIST(INT("0")))) ",\n"
    DEF("plan", MAP(STRING)) ",\n"
    DEF("links", MAP(REF("link"))) ",\n"
    DEF("bindings", MAP(INT("0")));
