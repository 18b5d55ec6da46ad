#!/usr/bin/env bash
# exported_symbols.sh LIBRARY INCLUDE: the shared library exports what the headers in INCLUDE/farfault declare as exported, and
# nothing else: no template of the standard library's or Abseil's, and no function that somebody forgot to hide.
set -euo pipefail
library=$1
headers=$2/farfault

# In C a name is a name.
declared=$(grep -ohE '\bfarfault_[a-z0-9_]+\(' "$headers"/c/*.h | tr -d '(' | sort -u)
# In C++ a class brings its members, table and type information along.
classes=$(grep -ohE '^class FARFAULT_EXPORT [A-Za-z]+' "$headers"/*.h | awk '{print $3}')
functions=$(grep -hE '^FARFAULT_EXPORT [^(]*\b[A-Z][A-Za-z]+\(' "$headers"/*.h | sed -E 's/^[^(]*\b([A-Z][A-Za-z]+)\(.*/\1/' | sort -u)
one_of() { tr '\n' '|' <<<"$1" | sed 's/|$//'; }
public="^((vtable|typeinfo|typeinfo name) for )?farfault::($(one_of "$classes"))(::.*|\$)|^farfault::($(one_of "$functions"))(\[abi:[a-z0-9]+\])?\("

exported=$(nm --dynamic --defined-only --format=posix "$library" | awk '$2 != "A" {print $1}' | sort -u)
in_c=$(grep '^farfault_' <<<"$exported" || true)
others=$(grep -v '^farfault_' <<<"$exported" | c++filt || true)

failed=0
complain() {
  [[ -z $2 ]] || { printf '%s:\n%s\n' "$1" "$2" >&2; failed=1; }
}
complain "declared in $headers/c and not exported" "$(comm -23 <(echo "$declared") <(echo "$in_c"))"
complain "exported and not declared in $headers/c" "$(comm -13 <(echo "$declared") <(echo "$in_c"))"
complain "exported, but no public class or function of C++" "$(grep -vE "$public" <<<"$others" || true)"
for name in $classes $functions; do
  grep -qE "farfault::$name\b" <<<"$others" || complain "declared as exported in $headers, and not exported" "farfault::$name"
done
((failed == 0)) || exit 1
printf '%d functions of C, %d symbols of C++\n' "$(wc -l <<<"$in_c")" "$(wc -l <<<"$others")"
