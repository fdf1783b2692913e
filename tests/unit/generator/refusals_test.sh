#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs protoc with the generator over the fixtures beside this script. A line with "// refused: TEXT" must be refused with
# "FILE:LINE: … TEXT", and a fixture must be refused for nothing else; accepted.proto must be accepted and the files it
# makes must hold the texts that its head names.
# Usage: refusals_test.sh PROTOC PLUGIN INCLUDE…
set -uo pipefail

protoc=$1 plugin=$2
shift 2
includes=()
for dir; do includes+=("-I$dir"); done
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
failures=0

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  failures=$((failures + 1))
}

generate() {
  "$protoc" "-I$here" "${includes[@]}" "--plugin=protoc-gen-ez=$plugin" "--ez_out=$out" "$1" 2>&1
}

expect_refusals() {
  local file=$1 said line number text wanted=0 got
  said=$(generate "$file") && fail "$file was accepted"
  said=${said#--ez_out: }
  while IFS= read -r line; do
    number=${line%%:*}
    line=${line#*// refused: }
    while :; do
      text=${line%% // refused: *}
      wanted=$((wanted + 1))
      grep -F -- "$file:$number: " <<<"$said" | grep -qF -- "$text" || fail "$file:$number is not refused with: $text"
      [[ $line == *' // refused: '* ]] || break
      line=${line#* // refused: }
    done
  done < <(grep -n '// refused: ' "$here/$file")
  got=$(grep -c . <<<"$said")
  if [[ $got -ne $wanted || $wanted -eq 0 ]]; then
    fail "$file: $wanted refusals expected, $got given:"$'\n'"$said"
  fi
}

expect_accepted() {
  local file=$1 said line name text checked=0
  said=$(generate "$file") || fail "$file was refused: $said"
  while IFS= read -r line; do
    name=${line%%: *} name=${name#// }
    text=${line#*: }
    checked=$((checked + 1))
    grep -qF -- "$text" "$out/ez/$name" || fail "ez/$name of $file lacks: $text"
  done < <(grep -E '^// (schema\.c|handlers\.h|dispatch\.c|calls\.h|openapi\.json|rest\.md): ' "$here/$file")
  [[ $checked -gt 0 ]] || fail "$file names no text to check"
}

for path in "$here"/*.proto; do
  file=$(basename "$path")
  if [[ $file == accepted.proto ]]; then
    expect_accepted "$file"
  else
    expect_refusals "$file"
  fi
done

# What is no request at all is an error of its own, not a crash.
printf 'no request' | "$plugin" >"$out/answer" 2>"$out/words" && fail "the generator took \"no request\" for a request"
grep -qF 'no CodeGeneratorRequest' "$out/words" || fail "it does not say what is wrong with its input"

[[ $failures -eq 0 ]] && echo "all fixtures as expected"
exit $((failures > 0))
