include(Catch)

# farfault_test(NAME LABEL label [LIBS ...]): one executable from all *_test.cc below this folder, each case a ctest test.
function(farfault_test name)
  cmake_parse_arguments(arg "" "LABEL;TIMEOUT" "LIBS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cc")
  if(NOT sources)
    return()
  endif()
  add_executable(${name} ${sources})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  list(FILTER arg_LIBS INCLUDE REGEX ".")
  target_link_libraries(${name} PRIVATE farfault farfault_build_options farfault_test_support Catch2::Catch2WithMain
    absl::synchronization fmt::fmt OpenSSL::Crypto nlohmann_json::nlohmann_json Threads::Threads ${arg_LIBS})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  catch_discover_tests(${name} TEST_PREFIX "${arg_LABEL}: " PROPERTIES LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT}
    SKIP_RETURN_CODE 4)
endfunction()
