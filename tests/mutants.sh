#!/bin/sh
# Does the suite notice?  Breaks a copy of the tree in one place at a time and
# runs the tests that should fail then: tests/mutants.sh SOURCES [NAME...], in
# the build directory (`make mutants`).  All, or those whose names contain a
# NAME.  Prints which test killed each, or that it survived; exit 1 if one
# did, or does not apply any more.  With --texts in the place of a NAME nothing
# is built: does each still apply?
set -u
LC_ALL=C
export LC_ALL
top=$(cd "${1-..}" && pwd) || exit 1
[ $# = 0 ] || shift
killed=0 survived=0
copy=$(pwd)/mutants
texts=
[ "${1-}" != --texts ] || { texts=yes && shift; }
only=$*

say() { printf '%s\n' "$*"; }
build() { make -s -j "$(nproc)" "$@" > make.log 2>&1; }
# The copy stays for the next time; only what changed is built again.
prepare() {
  cc=$(sed -n 's/^CC = //p' Makefile)
  cflags=$(sed -n 's/^CFLAGS = //p' Makefile)
  made="aclocal.m4 configure configure.ac Makefile.am Makefile.in sources.mk"
  mkdir -p "$copy/build" || exit 1
  for file in $made; do
    cmp -s "$top/$file" "$copy/$file" || rm -f "$copy/build/Makefile"
  done
  (cd "$top" && cp -Ru bootstrap build-aux src schemas tools examples bench \
    man tests README.md HACKING.md NEWS COPYING "$copy") || exit 1
  cd "$copy/build" || exit 1
  if [ ! -f Makefile ]; then
    for file in $made; do cp -p "$top/$file" "$copy/$file" || exit 1; done
    ../configure -q CC="$cc" CFLAGS="$cflags" > configure.log || exit 1
  fi
  say "building in $copy"
  build all || { tail -n 20 make.log; exit 1; }
}
if [ -n "$texts" ]; then cd "$top/tests" || exit 1; else prepare; fi

# The one file of src with the text, in which it stands on one line.
find_text() {
  file=$(cd .. && grep -rlF -e "$1" src)
  case $file in
    '' | *'
'*) say "mutant: not in one file: $1"; return 1 ;;
  esac
  [ "$(grep -cF -e "$1" "../$file")" = 1 ] && return
  say "mutant: not on one line of $file: $1"
  return 1
}

# Replaces the first FROM by TO; both are plain text.
replace() {
  FROM=$1 TO=$2 awk '{
    at = index($0, ENVIRON["FROM"])
    if (at) $0 = substr($0, 1, at - 1) ENVIRON["TO"] \
      substr($0, at + length(ENVIRON["FROM"]))
    print
  }' "$top/$file" > "../$file.new" && mv "../$file.new" "../$file"
}

# mutant NAME FROM TO TEST...: the tests are built and run until one fails.
mutant() {
  name=$1 from=$2 to=$3
  shift 3
  case $only in
    '') ;;
    *)
      for word in $only; do
        case $name in *"$word"*) word= && break ;; esac
      done
      [ -z "$word" ] || return 0
      ;;
  esac
  find_text "$from" || { survived=$((survived + 1)); return; }
  [ -z "$texts" ] || return 0
  replace "$from" "$to"
  by=
  for test; do
    case $test in
      *.sh) what=all ;;
      *) what=$test ;;
    esac
    if ! build "$what"; then
      say "mutant: it does not build: $name"
      tail -n 5 make.log
      break
    fi
    rm -f "$test.log" "$test.trs"
    if ! make -s check-TESTS TESTS="$test" > check.log 2>&1; then
      by=$test
      break
    fi
  done
  cp "$top/$file" "../$file"
  if [ -n "$by" ]; then
    killed=$((killed + 1))
    say "killed: $name ($by)"
  else
    survived=$((survived + 1))
    say "survived: $name ($file)"
  fi
}
[ -n "$texts" ] || trap 'cp "$top/$file" "../$file"; exit 1' HUP INT TERM

mutant "ties of factors go to the later one" \
  'mine <= theirs && g < f' 'mine <= theirs && g > f' tests/test_propagate
