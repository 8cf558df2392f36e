#!/bin/sh
# GShard's Mixture-of-Experts Transformer and Megatron's dense one through the
# three tools: which collectives there are, what a device holds, and that the
# result is that of the whole model.
set -u
PATH=$PWD/tools:$PWD/examples:$PATH
specs=$(cd "${srcdir-.}/examples" && pwd)
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
cd "$work" || exit 1
# is TEXT WANTED GIVEN
is() { ok "$1: $3, expected $2" [ "$2" = "$3" ]; }

# prepare SPEC MESH: model.onnx becomes annotated.onnx, program.onnx and
# report, all in one pipeline.
prepare() {
  gshard-annotate -q --verify -s "$specs/$1" --mesh "$2" model.onnx |
    tee annotated.onnx | gshard-partition --verify --report=json -o - \
    > program.onnx 2> report
}
# The collectives of the report, one a line.
collectives() { sed -n '/"collectives"/,/^  \]/p' report | grep '"op"'; }
# count OP: collectives of that kind that send more than 4 KiB.
count() {
  collectives | grep "\"op\": \"$1\"" |
    awk -F '"bytes_per_device": ' '$2 + 0 > 4096 { n++ } END { print n + 0 }'
}
# Those of any kind.
large() { count '[A-Za-z]*'; }
# held NAME: bytes of the tensors of that name on one device.
held() {
  sed -n '/"tensors"/,/^  \]/p' report | grep "\"[^\"]*/$1\", \"dtype\"" |
    awk -F '"bytes_per_device": ' '{ n += $2 } END { print n + 0 }'
}
equal() {
  gshard-run -q --verify --random "${1-1}" --check model.onnx program.onnx
}
# What a run gave, and what it sent.
digests() { grep -oE '"(digest|bytes_sent|wire_bytes)": "?[^",}]*'; }
# field NAME FILE: the number that stands under it.
field() { grep -o "\"$1\": [0-9]*" "$2" | head -n 1 | grep -o '[0-9]*$'; }

# moe TEXT SPEC MESH EXPERTS SHARDS OPTION...: SHARDS devices share each
# expert weight; models have two layers of experts.  $more: collectives above
# 4 KiB besides the all-to-alls of the experts.
moe() {
  text=$1 spec=$2 mesh=$3 experts=$4 shards=$5
  shift 5
  moe-transformer -q --experts "$experts" "$@" -o model.onnx
  ok "$text: pipeline" prepare "$spec" "$mesh"
  is "$text: all-to-alls of experts" 4 \
    "$(collectives | grep '/moe/' | grep -c AllToAll)"
  is "$text: all above 4 KiB" $((4 + ${more-0})) "$(large)"
  is "$text: run whole" 0 "$(sed -n '/"fallbacks"/,/^  \]/p' report |
    grep -c '"node"')"
  # f32[E,128,512], rounded up to whole experts
  block=$(((experts + shards - 1) / shards * 128 * 512 * 4))
  is "$text: wi on a device" $((2 * block)) "$(held moe/wi)"
  is "$text: wo on a device" $((2 * block)) "$(held moe/wo)"
  ok "$text: equal to the whole" equal 1
  gshard-run -q --random 1 --json program.onnx > sent
  is "$text: bytes sent" "$(field sent_bytes_per_device report)" \
    "$(field bytes_sent sent)"
}

moe 'E = D = 4' moe-transformer.yaml ep=4 4 4
ok 'equal to the whole for other tokens' equal 2
gshard-run --random 1 --json program.onnx | digests > four
ok 'E = D = 4: outputs' grep -q digest four
ok 'E = D = 4: what was sent' grep -q wire_bytes four
gshard-run --random 1 --json -j 1 program.onnx | digests > one
ok 'the same bytes with one thread' cmp one four
if [ "${HAVE_MPI-1}" = 1 ] && command -v "${MPIRUN-mpirun}" > mpi 2>&1; then
  # As root, and with more ranks than cores.
  OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
  export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
  export OMPI_MCA_rmaps_base_oversubscribe OMPI_MCA_hwloc_base_binding_policy
  # MPI's own libraries keep memory at exit.
  ASAN_OPTIONS="${ASAN_OPTIONS-}${ASAN_OPTIONS:+:}detect_leaks=0" \
    timeout -k 5 1200 "${MPIRUN-mpirun}" -n 4 gshard-run --random 1 --json \
    program.onnx | digests > mpi
  ok 'the same bytes with four MPI ranks' cmp mpi four
fi

