#!/bin/sh
# Completes lines of text: a tokenizer, gshard-run and a detokenizer as filters,
# with a model whose tokens are bytes.  Lines of any lengths share a batch; when
# one is done the next line takes its row.
#   examples/lines.sh BUILD-DIRECTORY [ROWS [DEVICES [FOLDER]]] < LINES
# The model is random, and so is what it says.  Files go to FOLDER, by default
# BUILD-DIRECTORY/lines.
set -eu
build=$(cd "${1-build}" && pwd)
rows=${2-4}
devices=${3-2}
folder=${4-$build/lines}
PATH=$build/tools:$build/examples:$PATH
mkdir -p "$folder"
cd "$folder"

decoder -q -f --batch "$rows" --vocab 256 --cache 256 -o model.onnx
gshard-annotate -q -f --mesh "tp=$devices" --auto -o sharded.onnx model.onnx
gshard-partition -q -f -o plan sharded.onnx

bytes tokenize -b "$rows" -n 16 -s schedule |
  gshard-run --steps -i input_ids=- -i filled=- --count filled \
    --argmax logits=input_ids --tokens - -q plan |
  bytes detokenize -s schedule
