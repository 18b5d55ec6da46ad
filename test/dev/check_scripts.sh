#!/usr/bin/env bash
# check_scripts.sh CHECK_SH: a script among the tests that ctest does not run is found, and no other one.
set -euo pipefail
ROOT=$(mktemp -d)
trap 'rm -rf "$ROOT"' EXIT
# shellcheck source=/dev/null
. "$1"
cd "$ROOT"
mkdir -p test/a test/b
cat >test/a/CMakeLists.txt <<'EOF'
add_test(NAME one COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/one.sh
  ${PROJECT_SOURCE_DIR}/dev)
add_test(NAME two COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/two.sh)
# add_test(NAME three COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/three.sh)
EOF
# shellcheck disable=SC2016
echo '. "$(dirname "$0")/common.sh"' >test/a/one.sh
# shellcheck disable=SC2016
echo '. "$(dirname "$0")/orphan_common.sh"' >test/a/three.sh
touch test/a/{two,common,orphan_common,wo}.sh test/b/one.sh

wanted="test/a/orphan_common.sh test/a/three.sh test/a/wo.sh test/b/one.sh"
status=0
said=$(check_test_scripts 2>&1) || status=$?
found=$(grep -oE 'test/[a-z_/]+\.sh' <<<"$said" | sort | tr '\n' ' ')
[[ $status != 0 && $found == "$wanted " ]] || {
  printf 'wanted: %s\ngot:    %s (status %d)\n%s\n' "$wanted" "$found" "$status" "$said" >&2
  exit 1
}
rm test/a/{three,orphan_common,wo}.sh test/b/one.sh
check_test_scripts