moe 'E = D = 8' moe-transformer.yaml ep=8 8 8
# Blocks of 2 groups are padded by more than half: for the logits it costs less
# to gather all groups and to split the vocabulary.  That is so where it can be
# measured: with 256 tokens to a group, 512 wide, and a vocabulary of 4,096, four
# threads take a quarter less time.
more=2
moe 'G = 5, E = 6, D = 4' moe-transformer.yaml ep=4 6 4 --groups 5
more=0
# Over slow links it costs more, and nothing is gathered.
sed 's/^mesh:.*/mesh: {axes: {ep: 4}, link: {ep: {gbps: 0.1}}}/' \
  "$specs/moe-transformer.yaml" > slow.yaml
gshard-annotate -q -s slow.yaml model.onnx |
  gshard-partition --report=json -n - > report
is 'G = 5, slow links: all-to-alls of experts' 4 \
  "$(collectives | grep '/moe/' | grep -c AllToAll)"
is 'G = 5, slow links: all above 4 KiB' 4 "$(large)"
moe 'D = 3' moe-transformer.yaml ep=3 4 3
moe 'dp = ep = 2' moe-transformer-2d.yaml dp=2,ep=2 4 2
moe 'all second choices' moe-transformer.yaml ep=4 4 4 --random-routing off
moe 'overflow' moe-transformer.yaml ep=4 4 4 --capacity 3

# Why an expert's weight is split, and why there is an all-to-all.
gshard-annotate -q -n -s "$specs/moe-transformer.yaml" \
  --explain encoder/layer_1/moe/wi model.onnx > explain
ok 'explain: the sharding of wi' grep -q '/wi {ep,~,~}$' explain
ok 'explain: names the rule' grep -q 'moe-transformer.yaml:1[0-9]:' explain
ok 'explain: names the operator' grep -q "moe/hidden' (Einsum)" explain
origins=$(collectives | grep -c 'moe-transformer.yaml:')
is 'collectives that name their rule' "$(collectives | wc -l)" "$origins"
rules=$(grep -c '^  - match' "$specs/moe-transformer.yaml")
is 'rules of moe-transformer.yaml' 4 "$rules"

# Presets are small files, whatever the size of the model.
moe-transformer -q --preset 2048E-36L -o model.onnx
ok '600 billion weights: pipeline' prepare moe-transformer.yaml ep=2048
is '600 billion weights: all-to-alls' 36 "$(count AllToAll)"
is '600 billion weights: wi on a device' $((18 * 1024 * 8192 * 4)) \
  "$(held moe/wi)"
small() { [ "$(($(wc -c < model.onnx)))" -lt 1000000 ]; }
ok '600 billion weights: below 1 MB' small

# Two all-reduces for each layer of a dense model, over tp.
for layers in 2 3; do
  text="dense, $layers layers"
  dense-transformer -q --layers $layers -o model.onnx
  ok "$text: pipeline" prepare megatron.yaml dp=2,tp=2
  is "$text: all-reduces" $((2 * layers)) "$(count AllReduce)"
  is "$text: others above 4 KiB" $((2 * layers)) "$(large)"
  is "$text: over tp" $((2 * layers)) \
    "$(collectives | grep -c '"axes": "tp"')"
  ok "$text: equal to the whole" equal
done
is 'half of ffn/in/w on a device' $((3 * 128 * 512 * 4 / 2)) \
  "$(held ffn/in/w)"
gshard-annotate -q -n -s "$specs/megatron.yaml" \
  --explain layer_0/attention/out model.onnx > explain
ok 'explain: the all-reduce' grep -q 'AllReduce over tp' explain
ok 'explain: names its rule' grep -q 'megatron.yaml:[0-9]*:' explain
rules=$(grep -c '^  - match' "$specs/megatron.yaml")
ok "megatron.yaml has at most 10 rules: $rules" [ "$rules" -le 10 ]

# Without a rule, options.auto finds the paper's sharding of the experts; what
# it chose can be written down as a spec.
moe-transformer -q --layers 2 -o model.onnx
auto() { gshard-annotate --mesh ep=4 --auto "$@" model.onnx; }
shardings() { gshard-annotate --list-tensors "$1" | grep '{'; }
auto --report --explain encoder/layer_1/moe/wi -f -o annotated.onnx > said 2>&1
ok 'auto: says what it chose' grep -q 'chosen by options.auto' said
ok 'auto: splits the experts' grep -q 'dim 0 of encoder/layer_1/moe/wi' said
ok 'auto: and the batch' grep -q 'dim 0 of source' said
ok 'auto: is given as the reason' grep -q 'chosen by options.auto for' said
gshard-partition -q -o - annotated.onnx > program.onnx
ok 'auto: equal to the whole' equal
# One layer of it, which takes a tenth of the time.
moe-transformer -q --layers 1 -f -o model.onnx
auto -q -f -o annotated.onnx
auto -q --dump-spec > auto.yaml
ok 'auto: its spec' gshard-annotate -q -s auto.yaml -o again.onnx model.onnx
shardings annotated.onnx > a
shardings again.onnx > b
ok 'auto: gives the same shardings' cmp a b

done_all