mutant "ties of axes go to the later one" \
  'claimed >= weight && axis < next' 'claimed >= weight && axis > next' \
  tests/test_propagate
mutant "ties of dims go to the later one" \
  'mine <= theirs && e < d' 'mine <= theirs && e > d' tests/test_propagate
mutant "idle choices of auto-sharding stay" \
  'int i = f->taken.n - 1; i >= 0 &&' 'int i = -1; i >= 0 &&' \
  tests/test_annotate
mutant "a deferred partial may grow" \
  'return at < 0 ? t : fmin(t, passed_on(' \
  'return at < 0 ? t : fmin(0, passed_on(' \
  tests/test_partition
mutant "gbps of an axis is ignored" \
  'axis->gbps > 0 ?' 'axis->gbps > 1e300 ?' tests/test_annotate
mutant "a result overwrites another operand" \
  'gs_program_buffer(p, n->in[i]) == buffer) return false;' \
  'gs_program_buffer(p, n->in[i]) == buffer) return true;' tests/test_dynamic
mutant "integers are compared as doubles" \
  'if (exact && t != GS_BOOL && !c->same_bytes)' \
  'if (exact && t == GS_BOOL && !c->same_bytes)' tests/test_compare
mutant "index operands are not masked" \
  'if (indexed && i == 1)' 'if (indexed && i == 9)' \
  tests/test_partition
mutant "indexed data is masked" \
  'if (indexed && i == 0)' 'if (indexed && i == 9)' \
  tests/test_partition
mutant "a part of a table has all rows from its first on" \
  'here = here && v >= 0 && v < p->held[d];' 'here = here && v >= 0;' \
  tests/test_blocks
mutant "indices that count from 1 count" \
  'if (element(t, i) != i / stride % q->v->dims[q->d]) return false;' \
  'if (element(t, i) > i / stride % q->v->dims[q->d] + 1) return false;' \
  tests/test_partition
mutant "data that split updates are added to counts on every device" \
  'if (l->stage[0].reduce == GS_REDUCE_SUM) gs_local_once(l, 0, &axes);' '' \
  tests/test_blocks
mutant "classes are counted from the first of the block" \
  'index_at(idx, o * p->inner + j, p->depth) - p->first;' \
  'index_at(idx, o * p->inner + j, p->depth);' tests/test_blocks
mutant "a slice from where only a run knows begins with the block" \
  'p->from += (s.first + s.step * lo - at) * sx;' \
  'p->from += (s.first + s.step * lo - at) * sx * (at == 0);' tests/test_sweep
mutant "summed padding is not masked" \
  'pad.dims = summed_dims(r, i, c, &pad.value);' \
  'pad.dims = 0 * summed_dims(r, i, c, &pad.value);' tests/test_partition
mutant "every tail counts as zero" \
  'return !asked || (' 'return !asked || !(want->padding.value != 0) || (' \
  tests/test_partition
mutant "what a collective gives has a zero tail" \
  'known = ~padded | before->padding.dims;' 'known = ~(0 * padded);' \
  tests/test_partition
mutant "a device that wants its own elements counts as one that is sent to" \
  'if (takers > itself) *sum += needed(x, i, &p) * (takers - itself);' \
  '*sum += needed(x, i, &p) * takers;' \
  tests/test_exchange
mutant "reflected elements come forwards" \
  'if (back) r.delta = -r.delta;' 'if (back) r.delta = 1;' \
  tests/test_exchange
mutant "what is received in pieces is left where it is" \
  'if (q->got[i].bytes && (!q->got[i].lies || c->block))' \
  'if (!q->got[i].bytes)' tests/test_exchange_run
mutant "packed elements are received over their neighbours" \
  '(!alone || length % 8 == 0 || all);' '(!alone || length >= 0 || all);' \
  tests/test_exchange_run
mutant "a cut takes the first places" \
  '*first = b - a;' '*first = 0;' tests/test_kernel_index
mutant "positions count as places of a device order" \
  'o->place ? o->place[p] : p' 'o->place ? p : p' tests/test_reshard
mutant "peers in a device order are its places" \
  'return o->position ? o->position[p] : p;' 'return p;' tests/test_reshard
mutant "an axis bars its own order" \
  'if (i != k) barred' 'if (i == k) barred' tests/test_partition
