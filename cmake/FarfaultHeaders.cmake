# The target farfault_headers compiles headers alone, and twice: what they use they must include themselves. A header that its
# own source includes first is proved by that.
file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}
  ${PROJECT_SOURCE_DIR}/include/*.h ${PROJECT_SOURCE_DIR}/lib/*.h ${PROJECT_SOURCE_DIR}/test/*.h ${PROJECT_SOURCE_DIR}/bench/*.h)
set(sources "")
foreach(header ${headers})
  string(REGEX REPLACE "^include/" "" spelled ${header})
  string(REGEX REPLACE "\\.h$" ".cc" own_source ${PROJECT_SOURCE_DIR}/${header})
  if(EXISTS ${own_source})
    file(STRINGS ${own_source} first_include REGEX "^#include" LIMIT_COUNT 1)
    if(first_include STREQUAL "#include \"${spelled}\"")
      continue()
    endif()
  endif()
  string(MAKE_C_IDENTIFIER ${header} name)
  set(source ${PROJECT_BINARY_DIR}/headers/${name}.cc)
  file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${spelled}\"\n#include \"${spelled}\"\n")
  list(APPEND sources ${source})
endforeach()
add_library(farfault_headers OBJECT EXCLUDE_FROM_ALL ${sources})
target_include_directories(farfault_headers PRIVATE ${PROJECT_SOURCE_DIR})
target_compile_options(farfault_headers PRIVATE -O0 -g0)
target_link_libraries(farfault_headers PRIVATE farfault_cli farfault_test_support farfault_build_options Catch2::Catch2
  $<$<BOOL:${FARFAULT_BUILD_BENCH}>:benchmark::benchmark>)
