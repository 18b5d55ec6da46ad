# The target farfault_headers compiles every header alone, and twice: what it uses it must include itself.
file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}
  ${PROJECT_SOURCE_DIR}/include/*.h ${PROJECT_SOURCE_DIR}/lib/*.h ${PROJECT_SOURCE_DIR}/test/*.h ${PROJECT_SOURCE_DIR}/bench/*.h)
set(sources "")
foreach(header ${headers})
  string(REGEX REPLACE "^include/" "" spelled ${header})
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
