#!/usr/bin/env bash
# failed_tests.sh BUILD_SH: after the tests `./dev test` says once more what those said last that have failed, and only those.
set -euo pipefail
build_sh=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/tests"
cat >"$folder/tests/CTestTestfile.cmake" <<'EOT'
add_test("unit:sound" sh -c "echo all is well")
add_test("unit:wrong, twice" sh -c "seq -f 'line %g' 40; echo the reason; exit 1")
add_test("unit:slow" sh -c "echo it hangs; exec sleep 60")
set_tests_properties("unit:slow" PROPERTIES TIMEOUT 1)
EOT
# shellcheck source=/dev/null
. "$build_sh"
ctest --test-dir "$folder/tests" >/dev/null && { echo "the tests passed" >&2; exit 1; }
said=$(repeat_failures "$folder/tests" 2>&1)
for wanted in "--- unit:wrong, twice" "line 40" "the reason" "--- unit:slow" "it hangs"; do
  grep -qF -- "$wanted" <<<"$said" || { printf 'not said: %s\n%s\n' "$wanted" "$said" >&2; exit 1; }
done
for unwanted in "all is well" "unit:sound" "line 1$" "end of output" "Test time"; do
  ! grep -q -- "$unwanted" <<<"$said" || { printf 'said: %s\n%s\n' "$unwanted" "$said" >&2; exit 1; }
done