mutant "what lies otherwise in two orders stays where it is" \
  'if (same_blocks(m, from, to))' 'if (same_blocks(m, from, from))' \
  tests/test_reshard
mutant "nothing stands around a window" \
  'x->fill = fill.dims >> d & 1 ? GS_FILL_VALUE : GS_FILL_ANY;' \
  'x->fill = GS_FILL_ANY;' tests/test_partition
mutant "a window ends one element early" \
  'last = gs_window_span(w, d) - 1 - w->begin[d];' \
  'last = gs_window_span(w, d) - 2 - w->begin[d];' tests/test_rule
mutant "a kernel that is split meets one window less" \
  'last = (w->out[d] - 1) * w->stride[d] - w->begin[d];' \
  'last = (w->out[d] - 2) * w->stride[d] - w->begin[d];' tests/test_rule
mutant "all places of a window are sent" \
  'if (w->to->need) need = w->to->need[d];' '(void)need;' tests/test_partition
mutant "the blocks of a window's source are taken for the whole" \
  'if (!x->from.n) source->block = 0;' 'source->block = 0;' \
  tests/test_partition
mutant "an element lies with the device before" \
  'int64_t owner = elem / block, at' \
  'int64_t owner = (elem ? elem - 1 : 0) / block, at' \
  tests/test_exchange
mutant "a block lies in a window wherever a fill goes" \
  'if (!apart(s, plan->fill[j].place, plan->fill[j].count)) return false;' \
  ';' tests/test_margins tests/test_random
mutant "sources of one exchange are not behind one another" \
  '.shift = count > 1 ? -u->reach.first : 0};' '.shift = 0};' \
  tests/test_partition
mutant "a window is padded twice" \
  'if (held >> d & 1) continue;' 'if (held >> 9 & 1) continue;' \
  tests/test_partition
mutant "a transposed convolution is cut on all devices alike" \
  'if (x.c != 1 || x.a * stride != block) c.off = -1;' \
  'if (x.c != 1 || x.a * stride != block) c.off = 0;' tests/test_partition
mutant "a window's padding is taken as it is" \
  'if (u->fill != GS_FILL_VALUE || (!window && !past)) return true;' \
  'if (u || (!window && !past)) return true;' tests/test_partition
mutant "parts of a split dim begin at its front" \
  'u.reach = (gs_reach){count, 1, 1, at - from, at - from, 0};' \
  'u.reach = (gs_reach){count, 1, 1, -from, -from, 0};' tests/test_partition
mutant "the search for a resharding ends early" \
  'MAX_STATES = 2000' 'MAX_STATES = 40' tests/test_reshard
mutant "more is left of a resharding than must be" \
  'if (lacks < 0) lacks = 0;' 'lacks *= 1.5;' tests/test_cheapest
mutant "axes that neither end uses do not help" \
  'gs_units_each(&s->u, all);' 'gs_units_each(&s->u, used);' \
  tests/test_cheapest
mutant "parts of several dims are put in place by the index of another dim" \
  'minor = gs_axes_tail(&fine->dim[d].axes, had);' \
  'minor = gs_axes_head(&fine->dim[d].axes, had);' tests/test_reshard
mutant "windows count elements that are none of the operand's" \
  'p->low[d] = gs_min(n, gs_max(0, -first));' 'p->low[d] = 0;' \
  tests/test_kernel_place
mutant "indices of a part count from its first channel" \
  'int64_t whole = (p->x.first[0] + c / channels) * p->x.dims[1] +' \
  'int64_t whole = (c / channels) * p->x.dims[1] +' tests/test_kernel_place
mutant "a part of a resized dim begins at the first element" \
  'o = part->out_first + i;' 'o = i;' tests/test_kernel_place
mutant "the first element of a resized dim is left out" \
  'first = r->den * first - r->num * o;' \
  'first = r->den * (first + 1) - r->num * o;' tests/test_kernel_place
mutant "a placement stays that of all devices" \
  'gs_placement_fold(k->a, k->m, pl, k->p)' \
  'gs_placement_fold(k->a, k->m, pl, 0)' tests/test_random

[ -n "$texts" ] || say "$killed killed, $survived survived"
[ "$survived" -eq 0 ]
